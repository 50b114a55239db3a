/** Effects that have ended already, as most of what is asked for every call has: they need not take a step of a fiber. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** Whether the effect is its own exit. */
export const isExit = <A, E, R>(effect: Effect.Effect<A, E, R>): effect is Exit.Exit<A, E> => Exit.isExit(effect)

/** `Effect.zipRight`, which otherwise looks first whether it was given options. */
export const zipRight = <A, E>(first: Effect.Effect<unknown>, second: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  isExit(first) && Exit.isSuccess(first) ? second : Effect.flatMap(first, () => second)

/** `Effect.flatMap` for who is about to run it: where the answer is there already, `f` is called now. */
export const flatMap = <A, E, R, B, E2, R2>(
  answer: Effect.Effect<A, E, R>,
  f: (answer: A) => Effect.Effect<B, E2, R2>
): Effect.Effect<B, E | E2, R | R2> => {
  if (!isExit(answer)) return Effect.flatMap(answer, f)
  return Exit.isSuccess(answer) ? f(answer.value) : Exit.failCause(answer.cause)
}
