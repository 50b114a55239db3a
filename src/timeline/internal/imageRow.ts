/** A lane of an image: its number and name, what is drawn of it, its verdict and how long it took. */
import { type Chart, fontFactor } from "./chart.ts"
import { heightOf, lane as drawLane, middleOf, type Paper } from "./draw.ts"
import { element, type Markup } from "./markup.ts"
import type { Lane } from "../model.ts"
import { columns, duration, fitted } from "./text.ts"
import * as Words from "./words.ts"

export const margin = 20
/** Signs stand behind the end of the last bar. */
const rightOfPlot = 42
const longestName = 28

export interface Columns {
  readonly width: number
  readonly name: number
  readonly nameColumns: number
  readonly plot: number
  readonly plotWidth: number
  readonly verdict: number
}

const lifetime = ({ from, to }: Lane): string => duration(to - from)

/** Names and verdicts take what they need, the plot takes the rest. */
export const columnsOf = (lanes: ReadonlyArray<Lane>, width: number, font: number): Columns => {
  const longest = (text: (lane: Lane) => string): number =>
    lanes.reduce((most, lane) => Math.max(most, columns(text(lane))), 0)
  const em = font * fontFactor
  const nameColumns = Math.min(longest(Words.name), longestName)
  const name = margin + (String(lanes.length).length + 1) * em
  const plot = name + nameColumns * em + 12
  const verdict = width - margin - (longest(Words.verdict) + longest(lifetime)) * em - 12
  return { width, name, nameColumns, plot, plotWidth: verdict - rightOfPlot - plot, verdict }
}

/** Every other row stands on a band. */
export const band = (lane: Lane, position: number, top: number, { density }: Chart, { width }: Columns): Markup =>
  element("rect", {
    class: position % 2 === 0 ? "band" : "touch",
    x: margin / 2,
    y: top,
    width: width - margin,
    height: heightOf(lane, density)
  })

export const row = (
  lane: Lane,
  top: number,
  { density }: Chart,
  place: Columns,
  paper: Paper,
  telling: Words.Telling
): Markup => {
  const y = middleOf(0, top, density) + density.font * 0.35
  const size = { y, "font-size": density.font }
  const right = { x: place.width - margin, "text-anchor": "end" }
  return element(
    "g",
    {},
    element("title", {}, Words.laneLines(lane, telling).join("\n")),
    element("text", { class: "dim", x: place.name - 7, "text-anchor": "end", ...size }, String(lane.index + 1)),
    element("text", { class: "name", x: place.name, ...size }, fitted(Words.name(lane), place.nameColumns)),
    drawLane({ paper, density, telling, lane, top }),
    element("text", { class: `verdict ${lane.outcome}`, x: place.verdict, ...size }, Words.verdict(lane)),
    element("text", { class: "dim", ...right, ...size }, lifetime(lane))
  )
}
