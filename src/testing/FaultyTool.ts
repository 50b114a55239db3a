/**
 * Handlers that go wrong in a known way, for any tool. All waiting is on the `Clock`, so `TestClock` drives it.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import type * as Tool from "../Tool.ts"

/**
 * Fails the first `times` executions with what `failure` makes, then answers as `handler` does.
 *
 * @since 0.1.0
 * @category handlers
 */
export const flaky = <Input, Output, Failure, R>(
  times: number,
  failure: () => Failure,
  handler: Tool.Handler<Input, Output, Failure, R>
): Effect.Effect<Tool.Handler<Input, Output, Failure, R>> =>
  Effect.map(
    Ref.make(0),
    (executions): Tool.Handler<Input, Output, Failure, R> =>
      (input, call) =>
        Effect.flatMap(
          Ref.getAndUpdate(executions, (n) => n + 1),
          (n) => (n < times ? Effect.fail(failure()) : handler(input, call))
        )
  )

/**
 * Answers as `handler` does, after a delay.
 *
 * @since 0.1.0
 * @category handlers
 */
export const slow =
  <Input, Output, Failure, R>(
    delay: Duration.DurationInput,
    handler: Tool.Handler<Input, Output, Failure, R>
  ): Tool.Handler<Input, Output, Failure, R> =>
  (input, call) =>
    Effect.delay(handler(input, call), delay)

/** Unlike `Effect.never` it keeps no process alive. */
const silence: Effect.Effect<never> = Effect.async(() => {})

/**
 * Never answers; stops when it is interrupted.
 *
 * @since 0.1.0
 * @category handlers
 */
export const hanging: Tool.Handler<unknown, never, never> = () => silence

/**
 * Never answers, and does not stop when it is interrupted.
 *
 * @since 0.1.0
 * @category handlers
 */
export const deaf: Tool.Handler<unknown, never, never> = () => Effect.uninterruptible(silence)

/**
 * Dies with `defect`, as a handler does that throws.
 *
 * @since 0.1.0
 * @category handlers
 */
export const dying =
  (defect: unknown = new Error("the handler died")): Tool.Handler<unknown, never, never> =>
  () =>
    Effect.die(defect)
