/** A timeline as a page of its own: the same drawing, with names that stay, details on demand, and zoom. */
import * as Chart from "./chart.ts"
import * as Draw from "./draw.ts"
import * as Legend from "./legend.ts"
import { type Child, element, type Markup, raw } from "./markup.ts"
import type { Batch, Lane, Timeline } from "../model.ts"
import { script } from "./pageScript.ts"
import { style, zoomLevels } from "./pageStyle.ts"
import * as Scale from "./scale.ts"
import * as Shapes from "./shapes.ts"
import { duration, plain } from "./text.ts"
import * as Words from "./words.ts"

export interface Options {
  readonly title: string
  readonly details: boolean
}

/** Of the style and the script; a test holds them against the text. */
const policy = [
  "default-src 'none'",
  "style-src 'sha256-NAIQJgzO+/jsK5IiBsBZuWt6xjWVSTtbXJX9JFt5EUg='",
  "script-src 'sha256-1JW6TESg8LhtfOkkubEH3/9R/jDgsHcsSXdriAXIFw4='",
  "base-uri 'none'",
  "form-action 'none'"
].join("; ")

/** A plot is at least so wide on most screens, which decides how many ticks and labels have room. */
const usualWidth = 700
const tickSpacing = 100

const percent = (place: number): string => `${Math.round(place * 1e6) / 1e4}%`
const leastWidth = 0.0012

const paperOf = ({ place }: Chart.Chart): Draw.Paper => ({
  x: (at) => percent(place(at)),
  width: (from, to) => percent(Math.max(leastWidth, place(to) - place(from))),
  place,
  pixels: usualWidth,
  cell: { role: "gridcell", tabindex: "-1" }
})

const svg = (className: string, height: number | string, ...children: ReadonlyArray<Child>): Markup =>
  element("svg", { class: className, width: "100%", height, role: "presentation" }, children)

/** The ticks of one level are shown at a time. */
const ticks = (
  chart: Chart.Chart,
  paper: Draw.Paper,
  draw: (x: string | number, text: string, anchor: "start" | "middle") => Markup
) =>
  Array.from({ length: zoomLevels }, (_, level) => {
    const { moments, step } = Scale.ticks(chart.scale, tickSpacing / usualWidth / 2 ** level)
    return element(
      "g",
      { class: `ticks ticks-${level}` },
      // The first one has the names to its left, which cover it.
      moments.map((moment) =>
        draw(paper.x(chart.timeline.from + moment), duration(moment, step), moment === 0 ? "start" : "middle")
      )
    )
  })

const axis = (chart: Chart.Chart, paper: Draw.Paper, telling: Words.Telling): Markup => {
  const labelled = Chart.circuitRows(chart, usualWidth)
  const height = 24 + Chart.rowsOf(labelled) * Chart.circuitHeight
  const labels = labelled.map(({ change, row, side }) => {
    const y = 12 + (row ?? 0) * Chart.circuitHeight
    const x = paper.x(change.at)
    return element(
      "g",
      { class: `cell ${change.to}`, ...paper.cell },
      element("title", {}, Words.circuitLines(change, telling).join("\n")),
      element("circle", { class: "mark", cx: x, cy: y - 4, r: 3 }),
      row === undefined
        ? undefined
        : element("text", { class: "verdict", x, y, ...Chart.beside(side, 6) }, Chart.circuitLabel(change))
    )
  })
  const header =
    labelled.length === 0
      ? { "aria-hidden": "true" }
      : { role: "rowheader", tabindex: "-1", title: "Changes of circuit breakers" }
  return element(
    "div",
    { class: "axis", ...(labelled.length === 0 ? {} : { role: "row" }) },
    element("div", { class: "label", ...header }, labelled.length === 0 ? "" : "circuit breakers"),
    svg(
      "plot",
      height,
      element(
        "g",
        { "aria-hidden": "true" },
        ticks(chart, paper, (x, text, anchor) =>
          element("text", { class: "dim", x, y: height - 7, "font-size": 11, "text-anchor": anchor }, text)
        )
      ),
      labels
    )
  )
}

/** Under what is drawn, and over what the lanes stand on: the grid, the cuts, the moments at which a circuit changed. */
const under = (chart: Chart.Chart, paper: Draw.Paper): Markup => {
  const line = (className: string, x: string | number): Markup =>
    element("line", { class: className, x1: x, y1: 0, x2: x, y2: "100%" })
  return svg(
    "under",
    "100%",
    ticks(chart, paper, (x) => line("grid", x)),
    chart.cuts.map(({ from, to }) => line("cut", paper.x(chart.timeline.from + (from + to) / 2))),
    chart.timeline.circuits.map((change) => line(`circuit ${change.to}`, paper.x(change.at)))
  )
}

const row = (lane: Lane, chart: Chart.Chart, paper: Draw.Paper, telling: Words.Telling, isFirst: boolean): Markup => {
  const { density } = chart
  const glyph = element("use", { href: Shapes.glyphOf(lane.outcome), width: 12, height: 12 })
  const [className, lines] = [lane.outcome, Words.laneLines(lane, telling).join("\n")]
  return element(
    "div",
    { class: "lane", role: "row", "data-index": lane.index },
    element(
      "div",
      { class: "label", role: "rowheader", tabindex: isFirst ? "0" : "-1", title: lines },
      element("span", { class: "number" }, String(lane.index + 1)),
      element("svg", { class: `${className} glyph`, width: 12, height: 12, "aria-hidden": "true" }, glyph),
      element("span", { class: "name" }, Words.name(lane)),
      element("span", { class: `${className} verdict` }, Words.verdict(lane)),
      element("span", { class: "took" }, duration(lane.to - lane.from))
    ),
    svg("plot", Draw.heightOf(lane, density), Draw.lane({ paper, density, telling, lane, top: 0 }))
  )
}

const batch = (batch: Batch, number: number, chart: Chart.Chart, paper: Draw.Paper, telling: Words.Telling): Markup => {
  const { end, tops } = Chart.layout(batch, chart.density, 0)
  const isOnly = chart.timeline.batches.length === 1
  return element(
    "section",
    { role: "rowgroup", "aria-label": `Batch ${number}` },
    isOnly
      ? undefined
      : element(
          "div",
          { class: "heading", title: Words.batchId(batch) },
          element("b", {}, `Batch ${number}`),
          element("span", {}, Words.batch(batch))
        ),
    element(
      "div",
      { class: "rows" },
      batch.lanes.map((lane, i) => row(lane, chart, paper, telling, number === 1 && i === 0)),
      svg("over", end, Chart.arrows(batch, tops, chart.density, paper))
    )
  )
}

const legend = (chart: Chart.Chart): Markup =>
  element(
    "ul",
    { class: "legend", "aria-label": "Legend" },
    Legend.entries(chart.timeline, chart.cuts.length > 0).map(({ drawing, width, word }) =>
      element("li", {}, element("svg", { width, height: Legend.height, "aria-hidden": "true" }, drawing), word)
    )
  )

const button = (value: string, sign: string, label: string): Markup =>
  element("button", { type: "button", value, "aria-label": label }, sign)

const zoom = element(
  "div",
  { class: "zoom", role: "group", "aria-label": "Zoom", hidden: "", "data-levels": zoomLevels },
  button("-", "−", "Zoom out"),
  element("output", {}, "100 %"),
  button("+", "+", "Zoom in"),
  button("0", "Fit", "Fit to the window")
)

const hint = "Point at something, or press Tab and then the arrow keys. + and - zoom."

export const render = (timeline: Timeline, options: Options): string => {
  const telling: Words.Telling = { start: timeline.from, details: options.details }
  const chart = Chart.make(timeline)
  const paper = paperOf(chart)
  const title = plain(options.title, 120)
  const body = element(
    "body",
    { class: `salvo-timeline ${chart.density.name}` },
    element("svg", { class: "definitions", width: 0, height: 0, "aria-hidden": "true" }, Shapes.definitions),
    element(
      "header",
      {},
      element("h1", {}, title),
      element("p", { class: "summary" }, Words.summary(timeline)),
      zoom,
      legend(chart)
    ),
    element(
      "main",
      { class: "chart" },
      element(
        "div",
        { class: "canvas", role: "grid", "aria-label": "Calls over time", "data-level": 0 },
        axis(chart, paper, telling),
        timeline.batches.map((one, i) => batch(one, i + 1, chart, paper, telling)),
        under(chart, paper)
      )
    ),
    element("aside", { class: "panel", "aria-label": "Details" }, element("span", {}, hint)),
    element("script", {}, raw(script))
  )
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
${element("title", {}, title).markup}
${element("style", {}, raw(style)).markup}
</head>
${body.markup}
</html>
`
}
