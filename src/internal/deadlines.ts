/**
 * The deadlines of a batch, kept by one sleeper on the `Clock`: `Effect.timeout` takes three fibers for every one of
 * them. A deadline that is met costs a place in a set.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"

/** In milliseconds of the monotonic clock. `onDue` is told once, unless the deadline is disarmed before; it may not throw. */
export interface Deadline {
  readonly at: number
  onDue(): void
}

export interface Deadlines {
  readonly arm: (deadline: Deadline) => void
  readonly disarm: (deadline: Deadline) => void
  /** Nothing is due any more. A sleeper that is left would keep the process alive. */
  readonly close: () => void
}

export const make = (
  clock: Clock.Clock,
  time: () => number,
  fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.RuntimeFiber<A, E>
): Deadlines => {
  const armed = new Set<Deadline>()
  let sleeper: Fiber.RuntimeFiber<void> | undefined
  let wakesAt = Number.POSITIVE_INFINITY

  const sleepUntil = (at: number): void => {
    wakesAt = at
    // Whole milliseconds: timers know no others. One that comes early finds nothing due and sleeps on.
    const millis = Math.max(0, Math.ceil(at - time()))
    const fiber = fork(clock.sleep(Duration.millis(millis)))
    sleeper = fiber
    fiber.addObserver(() => {
      if (sleeper === fiber) wake()
    })
  }

  const wake = (): void => {
    sleeper = undefined
    wakesAt = Number.POSITIVE_INFINITY
    const now = time()
    let next = Number.POSITIVE_INFINITY
    for (const deadline of armed) {
      if (deadline.at <= now) {
        armed.delete(deadline)
        deadline.onDue()
      } else if (deadline.at < next) next = deadline.at
    }
    // What was armed just now may have set an alarm of its own.
    if (next < wakesAt) rouse(next)
  }

  const stop = () => {
    sleeper?.unsafeInterruptAsFork(FiberId.none)
    sleeper = undefined
    wakesAt = Number.POSITIVE_INFINITY
  }

  const rouse = (at: number) => {
    stop()
    sleepUntil(at)
  }

  return {
    arm: (deadline) => {
      if (!Number.isFinite(deadline.at)) return
      armed.add(deadline)
      if (deadline.at < wakesAt) rouse(deadline.at)
    },
    disarm: (deadline) => {
      armed.delete(deadline)
    },
    close: () => {
      armed.clear()
      stop()
    }
  }
}
