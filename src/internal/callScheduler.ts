/** Lets the fibers of calls go on. */
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

/**
 * Every fiber goes on in a microtask of its own, as with Effect's own scheduler, so that none loses its async context to
 * another; but that one makes a runner for each fiber and keeps it in a weak map, which costs as much as all else about
 * going on. Only a fiber that yields needs one: it counts the turns until timers get theirs.
 */
class CallScheduler implements Scheduler.Scheduler {
  readonly #given: Scheduler.Scheduler
  #current: AnyFiber | undefined = undefined

  constructor(given: Scheduler.Scheduler) {
    this.#given = given
  }

  shouldYield(fiber: AnyFiber): number | false {
    return this.#given.shouldYield(fiber)
  }

  scheduleTask(task: Scheduler.Task, priority: number, fiber?: AnyFiber): void {
    if (fiber === undefined || !isPlain(this.#given)) return this.#given.scheduleTask(task, priority, fiber)
    const goOn = () => {
      this.#current = fiber
      try {
        task()
      } finally {
        this.#current = undefined
      }
    }
    if (fiber === this.#current) this.#given.scheduleTask(goOn, priority, fiber)
    else void Promise.resolve().then(goOn)
  }
}

/** Whether it does, or leaves to it, what Effect's own scheduler does; one of `Effect.runSync` does so in the end. */
const isPlain = (given: Scheduler.Scheduler): boolean =>
  given === Scheduler.defaultScheduler || (given instanceof Scheduler.SyncScheduler && given.deferred)

/** One in the place of `given`, unless that is the user's own. */
export const make = (given: Scheduler.Scheduler): Scheduler.Scheduler =>
  given === Scheduler.defaultScheduler || given instanceof Scheduler.SyncScheduler ? new CallScheduler(given) : given
