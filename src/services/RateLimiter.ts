/**
 * So many per so much time, spread evenly, with a burst after a quiet time.
 *
 * Each limit has a key. Who comes too early is told exactly how long it would have to wait, and waits in line if that
 * is not too long: first come first served. Only the first in line has a moment reserved in the store. Whoever stops
 * waiting leaves the line, or gives the moment back, and all behind move up.
 *
 * The arithmetic is `internal/gcra`: one timestamp per key, no timers and no background fibers.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Gcra from "../internal/gcra.ts"
import type { Restore } from "../internal/job.ts"
import * as Bulkhead from "../policies/Bulkhead.ts"
import type { Settings } from "../policies/RateLimit.ts"
import { now } from "../policies/Timeout.ts"
import { RateLimited } from "../ToolError.ts"

export {
  /**
   * @since 0.1.0
   * @category errors
   */
  RateLimited
} from "../ToolError.ts"

/**
 * A store's answer. `granted` names the reservation, for `giveBack`: the key's timestamp as it was left.
 *
 * @since 0.1.0
 * @category models
 */
export type Taken =
  | { readonly _tag: "Granted"; readonly waitMillis: number; readonly granted: number }
  | { readonly _tag: "Limited"; readonly retryAfterMillis: number }

/**
 * Where the timestamps are kept. None of it fails: a store that cannot be reached decides on its own.
 *
 * @since 0.1.0
 * @category tags
 */
export class RateLimiterStore extends Context.Tag("salvo/RateLimiterStore")<
  RateLimiterStore,
  {
    /**
     * Reserves `cost` where it falls due within `maxWaitMillis`, and nothing otherwise. Called where interruption is
     * masked, with that mask's `restore` for what takes time.
     */
    readonly take: (
      key: string,
      settings: Settings,
      cost: number,
      maxWaitMillis: number,
      restore: Restore
    ) => Effect.Effect<Taken>
    /** Undoes a reservation, as long as nothing was granted after it. */
    readonly giveBack: (key: string, settings: Settings, cost: number, granted: number) => Effect.Effect<void>
  }
>() {}

/**
 * @since 0.1.0
 * @category models
 */
export interface WaitOptions {
  /** For how many it counts; at most the burst. Default: 1. */
  readonly cost?: number | undefined
  /** Who would have to wait longer fails at once. 0 for never waiting. Default: for ever. */
  readonly maxWaitMillis?: number | undefined
  /** Ends the wait when it completes. Not looked at where there is nothing to wait for. */
  readonly abort?: Effect.Effect<void> | undefined
  /** Told once where it has to wait, with how many milliseconds that will take as far as is known. */
  readonly onWait?: ((millis: number) => Effect.Effect<void>) | undefined
}

/**
 * @since 0.1.0
 * @category tags
 */
export class RateLimiter extends Context.Tag("salvo/RateLimiter")<
  RateLimiter,
  {
    /**
     * Waits for the moment at which the limit of `key` allows one more, or fails with `RateLimited` where that is too
     * far away. Has to be called where interruption is masked, with that mask's `restore`.
     */
    readonly wait: (
      key: string,
      settings: Settings,
      options: WaitOptions,
      restore: Restore
    ) => Effect.Effect<"granted" | "aborted", RateLimited>
  }
>() {}

/** Those who wait for one key. */
interface Line {
  /** Held by the first in line, from when it asks the store for its moment until that has come. */
  readonly turn: Bulkhead.Bulkhead
  /** When the first in line falls due, as far as is known. */
  dueAt: number
  /** The time that all behind the first take up. */
  behindMillis: number
  present: number
}

const limited = (millis: number) => new RateLimited({ retryAfter: Duration.millis(Gcra.wholeMillis(millis)) })

const make = (store: RateLimiterStore["Type"]): RateLimiter["Type"] => {
  const lines = new Map<string, Line>()

  const wait: RateLimiter["Type"]["wait"] = (key, settings, options, restore) => {
    const { abort, cost = 1, maxWaitMillis = Number.POSITIVE_INFINITY, onWait } = options
    const takesUp = Gcra.span(settings, cost)

    /** Sleeps until the moment the store has granted. */
    const sleep = (waitMillis: number, granted: number) => {
      const over = Effect.as(Effect.sleep(Duration.millis(Gcra.wholeMillis(waitMillis))), "granted" as const)
      // What is raced must be interruptible, or a race within an uninterruptible region would wait for the slower one.
      const slept =
        abort === undefined
          ? over
          : Effect.raceFirst(Effect.interruptible(over), Effect.interruptible(Effect.as(abort, "aborted" as const)))
      const giveBack = store.giveBack(key, settings, cost, granted)
      return restore(slept).pipe(
        Effect.tap((how) => (how === "aborted" ? giveBack : Effect.void)),
        Effect.onError(() => giveBack)
      )
    }

    /** Run by the first in line. */
    const reserve = (line: Line, until: number) =>
      Effect.gen(function* () {
        // Estimated by what those before left; the store knows it exactly.
        line.dueAt += takesUp
        const taken = yield* store.take(key, settings, cost, Math.max(0, until - (yield* now)), restore)
        if (taken._tag === "Limited") return yield* Effect.fail(limited(taken.retryAfterMillis))
        line.dueAt = (yield* now) + taken.waitMillis
        return yield* sleep(taken.waitMillis, taken.granted)
      }).pipe(
        Effect.tap((how) => {
          if (how === "aborted") line.dueAt -= takesUp
          return Effect.void
        }),
        Effect.onError(() => Effect.sync(() => (line.dueAt -= takesUp)))
      )

    const queue = (line: Line, arrivedAt: number) =>
      Effect.gen(function* () {
        const expected = Math.max(0, line.dueAt - arrivedAt) + line.behindMillis + takesUp
        if (!Gcra.fits(expected, maxWaitMillis)) return yield* Effect.fail(limited(expected))
        line.behindMillis += takesUp
        if (onWait !== undefined) yield* onWait(expected)
        const turn = yield* line.turn
          .take(restore, { millis: maxWaitMillis, abort })
          .pipe(Effect.ensuring(Effect.sync(() => (line.behindMillis -= takesUp))))
        switch (turn) {
          case "taken":
            return yield* Effect.ensuring(reserve(line, arrivedAt + maxWaitMillis), line.turn.release())
          case "aborted":
            return turn
          default: {
            const left = line.dueAt - (yield* now)
            return yield* Effect.fail(limited(Math.max(0, left) + line.behindMillis + takesUp))
          }
        }
      })

    const inLine = (line: Line, arrivedAt: number) => {
      line.present++
      return Effect.ensuring(
        queue(line, arrivedAt),
        Effect.sync(() => {
          if (--line.present === 0) lines.delete(key)
        })
      )
    }

    return Effect.gen(function* () {
      const line = lines.get(key)
      if (line !== undefined) return yield* inLine(line, yield* now)
      // While nobody waits, those who come ask the store side by side.
      const taken = yield* store.take(key, settings, cost, 0, restore)
      if (taken._tag === "Granted") return "granted"
      const { retryAfterMillis } = taken
      if (!Gcra.fits(retryAfterMillis, maxWaitMillis)) return yield* Effect.fail(limited(retryAfterMillis))
      const time = yield* now
      const others = lines.get(key)
      if (others !== undefined) return yield* inLine(others, time)
      const fresh: Line = {
        turn: Bulkhead.make({ capacity: 1 }),
        dueAt: time + retryAfterMillis - takesUp,
        behindMillis: 0,
        present: 0
      }
      lines.set(key, fresh)
      return yield* inLine(fresh, time)
    })
  }

  return { wait }
}

/**
 * Rate limits over any store.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<RateLimiter, never, RateLimiterStore> = Layer.effect(
  RateLimiter,
  Effect.map(RateLimiterStore, make)
)

const makeMemory = Effect.gen(function* () {
  const origin = yield* now
  const tats = yield* Ref.make(HashMap.empty<string, number>())
  const store: RateLimiterStore["Type"] = {
    take: (key, settings, cost, maxWaitMillis) =>
      Effect.flatMap(now, (time) =>
        Ref.modify(tats, (known): [Taken, HashMap.HashMap<string, number>] => {
          const before = Option.getOrElse(HashMap.get(known, key), () => 0)
          const { granted, tat, waitMillis } = Gcra.take(before, time - origin, settings, cost, maxWaitMillis)
          return granted
            ? [{ _tag: "Granted", waitMillis, granted: tat }, HashMap.set(known, key, tat)]
            : [{ _tag: "Limited", retryAfterMillis: waitMillis }, known]
        })
      ),
    giveBack: (key, settings, cost, granted) =>
      Ref.update(
        tats,
        HashMap.modify(key, (tat) => Gcra.giveBack(tat, granted, settings, cost))
      )
  }
  return store
})

/**
 * Timestamps in memory, in a `Ref`: for one process.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStoreMemory: Layer.Layer<RateLimiterStore> = Layer.effect(RateLimiterStore, makeMemory)

/**
 * Rate limits of this process alone.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<RateLimiter> = Layer.provide(layer, layerStoreMemory)
