/** A breaker looked at from the outside: what is known of it now, and what is kept of it for another process. Pure. */
import * as Machine from "./machine.ts"
import type { Settings } from "./settings.ts"
import * as Window from "./window.ts"

export interface Status extends Window.Counts {
  readonly mode: Machine.Mode
  readonly retryAfterMillis: number | undefined
  readonly failureRate: number | undefined
  readonly slowRate: number | undefined
  /** Failures in a row. */
  readonly streak: number
  /** How often it opened since it was last closed. */
  readonly openings: number
  /** Probes that are under way. */
  readonly probing: number
  /** Calls that `admit` turned away in this process. */
  readonly rejected: number
  readonly lastFailure: string | undefined
}

/** What is known of a breaker at a moment: the state as time has left it. Who was turned away is no part of it. */
export const status = (before: Machine.State, settings: Settings, now: number): Omit<Status, "rejected"> => {
  const state = Machine.settle(before, settings, now)
  const window = state.mode === "HalfOpen" ? state.probed : Window.current(state.window, settings, now)
  const minimum = state.mode === "HalfOpen" ? 1 : settings.minimumCalls
  const rate = (n: number) => (window.calls < minimum ? undefined : n / window.calls)
  return {
    mode: state.mode,
    retryAfterMillis: state.mode === "Open" ? state.openUntil - now : undefined,
    calls: window.calls,
    failures: window.failures,
    slow: window.slow,
    failureRate: rate(window.failures),
    slowRate: rate(window.slow),
    streak: state.streak,
    openings: state.openings,
    probing: state.probes.length,
    lastFailure: state.lastFailure
  }
}

/** A state without any moment of a clock, to be stored and read back by another process. */
export interface Snapshot {
  readonly mode: "Closed" | "Open"
  readonly remainingMillis: number
  readonly openings: number
  readonly streak: number
  readonly ring: string
  /** The buckets of a time window, by how many buckets ago. */
  readonly buckets: ReadonlyArray<Window.Bucket>
  readonly lastFailure: string | undefined
}

/** Probes are not handed on: a half-open circuit is kept as an open one whose time is up. */
export const exported = (before: Machine.State, settings: Settings, now: number): Snapshot => {
  const state = Machine.settle(before, settings, now)
  const window = Window.current(state.window, settings, now)
  const closed = state.mode === "Closed" || state.mode === "Isolated"
  return {
    mode: closed ? "Closed" : "Open",
    remainingMillis: state.mode === "Open" ? state.openUntil - now : 0,
    openings: closed ? 0 : state.openings,
    streak: state.streak,
    ring: Window.ring(window),
    buckets: Window.aged(window, settings, now),
    lastFailure: state.lastFailure
  }
}

/** Takes over a snapshot, in a new era. Isolation stays what it is. */
export const imported = (state: Machine.State, settings: Settings, now: number, snapshot: Snapshot): Machine.State => {
  if (state.mode === "Isolated") return state
  const { lastFailure, openings, streak } = snapshot
  return snapshot.mode === "Open"
    ? Machine.enter(state, "Open", "restored", { openUntil: now + snapshot.remainingMillis, openings, lastFailure })
    : Machine.enter(state, "Closed", "restored", {
        openings,
        streak,
        lastFailure,
        window: Window.restored(snapshot, settings, now)
      })
}
