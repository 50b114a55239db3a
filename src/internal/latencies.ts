/** How long the recent executions of a tool took. */

/** So many are remembered. */
const remembered = 100

/** Fewer say nothing. */
const minimum = 20

const quantile = 0.95

export interface Latencies {
  readonly record: (millis: number) => void
  /** The 95th percentile, in milliseconds. */
  readonly p95: () => number | undefined
}

export const make = (): Latencies => {
  const recent: Array<number> = []
  let next = 0
  return {
    record: (millis) => {
      recent[next] = millis
      next = (next + 1) % remembered
    },
    p95: () =>
      recent.length < minimum
        ? undefined
        : recent.toSorted((a, b) => a - b)[Math.min(recent.length - 1, Math.ceil(recent.length * quantile) - 1)]
  }
}
