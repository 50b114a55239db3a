/** What the signs mean: of those that were used. */
import { element, type Markup } from "./markup.ts"
import type { Timeline } from "../model.ts"
import * as Shapes from "./shapes.ts"
import * as Words from "./words.ts"

export interface Entry {
  readonly word: string
  readonly width: number
  /** Drawn from 0, 0, as wide as that and `height` high. */
  readonly drawing: ReadonlyArray<Markup>
}

export const height = 14
const middle = height / 2
const [narrow, wide] = [13, 34]

const bar = (shape: Shapes.Shape, y: number, height: number): ReadonlyArray<Markup> => {
  const box = { x: 0, y, width: 18, height, rx: 2 }
  const pattern = Shapes.patternOf(shape)
  return [
    element("rect", { class: shape === "abandoned" ? "hollow" : "bar", ...box }),
    ...(pattern === undefined ? [] : [element("rect", { ...box, fill: pattern })])
  ]
}

const outcome = (shape: Shapes.Shape, hasBar: boolean): Entry => ({
  word: Words.outcome[shape],
  width: hasBar ? wide : narrow,
  drawing: [
    element(
      "g",
      { class: shape },
      hasBar ? bar(shape, 2, 10) : undefined,
      element("use", {
        class: "glyph",
        href: Shapes.glyphOf(shape),
        x: hasBar ? 21 : 1,
        y: 1.5,
        width: 11,
        height: 11
      })
    )
  ]
})

const line = (word: string, attributes: Readonly<Record<string, string>>): Entry => ({
  word,
  width: wide,
  drawing: [element("line", { x1: 0, y1: middle, x2: wide - 3, y2: middle, ...attributes })]
})

const arrows = {
  dependency: "needs its result",
  resource: "uses the same resource",
  identical: "shares its result"
}

export const entries = ({ batches, circuits }: Timeline, hasCuts: boolean): ReadonlyArray<Entry> => {
  const lanes = batches.flatMap((batch) => batch.lanes)
  const spans = lanes.flatMap((lane) => lane.spans)
  const attempted = new Set<string>(spans.flatMap((span) => (span._tag === "Attempt" ? [span.outcome] : [])))
  const ended = new Set<string>(lanes.map((lane) => lane.outcome))
  const waits = new Set<string>(spans.flatMap((span) => (span._tag === "Wait" ? [Words.waitKind(span)] : [])))
  const whys = new Set<string>(batches.flatMap((batch) => batch.arrows.map(({ why }) => why)))
  const hasHedges = spans.some((span) => span._tag === "Attempt" && span.source === "hedge")
  const hedge: Entry = {
    word: "hedge: a second attempt beside the first",
    width: 20,
    drawing: [element("g", { class: "succeeded" }, bar("abandoned", 0, 5), bar("succeeded", 8, 5))]
  }
  const note: Entry = {
    word: "progress",
    width: narrow,
    drawing: [element("circle", { class: "mark", cx: narrow / 2, cy: middle, r: 3.5 })]
  }
  return [
    ...Shapes.all.flatMap((shape) =>
      attempted.has(shape) || ended.has(shape) ? [outcome(shape, attempted.has(shape))] : []
    ),
    ...(hasHedges ? [hedge] : []),
    ...Words.allWaitKinds.flatMap((kind) =>
      waits.has(kind) ? [line(Words.waitKinds[kind], { class: `wait ${kind}` })] : []
    ),
    ...Object.entries(arrows).flatMap(([why, word]) =>
      whys.has(why) ? [line(word, { class: `arrow ${why}`, "marker-end": "url(#salvo-arrow)" })] : []
    ),
    ...(circuits.length > 0 ? [line("circuit breaker changes", { class: "circuit Open" })] : []),
    ...(lanes.some(({ marks }) => marks.length > 0) ? [note] : []),
    ...(hasCuts ? [line("nothing happened: time left out", { class: "cut" })] : [])
  ]
}
