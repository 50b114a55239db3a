/**
 * What one process knows of a breaker: the state that all share, as it was last told, and a machine of its own that is
 * fed every outcome. While Redis answers, the shared state decides and the own machine only counts; when it does not,
 * the own machine decides, from where the shared state left off.
 *
 * A circuit that the own machine opened stays so until its own probes close it, also when Redis is back: `own` says so.
 * With a quorum it opens for this process alone, whatever the others find.
 */
import * as Look from "../../internal/breaker/look.ts"
import * as Machine from "../../internal/breaker/machine.ts"
import type { Settings } from "../../internal/breaker/settings.ts"
import type { Transition } from "../../services/CircuitBreaker.ts"
import type { Reply } from "./line.ts"

/** The shared state, and until when it may be relied on. */
export interface View extends Reply {
  readonly freshUntil: number
  /** On this process's clock: an open circuit's end, or a half-open one's next free slot. */
  readonly waitUntil: number
}

/** An admitted call: the permit of the shared state (its era is below 0 where there is none) and that of the own one. */
export class Ticket implements Machine.Permit {
  readonly era: number
  readonly token: string | undefined
  readonly startedAt: number
  readonly local: Machine.Permit | undefined

  constructor(era: number, token: string | undefined, startedAt: number, local: Machine.Permit | undefined) {
    this.era = era
    this.token = token
    this.startedAt = startedAt
    this.local = local
  }
}

type Change = Omit<Transition, "breaker">

type Seen = ReturnType<typeof Look.status>

const rank = { Closed: 0, HalfOpen: 1, Open: 2, Isolated: 3 } as const

/** Stands for all holders of other processes. */
const others = "others"

export class Mirror {
  view: View | undefined
  local: Machine.State = Machine.initial
  private own = false
  private told: Machine.Mode = "Closed"
  /** The shared era that was last told of. */
  private heard: number | undefined
  /** Steps of this process that the view does not show yet. */
  private unseen = 0
  private settings: Settings
  private counting: Settings
  private readonly alone: () => boolean
  private readonly quorum: number
  private readonly maxStaleness: number

  constructor(settings: Settings, options: { alone: () => boolean; quorum: number; maxStaleness: number }) {
    this.alone = options.alone
    this.quorum = options.quorum
    this.maxStaleness = options.maxStaleness
    this.settings = settings
    this.counting = this.countingOf(settings)
  }

  obey(settings: Settings): void {
    this.settings = settings
    this.counting = this.countingOf(settings)
  }

  /** While Redis answers, nothing that only one process knows trips it. */
  private countingOf(settings: Settings): Settings {
    return this.quorum > 1 ? settings : { ...settings, consecutive: 0, minimumCalls: Number.POSITIVE_INFINITY }
  }

  /** Whether the own machine has a say. */
  get decides(): boolean {
    return this.own || this.holds > 0 || this.alone()
  }

  /** How often this process itself isolates it. */
  private get holds(): number {
    if (this.local.isolations.length === 0) return 0
    return this.local.isolations.filter((holder) => holder !== others).length
  }

  /** The change of mode that nobody has been told of yet, if there is one. It has to be told. */
  change(): Change | undefined {
    const local = this.decides ? this.local : undefined
    const shared = this.alone() ? undefined : this.view
    const isNews = shared?.era !== this.heard
    this.heard = shared?.era
    const to = rank[shared?.mode ?? "Closed"] >= rank[local?.mode ?? "Closed"] ? (shared ?? local) : local
    if (to === undefined || to.mode === this.told) return undefined
    const from = this.told
    this.told = to.mode
    // Where nothing new was heard, it was the own machine that has given way.
    const { decidedBy, lastFailure, reason } = !isNews && this.local.mode === to.mode ? this.local : to
    return { from, to: to.mode, reason, counts: decidedBy, lastFailure }
  }

  isFresh(now: number): boolean {
    return this.view !== undefined && this.unseen === 0 && now < this.view.freshUntil
  }

  /** The era of a closed circuit that needs not be asked whether it still is. */
  closedEra(now: number): number | undefined {
    return this.view?.mode === "Closed" && this.isFresh(now) ? this.view.era : undefined
  }

  /** A step was sent: until its answer is there, the next call has to ask behind it. */
  sent(): void {
    this.unseen += 1
  }

  /** No answer came. */
  lost(isStep: boolean): void {
    if (isStep) this.unseen -= 1
    if (this.view !== undefined) this.view = { ...this.view, freshUntil: 0 }
  }

  answered(reply: Reply, now: number, isStep: boolean): void {
    if (isStep) this.unseen -= 1
    this.adopt(reply, now)
  }

  /** Takes a step of the own machine; what it opens now is its own decision if it is the one who decides. */
  private step(state: Machine.State, byItself = this.decides): void {
    const opened = state.mode !== this.local.mode && state.mode === "Open"
    this.local = state
    this.own = (state.mode === "Open" || state.mode === "HalfOpen") && (this.own || (opened && byItself))
  }

  private adopt(reply: Reply, now: number): void {
    const { mode, waitMillis } = reply
    this.view = {
      ...reply,
      freshUntil: now + this.maxStaleness,
      waitUntil: waitMillis === undefined ? 0 : now + waitMillis
    }
    const isHeld = this.local.isolations.includes(others)
    if (reply.isolations > this.holds && mode === "Isolated") {
      if (!isHeld) this.step(Machine.isolate(this.local, others))
      return
    }
    if (isHeld) this.step(Machine.release(this.local, others))
    const { local, own } = this
    if (mode === "Isolated" || local.mode === "Isolated") return
    if (mode === "Closed") {
      if (!own && local.mode !== "Closed") this.step(Machine.reset(local))
      return
    }
    const waitUntil = mode === "Open" ? this.view.waitUntil : now
    if (own && (mode === "HalfOpen" || (local.mode === "Open" && local.openUntil >= waitUntil))) return
    this.own = false
    this.step(this.opened(reply, now, waitUntil - now), false)
  }

  /** A half-open circuit is an open one whose time is up: with slots of its own for probes. */
  private opened(reply: Reply, now: number, remainingMillis: number): Machine.State {
    const { decidedBy, lastFailure, openings, reason } = reply
    const snapshot = { mode: "Open", remainingMillis, openings, streak: 0, ring: "", buckets: [], lastFailure } as const
    const open = Look.imported(this.local, this.settings, now, snapshot)
    return Machine.settle({ ...open, reason, decidedBy }, this.settings, now)
  }

  check(now: number): Machine.Rejected | undefined {
    const own = this.decides ? Machine.check(this.local, this.settings, now) : undefined
    return own ?? (this.alone() ? undefined : this.refusal(now, true))
  }

  /** Whether the view alone is enough to turn a call away. `hint`: also by how the slots of the probes last were. */
  refusal(now: number, hint = false): Machine.Rejected | undefined {
    if (this.view === undefined || this.view.mode === "Closed") return undefined
    const { lastFailure, mode, waitUntil } = this.view
    if (mode === "Isolated") return this.isFresh(now) ? rejected(mode, undefined, lastFailure) : undefined
    return now < waitUntil && (mode === "Open" || (hint && this.isFresh(now)))
      ? rejected(mode, waitUntil - now, lastFailure)
      : undefined
  }

  /** Asks the own machine. */
  admitLocally(now: number, token: string): Machine.Verdict {
    const [verdict, state] = Machine.admit(this.local, this.settings, now, () => token)
    this.step(state)
    return verdict
  }

  /** A call that only counts here. */
  localPermit(now: number): Machine.Permit | undefined {
    return this.local.mode === "Closed" ? { era: this.local.era, token: undefined, startedAt: now } : undefined
  }

  record(now: number, permit: Machine.Permit, outcome: Machine.Outcome): void {
    this.step(Machine.record(this.local, this.decides ? this.settings : this.counting, now, permit, outcome), true)
  }

  isolate(holder: string): void {
    this.step(Machine.isolate(this.local, holder))
  }

  release(holder: string): void {
    this.step(Machine.release(this.local, holder))
  }

  reset(): void {
    this.step(Machine.reset(this.local))
  }

  /** What was kept of this process's own machine decides here, whatever is shared. */
  restore(now: number, snapshot: Look.Snapshot): void {
    this.local = Look.imported(this.local, this.settings, now, snapshot)
    this.own = this.local.mode === "Open"
  }

  status(now: number): Seen {
    return Look.status(this.local, this.settings, now)
  }

  /** The state as the server tells of it, unless the own machine is stricter. */
  merged(now: number, reply: Reply): Seen {
    const local = this.decides ? this.status(now) : undefined
    if (local !== undefined && rank[local.mode] > rank[reply.mode]) return local
    const { counts, isolations: _, lastFailure, mode, openings, probing, streak, waitMillis } = reply
    const minimum = mode === "HalfOpen" ? 1 : this.settings.minimumCalls
    const rate = (n: number) => (counts.calls < minimum ? undefined : n / counts.calls)
    return {
      mode,
      retryAfterMillis: mode === "Open" ? waitMillis : undefined,
      ...counts,
      failureRate: rate(counts.failures),
      slowRate: rate(counts.slow),
      streak,
      openings,
      probing,
      lastFailure
    }
  }
}

export const rejected = (
  mode: Machine.Rejected["mode"],
  retryAfterMillis: number | undefined,
  lastFailure: string | undefined
): Machine.Rejected => ({ _tag: "Rejected", mode, retryAfterMillis, lastFailure })
