/**
 * Deadlines that hold against a handler that ignores interruption.
 *
 * When its time is up the caller goes on at that very moment: the handler is interrupted, and nobody waits until it
 * obeys. One that is still running after a grace period is reported as leaked. A first attempt runs in the fiber of its
 * call, which is left to the handler where that holds on to it, and its deadline is kept by the one sleeper of the
 * batch; any other runs in a fiber of its own under `Effect.timeout` (`execute`).
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Deadlines from "../internal/deadlines.ts"
import * as ToolError from "../ToolError.ts"

/**
 * Milliseconds of the monotonic clock, so that a change of the wall clock moves no deadline.
 *
 * @since 0.1.0
 * @category clock
 */
export const now: Effect.Effect<number> = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos) / 1e6)

/**
 * What one execution is held to. Milliseconds, `Infinity` for none.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  readonly millis: number
  /** Which deadline `millis` stands for. */
  readonly kind: "attempt" | "total" | "batch"
  readonly idleMillis: number
  /** How long the handler has to stop once it was interrupted before it counts as leaked. */
  readonly graceMillis: number
  /** When the execution last gave a sign of life, on the monotonic clock. */
  lastSign(): number
}

/**
 * The time is up.
 *
 * @internal
 */
export const passed = ({ kind, millis }: Limits): ToolError.Timeout =>
  new ToolError.Timeout({ kind, after: Duration.millis(millis) })

const silent = ({ idleMillis }: Limits): ToolError.Timeout =>
  new ToolError.Timeout({ kind: "idle", after: Duration.millis(idleMillis) })

/** Waits until the execution has been silent for `idleMillis`. */
const silence = (limits: Limits): Effect.Effect<never, ToolError.Timeout> =>
  Effect.flatMap(now, (time) => {
    const left = limits.lastSign() + limits.idleMillis - time
    return left > 0
      ? Effect.zipRight(Effect.sleep(Duration.millis(left)), silence(limits))
      : Effect.fail(silent(limits))
  })

const bounded = <A>(wait: Effect.Effect<A>, limits: Limits): Effect.Effect<A, ToolError.Timeout> => {
  const inTime = Number.isFinite(limits.millis)
    ? Effect.timeoutFail(wait, {
        duration: Duration.millis(limits.millis),
        onTimeout: () => passed(limits)
      })
    : wait
  return Number.isFinite(limits.idleMillis) ? Effect.raceFirst(inTime, silence(limits)) : inTime
}

/**
 * Says so where a fiber that was interrupted does not stop within the grace period.
 *
 * @internal
 */
export const watched = <A, E>(
  fiber: Fiber.RuntimeFiber<A, E>,
  { graceMillis }: Limits,
  onLeak: Hooks<A, E>["onLeak"]
): Effect.Effect<void> =>
  Fiber.await(fiber).pipe(
    Effect.timeoutOption(Duration.millis(graceMillis)),
    Effect.flatMap((ended) => (Option.isNone(ended) ? onLeak(Effect.asVoid(Fiber.await(fiber))) : Effect.void)),
    Effect.interruptible
  )

/** Interrupts without waiting. */
const abandon = <A, E>(
  fiber: Fiber.RuntimeFiber<A, E>,
  limits: Limits,
  onLeak: Hooks<A, E>["onLeak"]
): Effect.Effect<void> =>
  Effect.zipRight(Fiber.interruptFork(fiber), Effect.asVoid(Effect.forkDaemon(watched(fiber, limits, onLeak))))

/**
 * Tells, once, of an execution that gives no sign of life, until it is stopped. Kept by the batch's one sleeper.
 *
 * @internal
 */
export class Silence implements Deadlines.Deadline {
  readonly #deadlines: Deadlines.Deadlines
  readonly #limits: Limits
  readonly #onSilent: (error: ToolError.Timeout) => void
  #since: number

  constructor(
    deadlines: Deadlines.Deadlines,
    limits: Limits,
    since: number,
    onSilent: (error: ToolError.Timeout) => void
  ) {
    this.#deadlines = deadlines
    this.#limits = limits
    this.#since = since
    this.#onSilent = onSilent
    deadlines.arm(this)
  }

  get at(): number {
    return this.#since + this.#limits.idleMillis
  }

  onDue(): void {
    const sign = this.#limits.lastSign()
    if (sign <= this.#since) return this.#onSilent(silent(this.#limits))
    this.#since = sign
    this.#deadlines.arm(this)
  }

  stop(): void {
    this.#deadlines.disarm(this)
  }
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Hooks<A, E> {
  /** Handed the handler's fiber. */
  readonly onStart: (fiber: Fiber.RuntimeFiber<A, E>) => void
  /** Handed the handler's fiber when its caller has an answer, or waits no longer but for an interruption. */
  readonly onDone: (fiber: Fiber.RuntimeFiber<A, E>) => void
  /** Run when the handler has really ended, however late. */
  readonly onEnd: Effect.Effect<void>
  /** Run where the handler is still running after the grace period, with an effect that waits for its end. */
  readonly onLeak: (ended: Effect.Effect<void>) => Effect.Effect<void>
}

/**
 * Runs `handler` within `limits` and gives its exit, or `Timeout` at the deadline. An interruption of the caller is
 * passed on to the handler, again without waiting for it. Has to be called where interruption is masked, with that
 * mask's `restore`: then the handler is started, and `onEnd` run, whatever happens to the caller.
 *
 * @since 0.1.0
 * @category combinators
 */
export const execute = <A, E>(
  handler: Effect.Effect<A, E>,
  limits: Limits,
  hooks: Hooks<A, E>,
  restore: <X, Y, Z>(effect: Effect.Effect<X, Y, Z>) => Effect.Effect<X, Y, Z>
): Effect.Effect<Exit.Exit<A, E>, ToolError.Timeout> =>
  Effect.flatMap(Effect.forkDaemon(Effect.ensuring(Effect.interruptible(handler), hooks.onEnd)), (fiber) => {
    hooks.onStart(fiber)
    return restore(bounded(Fiber.await(fiber), limits)).pipe(
      Effect.onExit((exit) => {
        if (Exit.isSuccess(exit) || !Cause.isInterrupted(exit.cause)) hooks.onDone(fiber)
        return Exit.isSuccess(exit) ? Effect.void : abandon(fiber, limits, hooks.onLeak)
      })
    )
  })
