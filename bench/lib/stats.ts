/** What many measurements of one thing say: the middle one, and how far the others lie around it. */

export interface Summary {
  readonly median: number
  /** The quartiles: half of all measurements lie between them. */
  readonly q1: number
  readonly q3: number
}

/** The value below which a share `p` of all lie, interpolated. */
export const quantile = (values: ReadonlyArray<number>, p: number): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * p
  const low = sorted[Math.floor(at)] ?? Number.NaN
  const high = sorted[Math.ceil(at)] ?? Number.NaN
  return low + (high - low) * (at - Math.floor(at))
}

export const median = (values: ReadonlyArray<number>): number => quantile(values, 0.5)

export const summary = (values: ReadonlyArray<number>): Summary => ({
  median: median(values),
  q1: quantile(values, 0.25),
  q3: quantile(values, 0.75)
})

/** How many times the baseline it takes, from pairs measured in the same round. */
export const ratio = (values: ReadonlyArray<number>, baseline: ReadonlyArray<number>): Summary =>
  summary(values.flatMap((value, round) => (baseline[round] === undefined ? [] : [value / baseline[round]])))
