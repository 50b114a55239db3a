/** Schedulers that make fibers give way at other points than they would, reproducibly. */
import * as Effect from "effect/Effect"
import * as Scheduler from "effect/Scheduler"
import * as Utils from "effect/Utils"

const yielding = (shouldYield: () => boolean): Scheduler.Scheduler =>
  Scheduler.make(
    (task, priority, fiber) => Scheduler.defaultScheduler.scheduleTask(task, priority, fiber),
    () => (shouldYield() ? 0 : false)
  )

/** Gives way at random operations: one in a hundred, since giving way takes a dozen of them itself. */
export const randomly =
  (seed: number) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      const random = new Utils.PCGRandom(seed)
      return Effect.withScheduler(
        effect,
        yielding(() => random.number() < 0.01)
      )
    })

/** Gives way once, at its n-th operation. */
export const atOperation =
  (n: number) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      let done = 0
      return Effect.withScheduler(
        effect,
        yielding(() => ++done === n)
      )
    })
