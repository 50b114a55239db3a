/** What calls use one at a time, first come first served, over all batches of a runner. */
import * as Effect from "effect/Effect"
import * as Bulkhead from "../policies/Bulkhead.ts"
import * as Holds from "./holds.ts"
import type { Restore } from "./job.ts"

export interface Resources {
  /**
   * Waits for the resource, for `millis` at most; none where that was not enough. Called where interruption is masked.
   * `waiting` is run where it is not free at once.
   */
  readonly take: (
    key: string,
    millis: number,
    restore: Restore,
    waiting: Effect.Effect<void>
  ) => Effect.Effect<Holds.Holds | undefined>
}

export const make = (): Resources => {
  const inUse = new Map<string, { readonly bulkhead: Bulkhead.Bulkhead; users: number }>()

  /** Forgets a resource that nobody uses or waits for. */
  const done = (key: string) =>
    Effect.sync(() => {
      const entry = inUse.get(key)
      if (entry !== undefined && --entry.users === 0) inUse.delete(key)
    })

  return {
    take: (key, millis, restore, waiting) =>
      Effect.suspend(() => {
        const entry = inUse.get(key) ?? { bulkhead: Bulkhead.make({ capacity: 1 }), users: 0 }
        inUse.set(key, entry)
        entry.users++
        return entry.bulkhead.take(restore, { millis, waiting }).pipe(
          Effect.onError(() => done(key)),
          Effect.flatMap((taken) =>
            taken === "taken"
              ? Effect.succeed(Holds.make(Effect.zipRight(entry.bulkhead.release(), done(key))))
              : Effect.as(done(key), undefined)
          )
        )
      })
  }
}
