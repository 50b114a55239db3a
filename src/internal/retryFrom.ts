/** `Effect.retry` for what succeeds nearly always: its schedule is made for what has failed alone. */
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"

/** Goes on from `failed`, how the first of all attempts has ended, with `once` as the schedule says. */
export const retryFrom = <A, E, R, B>(
  failed: E,
  once: Effect.Effect<A, E, R>,
  schedule: Schedule.Schedule<B, E>
): Effect.Effect<A, E, R> => {
  let attempt: Effect.Effect<A, E, R> = Effect.fail(failed)
  const next = Effect.suspend(() => {
    const current = attempt
    attempt = once
    return current
  })
  return Effect.retry(next, schedule)
}
