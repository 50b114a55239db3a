/**
 * The circuit breaker's state machine. Pure: (state, settings, now, event) -> [verdict,] state. `now` is in
 * milliseconds of any clock that does not go back; nothing here waits, and no timer is ever set: an open circuit becomes
 * half-open when somebody asks after its time is up.
 *
 * - Every change of mode begins a new era. An outcome that belongs to a call of an older era changes nothing: a late
 *   failure cannot open, nor a late success close, a circuit that has moved on.
 * - A half-open circuit hands out probes under a lease. A probe that hangs loses its slot when the lease ends; its late
 *   outcome changes nothing. One that is interrupted, or says nothing about the dependency, gives its slot back.
 */
import { openFor, type Settings } from "./settings.ts"
import * as Window from "./window.ts"

export type Mode = "Closed" | "Open" | "HalfOpen" | "Isolated"

export type Reason =
  | "consecutive"
  | "failure rate"
  | "slow rate"
  | "probe failed"
  | "probes succeeded"
  | "time is up"
  | "no probe came"
  | "isolated"
  | "released"
  | "reset"
  | "restored"

export interface Probe {
  readonly token: string
  readonly leaseEnds: number
}

export interface State {
  readonly mode: Mode
  /** Grows with every change of mode. */
  readonly era: number
  /** Why it is in this mode, and the counts that decided it. */
  readonly reason: Reason
  readonly decidedBy: Window.Counts
  readonly window: Window.Window
  /** Failures in a row. */
  readonly streak: number
  /** The groups whose failure has been counted, newest last. */
  readonly groups: ReadonlyArray<string>
  readonly openUntil: number
  /** How often it opened since it was last closed. */
  readonly openings: number
  readonly probes: ReadonlyArray<Probe>
  readonly probed: Window.Counts
  /** When a half-open circuit last handed out, got back or lost a probe. */
  readonly lastProbe: number
  /** Who holds it isolated. */
  readonly isolations: ReadonlyArray<string>
  readonly lastFailure: string | undefined
}

const noCounts: Window.Counts = { calls: 0, failures: 0, slow: 0 }

export const initial: State = {
  mode: "Closed",
  era: 1,
  reason: "reset",
  decidedBy: noCounts,
  window: Window.empty,
  streak: 0,
  groups: [],
  openUntil: 0,
  openings: 0,
  probes: [],
  probed: noCounts,
  lastProbe: 0,
  isolations: [],
  lastFailure: undefined
}

/** What an admitted call hands back with its outcome. `token` is a probe's. */
export interface Permit {
  readonly era: number
  readonly token: string | undefined
  /** When it was let through; `NaN`, which makes no call a slow one, where nobody looked at the clock. */
  readonly startedAt: number
}

export interface Rejected {
  readonly _tag: "Rejected"
  readonly mode: Exclude<Mode, "Closed">
  readonly retryAfterMillis: number | undefined
  readonly lastFailure: string | undefined
}

export type Verdict = { readonly _tag: "Admitted"; readonly permit: Permit } | Rejected

export type Outcome =
  | { readonly _tag: "Success" }
  | {
      readonly _tag: "Failure"
      readonly retryAfterMillis: number
      readonly cause: string | undefined
      /** Failures of one group may count as one. */
      readonly group: string | undefined
    }
  | { readonly _tag: "Ignored" }

/** More groups than ever fail at once. */
const maxGroups = 64

/** Begins a new era in a mode, with all that went before forgotten but for what is named. */
export const enter = (state: State, mode: Mode, reason: Reason, changes: Partial<State> = {}): State => ({
  ...initial,
  mode,
  era: state.era + 1,
  reason,
  openings: state.openings,
  lastFailure: state.lastFailure,
  ...changes
})

const close = (state: State, reason: Reason, decidedBy = noCounts): State =>
  enter(state, "Closed", reason, { openings: 0, decidedBy })

const open = (
  state: State,
  settings: Settings,
  from: number,
  reason: Reason,
  { calls, failures, slow }: Window.Counts,
  retryAfterMillis = 0
): State =>
  enter(state, "Open", reason, {
    openUntil: from + openFor(settings, state.openings, retryAfterMillis),
    openings: state.openings + 1,
    decidedBy: { calls, failures, slow }
  })

/** Takes their slots from the probes whose leases have ended: from then on it is without them. */
const withoutLapsed = (state: State, now: number): State => {
  const lapsed = state.probes.filter((probe) => now >= probe.leaseEnds)
  if (lapsed.length === 0) return state
  const probes = state.probes.filter((probe) => now < probe.leaseEnds)
  return { ...state, probes, lastProbe: Math.max(state.lastProbe, ...lapsed.map((probe) => probe.leaseEnds)) }
}

/** What time alone has changed. */
export const settle = (before: State, settings: Settings, now: number): State => {
  if (before.mode === "Open" && now >= before.openUntil) {
    return enter(before, "HalfOpen", "time is up", { lastProbe: now })
  }
  if (before.mode !== "HalfOpen") return before
  const state = withoutLapsed(before, now)
  const { halfOpenBecomes, halfOpenMillis } = settings
  const idleUntil = state.lastProbe + halfOpenMillis
  if (halfOpenMillis === 0 || state.probes.length > 0 || now < idleUntil) return state
  if (halfOpenBecomes === "closed") return close(state, "no probe came", state.probed)
  // The time it was then open for may have passed as well.
  return settle(open(state, settings, idleUntil, "no probe came", state.probed), settings, now)
}

const reject = (
  state: State,
  mode: Rejected["mode"],
  retryAfterMillis: number | undefined
): readonly [Rejected, State] => [{ _tag: "Rejected", mode, retryAfterMillis, lastFailure: state.lastFailure }, state]

/** Whether another probe may go out: so many in all, and so many at once. */
const hasProbe = (state: State, settings: Settings): boolean =>
  state.probes.length < settings.probeConcurrency && state.probed.calls + state.probes.length < settings.probes

/** Asks for a call to be let through. `nextToken` names it, should it become a probe. */
export const admit = (
  before: State,
  settings: Settings,
  now: number,
  nextToken: () => string
): readonly [Verdict, State] => {
  const state = before.mode === "Closed" ? before : settle(before, settings, now)
  switch (state.mode) {
    case "Closed":
      return [{ _tag: "Admitted", permit: { era: state.era, token: undefined, startedAt: now } }, state]
    case "Isolated":
      return reject(state, "Isolated", undefined)
    case "Open":
      return reject(state, "Open", state.openUntil - now)
    case "HalfOpen": {
      if (!hasProbe(state, settings)) {
        return reject(state, "HalfOpen", Math.min(...state.probes.map((probe) => probe.leaseEnds)) - now)
      }
      const token = nextToken()
      const probe = { token, leaseEnds: now + settings.leaseMillis }
      return [
        { _tag: "Admitted", permit: { era: state.era, token, startedAt: now } },
        { ...state, probes: [...state.probes, probe], lastProbe: now }
      ]
    }
  }
}

/** Whether a call would be turned away, without taking a probe's slot or counting it. */
export const check = (before: State, settings: Settings, now: number): Rejected | undefined => {
  if (before.mode === "Closed") return undefined
  const [verdict] = admit(before, settings, now, () => "")
  return verdict._tag === "Rejected" ? verdict : undefined
}

/** Why a closed circuit has to open, if it has to. */
export const tripped = (state: State, settings: Settings): "consecutive" | "failure rate" | "slow rate" | undefined => {
  if (settings.consecutive > 0 && state.streak >= settings.consecutive) return "consecutive"
  const { calls, failures, slow } = state.window
  if (calls < settings.minimumCalls) return undefined
  // At or above trips. Divided, not multiplied out: 3 / 30 is the very number that is written 0.1.
  if (failures > 0 && failures / calls >= settings.failureRate) return "failure rate"
  if (slow > 0 && slow / calls >= settings.slowRate) return "slow rate"
  return undefined
}

const hasWindow = (settings: Settings): boolean => settings.failureRate <= 1 || settings.slowRate <= 1

/** Whether a call that ends now was slow. */
export const isSlow = (permit: Permit, settings: Settings, now: number): boolean =>
  settings.slowRate <= 1 && now - permit.startedAt > settings.slowMillis

type Counted = Exclude<Outcome, { _tag: "Ignored" }>

/** Counts an outcome of a closed circuit, without deciding anything. */
const count = (state: State, settings: Settings, now: number, slow: boolean, outcome: Counted): State => {
  const failed = outcome._tag === "Failure"
  if (!failed && state.streak === 0 && !hasWindow(settings)) return state
  const group = failed ? outcome.group : undefined
  const again = group !== undefined && state.groups.includes(group)
  const counted = !(again && settings.groupWindow)
  return {
    // Field by field: a spread takes five times as long, and this is done for every call.
    mode: state.mode,
    era: state.era,
    reason: state.reason,
    decidedBy: state.decidedBy,
    window:
      hasWindow(settings) && counted
        ? Window.add(state.window, settings, Window.codeOf(failed, slow), now)
        : Window.current(state.window, settings, now),
    streak: !failed ? 0 : again && settings.groupStreak ? Math.max(1, state.streak) : state.streak + 1,
    groups: group === undefined || again ? state.groups : [...state.groups.slice(1 - maxGroups), group],
    openUntil: state.openUntil,
    openings: state.openings,
    probes: state.probes,
    probed: state.probed,
    lastProbe: state.lastProbe,
    isolations: state.isolations,
    lastFailure: failed ? outcome.cause : state.lastFailure
  }
}

const retryAfterOf = (outcome: Outcome): number => (outcome._tag === "Failure" ? outcome.retryAfterMillis : 0)

const recordClosed = (state: State, settings: Settings, now: number, permit: Permit, outcome: Counted): State => {
  const counted = count(state, settings, now, isSlow(permit, settings, now), outcome)
  const reason = counted === state ? undefined : tripped(counted, settings)
  return reason === undefined ? counted : open(counted, settings, now, reason, counted.window, retryAfterOf(outcome))
}

const recordProbe = (state: State, settings: Settings, now: number, permit: Permit, outcome: Outcome): State => {
  const probes = state.probes.filter((probe) => probe.token !== permit.token)
  if (probes.length === state.probes.length) return state
  if (outcome._tag === "Ignored") return { ...state, probes, lastProbe: now }
  const slow = isSlow(permit, settings, now)
  const failed = outcome._tag === "Failure" || slow
  const probed = {
    calls: state.probed.calls + 1,
    failures: state.probed.failures + (failed ? 1 : 0),
    slow: state.probed.slow + (slow ? 1 : 0)
  }
  const lastFailure = outcome._tag === "Failure" ? outcome.cause : state.lastFailure
  const next = { ...state, probes, probed, lastFailure, lastProbe: now }
  if (probed.failures > settings.probeFailures) {
    return open(next, settings, now, "probe failed", probed, retryAfterOf(outcome))
  }
  return probed.calls >= settings.probes ? close(next, "probes succeeded", probed) : next
}

/** Whether `record` would change nothing, whatever the time is: of a success as a rule. */
export const isIdle = (state: State, settings: Settings, permit: Permit, outcome: Outcome): boolean =>
  permit.token === undefined &&
  (permit.era !== state.era ||
    state.mode !== "Closed" ||
    outcome._tag === "Ignored" ||
    (outcome._tag === "Success" && state.streak === 0 && !hasWindow(settings)))

/** Takes note of how an admitted call ended. */
export const record = (before: State, settings: Settings, now: number, permit: Permit, outcome: Outcome): State => {
  if (permit.era !== before.era) return before
  if (permit.token !== undefined) {
    const state = settle(before, settings, now)
    return state.mode === "HalfOpen" ? recordProbe(state, settings, now, permit, outcome) : state
  }
  return before.mode !== "Closed" || outcome._tag === "Ignored"
    ? before
    : recordClosed(before, settings, now, permit, outcome)
}

/** Takes the circuit out of service until everyone who isolated it has released it. */
export const isolate = (state: State, holder: string): State => {
  const isolations = [...state.isolations, holder]
  return state.mode === "Isolated" ? { ...state, isolations } : enter(state, "Isolated", "isolated", { isolations })
}

/** The last one to release it closes it. */
export const release = (state: State, holder: string): State => {
  if (state.mode !== "Isolated") return state
  const isolations = state.isolations.filter((other) => other !== holder)
  return isolations.length === 0 ? close(state, "released") : { ...state, isolations }
}

/** Closes it and forgets all outcomes, also those of calls under way, unless somebody holds it isolated. */
export const reset = (state: State): State => (state.mode === "Isolated" ? state : close(state, "reset"))
