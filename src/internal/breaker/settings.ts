/** A breaker's policy with everything decided: plain JSON data, in milliseconds, so that a script in Redis reads it too. */

export interface CallWindow {
  readonly kind: "calls"
  readonly size: number
}

export interface TimeWindow {
  readonly kind: "time"
  readonly millis: number
}

export interface Settings {
  /** Failures in a row that trip; 0 for none. */
  readonly consecutive: number
  /** Rates of the window, 0 to 1, at or above which it trips; above 1 for never. */
  readonly failureRate: number
  readonly slowRate: number
  /** A call that takes longer than this is slow. */
  readonly slowMillis: number
  readonly window: CallWindow | TimeWindow
  readonly minimumCalls: number
  /** Whether the failures of one group (the parallel calls of one batch) count as one, in a row and in the window. */
  readonly groupStreak: boolean
  readonly groupWindow: boolean
  /** How long it stays open, by consecutive opening; the last one repeats. Never empty. */
  readonly openMillis: ReadonlyArray<number>
  /** How much of a failure's own `retryAfter` is obeyed. */
  readonly retryAfterCapMillis: number
  /** Half-open: how many probes have to come back, how many of them may fail, how many may run at once. */
  readonly probes: number
  readonly probeFailures: number
  readonly probeConcurrency: number
  /** How long a probe keeps its slot. */
  readonly leaseMillis: number
  /** How long half-open may go without a probe, and what then; 0 for ever. */
  readonly halfOpenMillis: number
  readonly halfOpenBecomes: "open" | "closed"
  readonly metricsOnly: boolean
}

/** Longest wait that timers and Redis take without trouble: some 24 days. */
export const maxMillis = 2 ** 31 - 1

/** How long the breaker opens for after `openings` openings without a close in between. */
export const openFor = (settings: Settings, openings: number, retryAfterMillis: number): number => {
  const { openMillis, retryAfterCapMillis } = settings
  const delay = openMillis[Math.min(openings, openMillis.length - 1)] ?? 0
  return Math.min(maxMillis, Math.max(delay, Math.min(retryAfterMillis, retryAfterCapMillis)))
}

/** Rates are taken of so many calls where the policy names no window. */
export const defaultWindow = 100

/** A time window is counted in so many buckets. */
export const buckets = 10
