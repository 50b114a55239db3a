/** A call's way through a breaker, in as few steps of its fiber as there can be. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Breaker, Outcome, Permit } from "../../services/CircuitBreaker.ts"
import type { CircuitOpen } from "../../ToolError.ts"
import * as AtOnce from "../atOnce.ts"
import type { Restore } from "../job.ts"
import type { Handle } from "./handle.ts"

/** A breaker that is no handle is one of the user's own. */
const throughOf = (breaker: Breaker): Handle["through"] =>
  "through" in breaker ? (breaker as Handle).through : undefined

/** Whether nothing happens before an effect is run. */
export const isLazy = (breaker: Breaker): boolean => throughOf(breaker) !== undefined

/** `breaker.admit`, and what follows it. To be run at once, where interruption is masked. */
export const admit = <A, E, R>(
  breaker: Breaker,
  restore: Restore,
  time: () => number,
  use: (permit: Permit) => Effect.Effect<A, E, R>,
  refuse: (cause: Cause.Cause<CircuitOpen>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  const through = throughOf(breaker)
  if (through !== undefined) return through.admit(time, use, (error) => refuse(Cause.fail(error)))
  const admitted = breaker.admit(restore, time)
  if (!AtOnce.isExit(admitted)) return Effect.matchCauseEffect(admitted, { onFailure: refuse, onSuccess: use })
  return Exit.isSuccess(admitted) ? use(admitted.value) : refuse(admitted.cause)
}

/** `breaker.record`, and then `then`. To be run at once, where interruption is masked. */
export const record = <A, E>(
  breaker: Breaker,
  permit: Permit,
  outcome: Outcome,
  time: () => number,
  then: Effect.Effect<A, E>
): Effect.Effect<A, E> => {
  const through = throughOf(breaker)
  return through === undefined
    ? AtOnce.zipRight(breaker.record(permit, outcome, time), then)
    : through.record(permit, outcome, time, then)
}
