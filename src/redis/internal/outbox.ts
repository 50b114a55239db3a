/**
 * Outcomes of a closed circuit on their way to Redis. Successes are gathered for a moment; a failure takes along what
 * was gathered before it, in order, so that what counts in a row is exact. Bounded: where too many are under way the
 * newest is dropped and counted, and nobody waits.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Machine from "../../internal/breaker/machine.ts"
import { maxMillis } from "../../internal/breaker/settings.ts"
import type { Code } from "../../internal/breaker/window.ts"
import type { Operation } from "./line.ts"

export type Counted = Exclude<Machine.Outcome, { _tag: "Ignored" }>

type Detail = readonly [group: string | false, retryAfterMillis: number, cause: string | false]

const dropped = Metric.counter("salvo_circuit_breaker_dropped_outcomes", {
  description: "Outcomes that the shared circuit may not have heard of",
  incremental: true
})

/** Longer than any line worth reading. */
const maxText = 1000

const text = (value: string | undefined): string | false =>
  value === undefined ? false : value.slice(0, maxText).toWellFormed()

/** What is told of a failure, for the script. */
export const detail = (outcome: Counted): Detail =>
  outcome._tag === "Failure"
    ? [text(outcome.group), Math.min(maxMillis, outcome.retryAfterMillis), text(outcome.cause)]
    : [false, 0, false]

interface Pending {
  readonly era: number
  codes: string
  readonly details: Array<Detail>
}

export interface Options {
  readonly breaker: string
  readonly max: number
  /** Whether nothing but what happens in a row is looked at. */
  readonly onlyStreak: () => boolean
  readonly isDown: () => boolean
  /** Writes at once; the effect waits for the answer, and tells whether there was one. */
  readonly deliver: (operation: Operation, time: number) => Effect.Effect<boolean>
}

export class Outbox {
  private pending: Pending | undefined
  /** Gathered, or sent and not answered. */
  private underWay = 0
  private readonly options: Options
  private readonly dropped: typeof dropped

  constructor(options: Options) {
    this.options = options
    this.dropped = Metric.tagged(dropped, "breaker", options.breaker)
  }

  get isEmpty(): boolean {
    return this.pending === undefined
  }

  /** What is gathered belongs to an era that is over. */
  forget(): void {
    this.underWay -= this.pending?.codes.length ?? 0
    this.pending = undefined
  }

  /** Whether there was a place for it. */
  add(era: number, code: Code, outcome: Counted): boolean {
    if (this.pending !== undefined && this.pending.era !== era) {
      if (era < this.pending.era) return true
      this.forget()
    }
    const isSuccess = outcome._tag === "Success"
    // One success more in a row changes nothing.
    if (isSuccess && this.options.onlyStreak() && this.pending?.codes.endsWith("s") === true) return true
    if (this.underWay >= this.options.max) return false
    this.pending ??= { era, codes: "", details: [] }
    this.pending.codes += code
    if (!isSuccess) this.pending.details.push(detail(outcome))
    this.underWay += 1
    return true
  }

  /** Outcomes that will not be heard of. */
  lose(count: number): Effect.Effect<void> {
    return Metric.incrementBy(this.dropped, count)
  }

  /** Sends what is gathered. */
  flush(time: number): Effect.Effect<void> {
    const { pending } = this
    if (pending === undefined) return Effect.void
    this.pending = undefined
    const count = pending.codes.length
    const { deliver, isDown } = this.options
    const done = isDown()
      ? Effect.succeed(false)
      : deliver(["record", pending.era, pending.codes, JSON.stringify(pending.details)], time)
    return done.pipe(
      Effect.flatMap((told) => (told ? Effect.void : this.lose(count))),
      Effect.ensuring(
        Effect.sync(() => {
          this.underWay -= count
        })
      )
    )
  }
}
