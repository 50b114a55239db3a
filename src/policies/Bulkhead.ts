/**
 * At most so many at once, first come first served.
 *
 * Effect 3's semaphore lets a newcomer overtake those who wait; here a freed slot is handed to the first in line.
 * Whoever stops waiting, for whatever reason, leaves nothing behind.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/**
 * @since 0.1.0
 * @category models
 */
export interface Bulkhead {
  readonly capacity: number
  /**
   * Waits for a slot, for `millis` at most; answers whether it got one. Has to be called where interruption is masked,
   * with that mask's `restore`, so that a slot is never granted to a fiber that is gone.
   */
  readonly take: (
    restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
    millis: number
  ) => Effect.Effect<boolean>
  readonly release: Effect.Effect<void>
}

interface Waiter {
  granted: boolean
  readonly resume: () => void
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (capacity: number): Bulkhead => {
  let free = capacity
  const line = new Set<Waiter>()

  const release = Effect.sync(() => {
    for (const first of line) {
      line.delete(first)
      first.granted = true
      first.resume()
      return
    }
    free++
  })

  const wait = (millis: number, onWaiter: (waiter: Waiter) => void) => {
    const inLine = Effect.async<void>((resume) => {
      const waiter: Waiter = { granted: false, resume: () => resume(Effect.void) }
      line.add(waiter)
      onWaiter(waiter)
    })
    return Number.isFinite(millis) ? Effect.timeoutOption(inLine, Duration.millis(millis)) : inLine
  }

  const take: Bulkhead["take"] = (restore, millis) =>
    Effect.suspend(() => {
      if (free > 0) {
        free--
        return Effect.succeed(true)
      }
      let mine: Waiter | undefined
      return Effect.flatMap(
        Effect.exit(
          restore(
            wait(millis, (waiter) => {
              mine = waiter
            })
          )
        ),
        (exit) => {
          if (mine !== undefined) line.delete(mine)
          const granted = mine?.granted ?? false
          if (Exit.isSuccess(exit)) return Effect.succeed(granted)
          return Effect.zipRight(granted ? release : Effect.void, Effect.failCause(exit.cause))
        }
      )
    })

  return { capacity, take, release }
}
