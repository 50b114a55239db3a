/**
 * At most so many at once, first come first served.
 *
 * Effect 3's semaphore lets a newcomer overtake those who wait; here freed slots are handed to the first in line, and
 * nobody passes a heavy one that waits for several. Whoever stops waiting, for whatever reason, leaves nothing behind.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Failed from "../internal/failed.ts"
import { type Deadline, type Job, type Restore, tell } from "../internal/job.ts"
import * as ToolError from "../ToolError.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How many slots there are. */
  readonly capacity: number
  /** How many may wait in line; one more is refused at once. Default: any number. */
  readonly maxQueue?: number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface TakeOptions {
  /** How many slots it needs; more than there are means all of them. Default: 1. */
  readonly weight?: number | undefined
  /** How long it may wait in line. Default: for ever. */
  readonly millis?: number | undefined
  /** Ends the wait in line when it completes. Not looked at where slots are free. */
  readonly abort?: Effect.Effect<void> | undefined
  /** Run where it has to wait in line. */
  readonly waiting?: Effect.Effect<void> | undefined
}

/**
 * What became of an attempt to get in: `full` when there was no place in the line, `late` when its time was up,
 * `aborted` when `abort` completed. Only who has `taken` has anything to release.
 *
 * @since 0.1.0
 * @category models
 */
export type Taken = "taken" | "full" | "late" | "aborted"

/**
 * @since 0.1.0
 * @category models
 */
export interface Bulkhead {
  readonly capacity: number
  /**
   * Gets slots, or waits in line for them. Has to be called where interruption is masked, with that mask's `restore`,
   * so that slots are never granted to a fiber that is gone.
   */
  readonly take: (
    restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
    options?: TakeOptions
  ) => Effect.Effect<Taken>
  /** Gives back what was taken with this weight. */
  readonly release: (weight?: number) => Effect.Effect<void>
  /** How many slots are free now. */
  readonly free: Effect.Effect<number>
  /** How many stand in line now. */
  readonly waiting: Effect.Effect<number>
}

interface Waiter {
  readonly weight: number
  readonly turn: Deferred.Deferred<void>
  granted: boolean
}

/** Ends with the waiter's turn, at its deadline, or with `abort`: whichever comes first. */
const wait = ({ turn }: Waiter, { abort, millis = Number.POSITIVE_INFINITY }: TakeOptions) => {
  const granted = Effect.as(Deferred.await(turn), "taken" as const)
  // What is raced runs in fibers of its own. There it must be interruptible, or a race within an uninterruptible
  // region would go on until the turn comes.
  const inTime = Number.isFinite(millis)
    ? Effect.timeoutTo(Effect.interruptible(granted), {
        duration: Duration.millis(millis),
        onSuccess: (): Taken => "taken",
        onTimeout: (): Taken => "late"
      })
    : granted
  return abort === undefined
    ? inTime
    : Effect.raceFirst(Effect.interruptible(inTime), Effect.interruptible(Effect.as(abort, "aborted" as const)))
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ capacity, maxQueue = Number.POSITIVE_INFINITY }: Options): Bulkhead => {
  let free = capacity
  const line = new Set<Waiter>()

  const slots = (weight = 1): number => Math.min(weight, capacity)

  /** Grants what is free to the first in line, and to the next, until one has to wait on. */
  const serve = () => {
    for (const first of line) {
      if (first.weight > free) return
      free -= first.weight
      line.delete(first)
      first.granted = true
      Deferred.unsafeDone(first.turn, Effect.void)
    }
  }

  const giveBack = (weight: number) => {
    free += weight
    serve()
  }

  /** Who leaves may have been the one the others had to wait for. */
  const leave = (waiter: Waiter) => {
    if (line.delete(waiter)) serve()
  }

  const take: Bulkhead["take"] = (restore, options = {}) =>
    Effect.suspend(() => {
      const weight = slots(options.weight)
      if (line.size === 0 && weight <= free) {
        free -= weight
        return Effect.succeed<Taken>("taken")
      }
      if (line.size >= maxQueue) return Effect.succeed<Taken>("full")
      if (options.millis !== undefined && options.millis <= 0) return Effect.succeed<Taken>("late")
      const waiter: Waiter = { weight, turn: Deferred.unsafeMake(FiberId.none), granted: false }
      // In line from this moment on, not from when a fiber that waits has started: that decides the order.
      line.add(waiter)
      const turn = wait(waiter, options)
      const waited = options.waiting === undefined ? turn : Effect.zipRight(options.waiting, turn)
      return Effect.flatMap(Effect.exit(restore(waited)), (exit) => {
        leave(waiter)
        if (Exit.isSuccess(exit)) return Effect.succeed(waiter.granted ? "taken" : exit.value)
        if (waiter.granted) giveBack(weight)
        return Effect.failCause(exit.cause)
      })
    })

  return {
    capacity,
    take,
    release: (weight) => Effect.sync(() => giveBack(slots(weight))),
    free: Effect.sync(() => free),
    waiting: Effect.sync(() => line.size)
  }
}

/**
 * What a call is told that could not start in time, having waited for `capacity` slots, if any.
 *
 * @internal
 */
export const outOfTime = (job: Job, kind: Deadline["kind"], capacity: number | undefined): Failed.Failed => {
  const error =
    kind === "total" && capacity !== undefined
      ? new ToolError.BulkheadFull({ capacity })
      : new ToolError.NotStarted({ reason: "deadline" })
  return job.progress.last ?? Failed.of(error, job.definition)
}

/**
 * Waits for the slots an execution takes, and gives what has to be run when it has really ended. Called where
 * interruption is masked. A circuit that opens meanwhile ends the wait.
 *
 * @internal
 */
export const enter = (
  job: Job,
  deadline: Deadline,
  restore: Restore
): Effect.Effect<Effect.Effect<void>, Failed.Failed> =>
  Effect.suspend(() => {
    const { bulkhead } = job.guards
    const left = deadline.at - job.shared.time()
    if (left <= 0) return Effect.fail(outOfTime(job, deadline.kind, bulkhead?.capacity))
    return bulkhead === undefined ? nothingToLeave : queue(job, bulkhead, deadline, left, restore)
  })

const nothingToLeave = Effect.succeed(Effect.void)

const queue = (
  job: Job,
  bulkhead: Bulkhead,
  deadline: Deadline,
  left: number,
  restore: Restore
): Effect.Effect<Effect.Effect<void>, Failed.Failed> =>
  Effect.gen(function* () {
    const { breaker } = job.guards
    const { queueMillis = Number.POSITIVE_INFINITY, weight = 1 } = job.policy.bulkhead ?? {}
    const { capacity } = bulkhead
    const full = () => Failed.of(new ToolError.BulkheadFull({ capacity }), job.definition)
    const late = () => outOfTime(job, deadline.kind, capacity)
    const taken = yield* bulkhead.take(restore, {
      weight,
      millis: Math.min(left, queueMillis),
      abort: breaker?.opened,
      waiting: tell(job, { _tag: "Waiting", for: { _tag: "Bulkhead" } })
    })
    switch (taken) {
      case "taken": {
        const leave = bulkhead.release(weight)
        if (job.shared.time() < deadline.at) return leave
        return yield* Effect.zipRight(leave, Effect.fail(late()))
      }
      case "full":
        return yield* Effect.fail(full())
      case "late":
        return yield* Effect.fail(queueMillis < left ? full() : late())
      case "aborted":
        // Unless the circuit has closed again in the meantime.
        return yield* Effect.zipRight(CircuitBreaker.check(job), enter(job, deadline, restore))
    }
  })
