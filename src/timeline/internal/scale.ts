/** Time -> place, and the ticks of the axis. Long stretches in which no call was open are cut. */

export interface Piece {
  /** In milliseconds since the start of the picture. */
  readonly from: number
  readonly to: number
  /** As parts of the whole width, 0 to 1. */
  readonly left: number
  readonly right: number
  readonly isCut: boolean
}

export interface Scale {
  readonly pieces: ReadonlyArray<Piece>
  /** The place of a moment, 0 to 1. */
  readonly at: (millis: number) => number
}

export interface Interval {
  readonly from: number
  readonly to: number
}

/** Gaps may take this much of the time in which something happened before they are cut. */
const tolerated = 0.3
/** The width of a cut, as a part of the time in which something happened. */
const cutWidth = 0.07

const merged = (intervals: ReadonlyArray<Interval>): ReadonlyArray<Interval> => {
  const busy: Array<{ readonly from: number; to: number }> = []
  for (const { from, to } of intervals.toSorted((a, b) => a.from - b.from)) {
    const last = busy.at(-1)
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to)
    else busy.push({ from, to })
  }
  return busy
}

interface Stretch extends Interval {
  readonly isCut: boolean
}

/** Stretches of work, and the gaps between them that are too long to be drawn. */
const stretches = (total: number, intervals: ReadonlyArray<Interval>): ReadonlyArray<Stretch> => {
  const busy = merged(intervals)
  const gaps = busy.slice(1).map(({ from }, i) => ({ from: busy[i]?.to ?? from, to: from }))
  const worked = busy.reduce((sum, { from, to }) => sum + to - from, 0)
  const longest = (tolerated * worked) / Math.max(1, gaps.length)
  const found: Array<Stretch> = []
  let from = 0
  for (const gap of worked === 0 ? [] : gaps) {
    if (gap.to - gap.from <= longest) continue
    found.push({ from, to: gap.from, isCut: false }, { ...gap, isCut: true })
    from = gap.to
  }
  return [...found, { from, to: total, isCut: false }]
}

/** `intervals` are those in which something happened, in milliseconds since the start. */
export const make = (total: number, intervals: ReadonlyArray<Interval>): Scale => {
  const found = stretches(Math.max(1, total), intervals)
  const cuts = found.filter(({ isCut }) => isCut).length
  const drawn = found.reduce((sum, { from, isCut, to }) => sum + (isCut ? 0 : to - from), 0)
  const cut = Math.min(cutWidth, 0.5 / Math.max(1, cuts)) * drawn
  const whole = drawn + cuts * cut
  let left = 0
  const pieces = found.map(({ from, isCut, to }): Piece => {
    const right = left + (isCut ? cut : to - from) / whole
    const piece = { from, to, isCut, left, right }
    left = right
    return piece
  })
  const at = (millis: number): number => {
    const piece = pieces.find(({ to }) => millis <= to) ?? pieces.at(-1)
    if (piece === undefined) return 0
    const length = piece.to - piece.from
    const part = length === 0 ? 0 : (millis - piece.from) / length
    return Math.min(1, Math.max(0, piece.left + part * (piece.right - piece.left)))
  }
  return { pieces, at }
}

const second = 1000
const minute = 60 * second
const hour = 60 * minute
const steps = [
  [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500],
  [1, 2, 5, 10, 15, 30].map((n) => n * second),
  [1, 2, 5, 10, 15, 30].map((n) => n * minute),
  [1, 2, 3, 6, 12, 24].map((n) => n * hour)
].flat()
const day = 24 * hour

const stepOf = (least: number): number => steps.find((step) => step >= least) ?? Math.ceil(least / day) * day

export interface Ticks {
  readonly step: number
  readonly moments: ReadonlyArray<number>
}

/** Round moments, at least `spacing` (a part of the width) apart. */
export const ticks = (scale: Scale, spacing: number): Ticks => {
  const drawn = scale.pieces.filter(({ isCut }) => !isCut)
  const millis = drawn.reduce((sum, { from, to }) => sum + to - from, 0)
  const width = drawn.reduce((sum, { left, right }) => sum + right - left, 0)
  const step = stepOf((millis / width) * spacing)
  const found: Array<number> = []
  let last = Number.NEGATIVE_INFINITY
  for (const { from, to } of drawn) {
    for (let n = Math.ceil(from / step); n * step <= to; n++) {
      const place = scale.at(n * step)
      if (place - last < spacing * 0.9) continue
      last = place
      found.push(n * step)
    }
  }
  return { step, moments: found }
}
