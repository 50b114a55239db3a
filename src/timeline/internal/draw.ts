/** A lane's life, attempts, waits and notes; the same for a page, in per cent, as for an image, in pixels. */
import { type Attributes, element, type Markup } from "./markup.ts"
import type { Attempt, Lane, Mark, Wait } from "../model.ts"
import * as Shapes from "./shapes.ts"
import { columns } from "./text.ts"
import * as Words from "./words.ts"

/** Where things go from left to right. */
export interface Paper {
  readonly x: (at: number) => string | number
  readonly width: (from: number, to: number) => string | number
  /** The place of a moment, 0 to 1. */
  readonly place: (at: number) => number
  /** How wide the whole is, at least. */
  readonly pixels: number
  /** What a bar has besides, to be reached by the keyboard. */
  readonly cell: Attributes
}

export interface Density {
  readonly name: "roomy" | "close" | "tight"
  readonly row: number
  readonly bar: number
  readonly font: number
  readonly glyph: number
}

const roomy: Density = { name: "roomy", row: 28, bar: 14, font: 12, glyph: 13 }
const close: Density = { name: "close", row: 19, bar: 10, font: 11, glyph: 10 }
const tight: Density = { name: "tight", row: 13, bar: 7, font: 9.5, glyph: 8 }

/** The more lanes, the thinner they are. */
export const densityFor = (lanes: number): Density => (lanes <= 40 ? roomy : lanes <= 150 ? close : tight)

/** Between the two rows of a lane whose attempts run beside each other. */
const rowGap = 3

export const heightOf = ({ spans }: Lane, { bar, row }: Density): number =>
  spans.some((span) => span.row === 1) ? row + bar + rowGap : row

export const middleOf = (row: 0 | 1, top: number, { bar, row: height }: Density): number =>
  top + height / 2 + row * (bar + rowGap)

const title = (lines: ReadonlyArray<string>): Markup => element("title", {}, lines.join("\n"))

const cell = (
  paper: Paper,
  shape: string,
  lines: ReadonlyArray<string>,
  ...drawn: ReadonlyArray<Markup | undefined>
): Markup => element("g", { class: `cell ${shape}`, ...paper.cell }, title(lines), drawn)

/** `slot` counts glyphs that stand at the same place already. */
const glyph = (paper: Paper, shape: Shapes.Shape, at: number, y: number, size: number, slot = 0): Markup =>
  element("use", {
    class: "glyph",
    href: Shapes.glyphOf(shape),
    x: paper.x(at),
    y,
    width: size,
    height: size,
    transform: `translate(${4 + slot * (size + 2)} ${-size / 2})`
  })

/** What is there to be pointed at, which may be larger than what is seen. */
const touch = (paper: Paper, { from, to }: { readonly from: number; readonly to: number }, y: number, height: number) =>
  element("rect", { class: "touch", x: paper.x(from), y: y - height / 2, width: paper.width(from, to), height })

const fits = (text: string, pixels: number, font: number): boolean => columns(text) * font * 0.62 + 8 <= pixels

const pixelsOf = (paper: Paper, from: number, to: number): number =>
  (paper.place(to) - paper.place(from)) * paper.pixels

interface Drawing {
  readonly paper: Paper
  readonly density: Density
  readonly telling: Words.Telling
  readonly lane: Lane
  readonly top: number
}

const drawWait = ({ density, lane, paper, telling, top }: Drawing, wait: Wait): Markup => {
  const y = middleOf(wait.row, top, density)
  const kind = Words.waitKind(wait)
  const label = Words.waitLabel(wait)
  const font = density.font - 2
  // After an attempt comes its glyph.
  const dx = kind === "retry" ? density.glyph + 8 : 4
  const hasRoom = density === roomy && fits(label, pixelsOf(paper, wait.from, wait.to) - dx, font)
  return cell(
    paper,
    "waits",
    Words.waitLines(lane, wait, telling),
    touch(paper, wait, y, density.bar),
    element("line", { class: `wait ${kind}`, x1: paper.x(wait.from), y1: y, x2: paper.x(wait.to), y2: y }),
    hasRoom
      ? element("text", { class: "dim", x: paper.x(wait.from), dx, y: y - 5, "font-size": font }, label)
      : undefined
  )
}

const barOf = (paper: Paper, attempt: Attempt, y: number, height: number): ReadonlyArray<Markup> => {
  const [x, width] = [paper.x(attempt.from), paper.width(attempt.from, attempt.to)]
  const box = { x, y: y - height / 2, width, height, rx: 2 }
  const pattern = Shapes.patternOf(attempt.outcome)
  return [
    element("rect", { class: attempt.outcome === "abandoned" ? "hollow" : "bar", ...box }),
    ...(pattern === undefined ? [] : [element("rect", { ...box, fill: pattern })])
  ]
}

/** Whether an attempt's sign fits behind its bar: what comes next in the row begins far enough away. */
const hasSign = ({ density, lane, paper }: Drawing, attempt: Attempt): boolean => {
  const next = lane.spans.find(
    (span) => span._tag === "Attempt" && span.row === attempt.row && span !== attempt && span.from >= attempt.to
  )
  return next === undefined || pixelsOf(paper, attempt.to, next.from) > density.glyph + 4
}

const drawAttempt = (drawing: Drawing, attempt: Attempt, isDecisive: boolean): Markup => {
  const { density, lane, paper, telling, top } = drawing
  const y = middleOf(attempt.row, top, density)
  const label = attempt.source === "hedge" ? "hedge" : String(attempt.attempt)
  const isFull = attempt.outcome === "succeeded"
  const hasRoom =
    density === roomy &&
    (attempt.attempt > 1 || attempt.source === "hedge") &&
    isFull &&
    fits(label, pixelsOf(paper, attempt.from, attempt.to), density.font - 2)
  return cell(
    paper,
    attempt.outcome,
    Words.attemptLines(lane, attempt, telling),
    touch(paper, attempt, y, density.row),
    ...barOf(paper, attempt, y, density.bar),
    hasRoom
      ? element(
          "text",
          { class: "inside", x: paper.x(attempt.from), dx: 4, y: y + 3.5, "font-size": density.font - 2 },
          label
        )
      : undefined,
    isDecisive || !hasSign(drawing, attempt) ? undefined : glyph(paper, attempt.outcome, attempt.to, y, density.glyph)
  )
}

/** Notes that would be drawn on top of each other become one. */
const noteSpacing = 1 / 150

const drawMarks = ({ density, lane, paper, telling, top }: Drawing): ReadonlyArray<readonly [number, Markup]> => {
  const groups: Array<{ readonly mark: Mark; more: number }> = []
  for (const mark of lane.marks) {
    const last = groups.at(-1)
    if (last !== undefined && paper.place(mark.at) - paper.place(last.mark.at) < noteSpacing) last.more++
    else groups.push({ mark, more: 0 })
  }
  const y = middleOf(0, top, density)
  return groups.map(({ mark, more }) => [
    mark.at,
    cell(
      paper,
      "note",
      Words.markLines(lane, mark, more, telling),
      element("circle", { class: "mark", cx: paper.x(mark.at), cy: y, r: density.bar / 4 })
    )
  ])
}

/** Ends that are closer than this stand side by side. */
const crowded = 1 / 40

/** The attempt that decided the call, if any: the call's glyph is then its, too. */
const decisiveOf = ({ outcome, spans }: Lane): Attempt | undefined =>
  spans.findLast((span): span is Attempt => span._tag === "Attempt" && span.outcome === outcome)

const drawEnding = (drawing: Drawing, decisive: Attempt | undefined): Markup => {
  const { density, lane, paper, top } = drawing
  const row = decisive?.row ?? 0
  const y = middleOf(row, top, density)
  const isCrowded = lane.spans.some(
    (span) =>
      span._tag === "Attempt" &&
      span !== decisive &&
      span.row === row &&
      hasSign(drawing, span) &&
      Math.abs(paper.place(lane.to) - paper.place(span.to)) < crowded
  )
  const at = decisive === undefined ? lane.to : Math.max(lane.to, decisive.to)
  const slot = isCrowded ? 1 : 0
  return element(
    "g",
    { class: `ending ${lane.outcome}` },
    title([`${Words.name(lane)}: ${Words.verdict(lane)}`]),
    glyph(paper, lane.outcome, at, y, density.glyph, slot),
    Words.mayHaveTakenEffect(lane)
      ? element("g", { class: "unknown" }, glyph(paper, "unknown", at, y, density.glyph, slot + 1))
      : undefined
  )
}

/** A lane, without its name: from left to right, all that can be pointed at. */
export const lane = (drawing: Drawing): ReadonlyArray<Markup> => {
  const { density, lane, paper, top } = drawing
  const y = middleOf(0, top, density)
  const decisive = decisiveOf(lane)
  const spans = lane.spans
    .filter((span) => span._tag === "Attempt" || span.to > span.from)
    .map((span): readonly [number, Markup] => [
      span.from,
      span._tag === "Wait" ? drawWait(drawing, span) : drawAttempt(drawing, span, span === decisive)
    ])
  const cells = [...spans, ...drawMarks(drawing)].toSorted(([a], [b]) => a - b).map(([, markup]) => markup)
  return [
    element("line", { class: "life", x1: paper.x(lane.from), y1: y, x2: paper.x(lane.to), y2: y }),
    ...cells,
    drawEnding(drawing, decisive)
  ]
}
