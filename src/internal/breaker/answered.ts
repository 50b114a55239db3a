/** What a breaker answers is there at once as a rule, and then the fiber that asks need not take a step for it. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** Whether there is nothing left to run. */
export const isDone = <A, E, R>(effect: Effect.Effect<A, E, R>): effect is Exit.Exit<A, E> => Exit.isExit(effect)

/** `Effect.flatMap` for who is about to run it: where the answer is there already, `f` is called now. */
export const andThen = <A, E, R, B, E2, R2>(
  answer: Effect.Effect<A, E, R>,
  f: (answer: A) => Effect.Effect<B, E2, R2>
): Effect.Effect<B, E | E2, R | R2> => {
  if (!isDone(answer)) return Effect.flatMap(answer, f)
  return Exit.isSuccess(answer) ? f(answer.value) : Exit.failCause(answer.cause)
}
