/** What an image and a page share: the scale, the density, and what runs from lane to lane. */
import { type Paper, type Density, densityFor, heightOf, middleOf } from "./draw.ts"
import { element, type Markup } from "./markup.ts"
import type { Batch, CircuitChange, Lane, Timeline } from "../model.ts"
import * as Scale from "./scale.ts"
import { columns, fitted } from "./text.ts"
import * as Words from "./words.ts"

/** How wide a character is at most, as a part of the font's size. */
export const fontFactor = 0.61

export interface Chart {
  readonly timeline: Timeline
  readonly lanes: ReadonlyArray<Lane>
  readonly scale: Scale.Scale
  readonly cuts: ReadonlyArray<Scale.Piece>
  readonly density: Density
  readonly place: (at: number) => number
}

export const make = (timeline: Timeline): Chart => {
  const { batches, from, to } = timeline
  const lanes = batches.flatMap((batch) => batch.lanes)
  const open = lanes.map((lane) => ({ from: lane.from - from, to: lane.to - from }))
  const scale = Scale.make(to - from, open)
  return {
    timeline,
    lanes,
    scale,
    cuts: scale.pieces.filter(({ isCut }) => isCut),
    density: densityFor(lanes.length),
    place: (at) => scale.at(at - from)
  }
}

/** Where the lanes of a batch begin, from `top` on, by their index; and where the last one ends. */
export const layout = ({ lanes }: Batch, density: Density, top: number) => {
  const tops = new Map<number, number>()
  let bottom = top
  for (const lane of lanes) {
    tops.set(lane.index, bottom)
    bottom += heightOf(lane, density)
  }
  return { tops, end: bottom }
}

/**
 * From the end of a lane, below (or above) what stands behind it, then down or up to the start of the other. Line by
 * line, as a path knows no per cent.
 */
export const arrows = (
  { arrows }: Batch,
  tops: ReadonlyMap<number, number>,
  density: Density,
  paper: Paper
): ReadonlyArray<Markup> =>
  arrows.map(({ arrives, from, leaves, to, why }) => {
    const [start, end] = [middleOf(0, tops.get(from) ?? 0, density), middleOf(0, tops.get(to) ?? 0, density)]
    const [x1, x2] = [paper.x(leaves), paper.x(arrives)]
    const direction = Math.sign(end - start)
    const edge = start + (direction * density.bar) / 2
    const along = start + direction * (density.glyph / 2 + 2)
    return element(
      "g",
      { class: `arrow ${why}`, "data-from": from, "data-to": to },
      leaves < arrives
        ? [element("line", { x1, y1: edge, x2: x1, y2: along }), element("line", { x1, y1: along, x2, y2: along })]
        : undefined,
      element("line", {
        x1: x2,
        y1: leaves < arrives ? along : edge,
        x2,
        y2: end - direction * (density.bar / 2 + 1),
        "marker-end": "url(#salvo-arrow)"
      })
    )
  })

/** The side of a moment on which its label stands. */
export type Side = "left" | "right"

export interface Labelled {
  readonly change: CircuitChange
  readonly side: Side
  /** Which row its label has room in, if any. */
  readonly row: number | undefined
}

const maxRows = 3
export const circuitFont = 11
export const circuitHeight = 14
const longestLabel = 40

export const circuitLabel = (change: CircuitChange): string => fitted(Words.circuit(change), longestLabel)

export const beside = (side: Side, gap: number) => ({
  dx: side === "right" ? gap : -gap,
  "text-anchor": side === "right" ? "start" : "end",
  "font-size": circuitFont
})

/** Labels that would overlap go to rows of their own, as far as there are any. */
export const circuitRows = (chart: Chart, pixels: number): ReadonlyArray<Labelled> => {
  const ends: Array<number> = []
  return chart.timeline.circuits.map((change) => {
    const at = chart.place(change.at) * pixels
    const width = columns(circuitLabel(change)) * circuitFont * fontFactor + 10
    const side = at + width > pixels ? "left" : "right"
    const [left, right] = side === "left" ? [at - width, at] : [at, at + width]
    const free = ends.findIndex((end) => end <= left)
    const row = free >= 0 ? free : ends.length < maxRows ? ends.length : undefined
    if (row !== undefined) ends[row] = right
    return { change, side, row }
  })
}

export const rowsOf = (labelled: ReadonlyArray<Labelled>): number =>
  labelled.reduce((rows, { row }) => Math.max(rows, row === undefined ? 0 : row + 1), 0)
