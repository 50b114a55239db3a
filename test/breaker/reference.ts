/**
 * A second circuit breaker, to hold the first one against: naive on purpose. It keeps every era with all that ever
 * happened in it and counts everything anew, by going through the list, whenever it is asked. Written from the
 * documentation alone; shares no code with `src/internal/breaker`.
 */
import type { Status } from "../../src/internal/breaker/look.ts"
import type { Mode, Reason } from "../../src/internal/breaker/machine.ts"
import type { Settings } from "../../src/internal/breaker/settings.ts"

export type Kind = "success" | "failure" | "ignored"

export interface Ended {
  readonly kind: Kind
  readonly retryAfter: number
  readonly cause: string | undefined
  readonly group: string | undefined
}

interface Heard extends Ended {
  readonly at: number
  readonly slow: boolean
}

/** A call that was let through. */
export interface Pass {
  readonly era: Era
  readonly from: number
  readonly probe: boolean
  /** When its outcome was taken. */
  back: number | undefined
}

interface Era {
  readonly mode: Mode
  readonly until: number
  readonly began: number
  readonly probes: Array<Pass>
  readonly heard: Array<Heard>
}

export interface Change {
  readonly from: Mode
  readonly to: Mode
  readonly reason: Reason
  readonly counts: Counts
}

interface Counts {
  readonly calls: number
  readonly failures: number
  readonly slow: number
}

export type Answer =
  | { readonly pass: Pass }
  | {
      readonly mode: Exclude<Mode, "Closed">
      readonly retryAfterMillis: number | undefined
      readonly lastFailure: string | undefined
    }

const nothing: Counts = { calls: 0, failures: 0, slow: 0 }

const newEra = (mode: Mode, began: number, until = 0): Era => ({ mode, began, until, probes: [], heard: [] })

export class Reference {
  readonly settings: Settings
  readonly eras: Array<Era> = [newEra("Closed", 0)]
  readonly changes: Array<Change> = []
  holders = 0
  rejected = 0
  lastFailure: string | undefined

  constructor(settings: Settings) {
    this.settings = settings
  }

  get era(): Era {
    const last = this.eras.at(-1)
    if (last === undefined) throw new Error("no era")
    return last
  }

  /** Opened so often since it was last closed. */
  get openings(): number {
    const closed = this.eras.map((era) => era.mode).lastIndexOf("Closed")
    return this.eras.slice(closed).filter((era) => era.mode === "Open").length
  }

  private enter(era: Era, reason: Reason, counts = nothing): void {
    this.changes.push({ from: this.era.mode, to: era.mode, reason, counts })
    this.eras.push(era)
  }

  private openFrom(at: number, reason: Reason, counts: Counts, retryAfter = 0): void {
    const { openMillis, retryAfterCapMillis } = this.settings
    const planned = openMillis[this.openings] ?? openMillis.at(-1) ?? 0
    const asked = retryAfter > retryAfterCapMillis ? retryAfterCapMillis : retryAfter
    this.enter(newEra("Open", at, at + (asked > planned ? asked : planned)), reason, counts)
  }

  /** Probes that still hold their slots. */
  private out(now: number): Array<Pass> {
    return this.era.probes.filter((probe) => probe.back === undefined && now - probe.from < this.settings.leaseMillis)
  }

  /** Since when a half-open circuit has been without any probe. */
  private quietSince(): number {
    return this.era.probes
      .map((probe) => probe.back ?? probe.from + this.settings.leaseMillis)
      .reduce((latest, at) => (at > latest ? at : latest), this.era.began)
  }

  /** Lets time do what it does. */
  private pass(now: number): void {
    for (;;) {
      const { mode, until } = this.era
      if (mode === "Open" && now >= until) {
        this.enter(newEra("HalfOpen", now), "time is up")
      } else if (mode === "HalfOpen" && this.settings.halfOpenMillis > 0 && this.out(now).length === 0) {
        const over = this.quietSince() + this.settings.halfOpenMillis
        if (now < over) return
        const counts = this.probed()
        if (this.settings.halfOpenBecomes === "closed") this.enter(newEra("Closed", now), "no probe came", counts)
        else this.openFrom(over, "no probe came", counts)
      } else return
    }
  }

  private tally(heard: ReadonlyArray<Heard>): Counts {
    return {
      calls: heard.length,
      failures: heard.filter((each) => each.kind === "failure").length,
      slow: heard.filter((each) => each.slow).length
    }
  }

  /** A probe that was slow has failed. */
  private probed(): Counts {
    const { heard } = this.era
    const failed = heard.filter((each) => each.kind === "failure" || each.slow).length
    return { ...this.tally(heard), failures: failed }
  }

  private repeats(index: number): boolean {
    const { group, kind } = this.era.heard[index] ?? {}
    return (
      kind === "failure" &&
      group !== undefined &&
      this.era.heard.slice(0, index).some((earlier) => earlier.kind === "failure" && earlier.group === group)
    )
  }

  windowed(now: number): Counts {
    const { failureRate, groupWindow, slowRate, window } = this.settings
    if (this.era.mode !== "Closed" || (failureRate > 1 && slowRate > 1)) return nothing
    const heard = this.era.heard.filter((_, index) => !(groupWindow && this.repeats(index)))
    if (window.kind === "calls") return this.tally(heard.slice(-window.size))
    const tenth = (at: number) => Math.floor((at * 10) / window.millis)
    return this.tally(heard.filter((each) => tenth(now) - tenth(each.at) < 10))
  }

  streak(): number {
    if (this.era.mode !== "Closed") return 0
    const { heard } = this.era
    const start = heard.map((each) => each.kind).lastIndexOf("success") + 1
    const row = heard.length - start
    if (!this.settings.groupStreak) return row
    // The first failure of a row counts, whatever its group; after it only those of groups not heard of before.
    return heard.filter((_, index) => index === start || (index > start && !this.repeats(index))).length
  }

  admit(now: number): Answer {
    this.pass(now)
    const { era } = this
    const refused = this.refusal(now)
    if (refused !== undefined) {
      this.rejected += 1
      return refused
    }
    const pass: Pass = { era, from: now, probe: era.mode === "HalfOpen", back: undefined }
    if (pass.probe) era.probes.push(pass)
    return { pass }
  }

  private refusal(now: number): Exclude<Answer, { pass: Pass }> | undefined {
    const { era, lastFailure } = this
    switch (era.mode) {
      case "Closed":
        return undefined
      case "Isolated":
        return { mode: era.mode, retryAfterMillis: undefined, lastFailure }
      case "Open":
        return { mode: era.mode, retryAfterMillis: era.until - now, lastFailure }
      case "HalfOpen": {
        const out = this.out(now)
        const { leaseMillis, probeConcurrency, probes } = this.settings
        if (out.length < probeConcurrency && era.heard.length + out.length < probes) return undefined
        const first = out.map((probe) => probe.from).reduce((earliest, from) => Math.min(earliest, from))
        return { mode: era.mode, retryAfterMillis: first + leaseMillis - now, lastFailure }
      }
    }
  }

  record(now: number, pass: Pass, ended: Ended): void {
    if (pass.era !== this.era) return
    if (pass.probe) this.pass(now)
    if (pass.era !== this.era || (pass.probe && !this.out(now).includes(pass))) return
    pass.back = now
    if (ended.kind === "ignored") return
    const slow = this.settings.slowRate <= 1 && now - pass.from > this.settings.slowMillis
    this.era.heard.push({ ...ended, at: now, slow })
    if (ended.kind === "failure") this.lastFailure = ended.cause
    const asked = ended.kind === "failure" ? ended.retryAfter : 0
    if (pass.probe) this.judgeProbes(now, asked)
    else this.judge(now, asked)
  }

  private judgeProbes(now: number, retryAfter: number): void {
    const counts = this.probed()
    if (counts.failures > this.settings.probeFailures) this.openFrom(now, "probe failed", counts, retryAfter)
    else if (counts.calls >= this.settings.probes) this.enter(newEra("Closed", now), "probes succeeded", counts)
  }

  private judge(now: number, retryAfter: number): void {
    const counts = this.windowed(now)
    const { consecutive, failureRate, minimumCalls, slowRate } = this.settings
    const enough = counts.calls >= minimumCalls
    const reaches = (part: number, rate: number) => enough && rate <= 1 && part > 0 && part / counts.calls >= rate
    if (consecutive > 0 && this.streak() >= consecutive) this.openFrom(now, "consecutive", counts, retryAfter)
    else if (reaches(counts.failures, failureRate)) this.openFrom(now, "failure rate", counts, retryAfter)
    else if (reaches(counts.slow, slowRate)) this.openFrom(now, "slow rate", counts, retryAfter)
  }

  isolate(now: number): void {
    this.holders += 1
    if (this.era.mode !== "Isolated") this.enter(newEra("Isolated", now), "isolated")
  }

  release(now: number): void {
    this.holders -= 1
    if (this.holders === 0) this.enter(newEra("Closed", now), "released")
  }

  reset(now: number): void {
    if (this.era.mode !== "Isolated") this.enter(newEra("Closed", now), "reset")
  }

  /** As somebody would find it who asks now, without that his asking does anything. */
  private seen(now: number): Reference {
    const copy = new Reference(this.settings)
    Object.assign(copy, { ...this, eras: [...this.eras], changes: [] })
    copy.pass(now)
    return copy
  }

  check(now: number): Exclude<Answer, { pass: Pass }> | undefined {
    return this.seen(now).refusal(now)
  }

  status(now: number): Status {
    const seen = this.seen(now)
    const { mode, until } = seen.era
    const counts = mode === "HalfOpen" ? seen.probed() : seen.windowed(now)
    const enough = counts.calls >= (mode === "HalfOpen" ? 1 : this.settings.minimumCalls)
    return {
      mode,
      retryAfterMillis: mode === "Open" ? until - now : undefined,
      ...counts,
      failureRate: enough ? counts.failures / counts.calls : undefined,
      slowRate: enough ? counts.slow / counts.calls : undefined,
      streak: seen.streak(),
      openings: seen.openings,
      probing: mode === "HalfOpen" ? seen.out(now).length : 0,
      rejected: this.rejected,
      lastFailure: this.lastFailure
    }
  }
}
