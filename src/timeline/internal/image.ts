/** A timeline as one image, for a README or a report. On a card of its own colour, so that any page may be around it. */
import * as Chart from "./chart.ts"
import type { Paper } from "./draw.ts"
import * as Row from "./imageRow.ts"
import * as Legend from "./legend.ts"
import { element, type Markup } from "./markup.ts"
import type { Batch, Timeline } from "../model.ts"
import * as Scale from "./scale.ts"
import * as Shapes from "./shapes.ts"
import { columns, duration, fitted, plain } from "./text.ts"
import * as Words from "./words.ts"

export interface Options {
  readonly title: string
  readonly width: number
  readonly details: boolean
}

const { margin } = Row
const smallest = 480
const tickSpacing = 84
const [titleFont, textFont, smallFont] = [16, 12, 11]
const headingHeight = 26
/** The first row of circuits' labels. */
const circuitTop = 72

const paperOf = ({ place }: Chart.Chart, { plot, plotWidth }: Row.Columns): Paper => {
  const x = (at: number): number => plot + place(at) * plotWidth
  return { x, width: (from, to) => Math.max(1.5, x(to) - x(from)), place, pixels: plotWidth, cell: {} }
}

const longList = 40

const description = (timeline: Timeline): string => {
  const lanes = timeline.batches.flatMap((batch) => batch.lanes)
  const lines = lanes.slice(0, longList).map((lane) => {
    const [from, to] = [duration(lane.from - timeline.from), duration(lane.to - timeline.from)]
    return `${Words.name(lane)}: ${Words.verdict(lane)}, from ${from} to ${to}.`
  })
  const more = lanes.length > longList ? [`And ${lanes.length - longList} more.`] : []
  return [Words.summary(timeline), ...lines, ...more].join("\n")
}

const line = (text: string, y: number, font: number, width: number, more: Readonly<Record<string, string>>): Markup =>
  element(
    "text",
    { x: margin, y, "font-size": font, ...more },
    fitted(text, Math.floor((width - 2 * margin) / (font * Chart.fontFactor)))
  )

const axis = (chart: Chart.Chart, paper: Paper, top: number, bottom: number): ReadonlyArray<Markup> => {
  const { from: start } = chart.timeline
  const { moments, step } = Scale.ticks(chart.scale, tickSpacing / paper.pixels)
  const label = (x: string | number, text: string): Markup =>
    element("text", { class: "dim", x, y: top - 6, "font-size": smallFont, "text-anchor": "middle" }, text)
  return [
    ...moments.map((moment) => {
      const x = paper.x(start + moment)
      return [element("line", { class: "grid", x1: x, y1: top, x2: x, y2: bottom }), label(x, duration(moment, step))]
    }),
    ...chart.cuts.map(({ from, to }) => {
      const x = paper.x(start + (from + to) / 2)
      return [
        element("title", {}, `${duration(to - from)} in which nothing happened`),
        element("line", { class: "cut", x1: x, y1: top, x2: x, y2: bottom })
      ]
    })
  ].map((drawn) => element("g", {}, drawn))
}

const circuits = (
  chart: Chart.Chart,
  labelled: ReadonlyArray<Chart.Labelled>,
  paper: Paper,
  axisTop: number,
  bottom: number,
  telling: Words.Telling
): ReadonlyArray<Markup> =>
  labelled.map(({ change, row, side }) => {
    const x = paper.x(change.at)
    const y = circuitTop + (row ?? 0) * Chart.circuitHeight
    return element(
      "g",
      { class: change.to },
      element("title", {}, Words.circuitLines(change, telling).join("\n")),
      // Not through the labels of the axis.
      element("line", { class: "circuit", x1: x, y1: y - 9, x2: x, y2: axisTop - 18 }),
      element("line", { class: "circuit", x1: x, y1: axisTop, x2: x, y2: bottom }),
      row === undefined
        ? undefined
        : element("text", { class: "verdict", x, y, ...Chart.beside(side, 4) }, Chart.circuitLabel(change))
    )
  })

/** Row by row, as many entries as fit. */
const legend = (entries: ReadonlyArray<Legend.Entry>, top: number, width: number) => {
  let [x, y] = [margin, top]
  const drawn = entries.map(({ drawing, width: sign, word }) => {
    const needed = sign + 4 + columns(word) * smallFont * Chart.fontFactor + 14
    if (x > margin && x + needed > width - margin) [x, y] = [margin, y + 22]
    const entry = element(
      "g",
      { transform: `translate(${Math.round(x)} ${y})` },
      drawing,
      element("text", { class: "dim", x: sign + 4, y: 11, "font-size": smallFont }, word)
    )
    x += needed
    return entry
  })
  return { drawn, bottom: entries.length === 0 ? top : y + Legend.height }
}

/** On paper of its own, so that no line runs through it. */
const heading = (batch: Batch, number: number, top: number, width: number): Markup =>
  element(
    "g",
    {},
    element("title", {}, Words.batchId(batch)),
    element("rect", { class: "sheet", x: margin, y: top + 3, width: width - 2 * margin, height: headingHeight - 6 }),
    element(
      "text",
      { x: margin, y: top + 17, "font-size": textFont },
      element("tspan", { "font-weight": "600" }, `Batch ${number}`),
      element("tspan", { class: "dim", dx: 8 }, Words.batch(batch))
    )
  )

export const render = (timeline: Timeline, options: Options): string => {
  const width = Math.max(smallest, options.width)
  const telling: Words.Telling = { start: timeline.from, details: options.details }
  const chart = Chart.make(timeline)
  const { density } = chart
  const place = Row.columnsOf(chart.lanes, width, density.font)
  const paper = paperOf(chart, place)
  const labelled = Chart.circuitRows(chart, place.plotWidth)
  const title = plain(options.title, 120)

  const top = circuitTop + Chart.rowsOf(labelled) * Chart.circuitHeight + 14
  const bands: Array<Markup> = []
  const rows: Array<Markup> = []
  let bottom = top
  for (const [i, batch] of timeline.batches.entries()) {
    if (timeline.batches.length > 1) {
      rows.push(heading(batch, i + 1, bottom, width))
      bottom += headingHeight
    }
    const { end, tops } = Chart.layout(batch, density, bottom)
    for (const [position, lane] of batch.lanes.entries()) {
      const at = tops.get(lane.index) ?? 0
      bands.push(Row.band(lane, position, at, chart, place))
      rows.push(Row.row(lane, at, chart, place, paper, telling))
    }
    rows.push(...Chart.arrows(batch, tops, density, paper))
    bottom = end + 4
  }
  const signs = legend(Legend.entries(timeline, chart.cuts.length > 0), bottom + 16, width)
  const height = Math.ceil(signs.bottom + margin)

  const drawn = element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      class: "salvo-timeline",
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": `${title}. ${Words.summary(timeline)}`
    },
    element("title", {}, title),
    element("desc", {}, description(timeline)),
    Shapes.styleElement,
    Shapes.definitions,
    element("rect", { class: "paper", x: 0.5, y: 0.5, width: width - 1, height: height - 1, rx: 8 }),
    line(title, 30, titleFont, width, { "font-weight": "600" }),
    line(Words.summary(timeline), 49, textFont, width, { class: "dim" }),
    bands,
    axis(chart, paper, top, bottom),
    circuits(chart, labelled, paper, top, bottom, telling),
    rows,
    signs.drawn
  )
  return `${drawn.markup}\n`
}
