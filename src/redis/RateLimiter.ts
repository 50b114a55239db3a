/**
 * Rate limits that many processes share, by the generic cell rate algorithm on the server's clock: one key, one round
 * trip. When Redis is slow or gone, every process goes by a limit of its own, and asks Redis again after a while that
 * grows; no call waits for Redis for longer than `storeTimeout`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { Restore } from "../internal/job.ts"
import type { Settings } from "../policies/RateLimit.ts"
import { now } from "../policies/Timeout.ts"
import * as RateLimiter from "../services/RateLimiter.ts"
import * as Command from "./internal/command.ts"
import * as Health from "./internal/health.ts"
import { script as lua } from "./internal/luaRateLimiter.ts"
import * as Redis from "./Redis.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How long a call waits for Redis at most. Default: 50 milliseconds. */
  readonly storeTimeout?: Duration.DurationInput | undefined
  /** How long Redis is left alone after it failed: doubled each time up to `to`, with jitter. Default: 100 ms, 10 s. */
  readonly backOff?: { readonly from: Duration.DurationInput; readonly to: Duration.DurationInput } | undefined
}

const script: Command.Script = { name: "salvoRateLimiter", numberOfKeys: 1, lua }

const Answer = Schema.Tuple(Schema.Literal("granted", "limited"), Schema.NumberFromString, Schema.String)

const decodeAnswer = Schema.decodeUnknown(Answer)

const toTaken = (answer: unknown): Effect.Effect<RateLimiter.Taken, Command.Unreachable> =>
  decodeAnswer(answer).pipe(
    Effect.map(([verdict, waitMillis, granted]): RateLimiter.Taken =>
      verdict === "granted"
        ? { _tag: "Granted", waitMillis, granted: Number(granted) }
        : { _tag: "Limited", retryAfterMillis: waitMillis }
    ),
    Effect.mapError((error) => new Command.Unreachable({ cause: error.message, sent: true }))
  )

const make = ({ backOff, storeTimeout = Duration.millis(50) }: Options) =>
  Effect.gen(function* () {
    const redis = yield* Redis.Redis
    const scope = yield* Effect.scope
    const own = yield* Effect.map(Layer.build(RateLimiter.layerStoreMemory), Context.get(RateLimiter.RateLimiterStore))
    const ask = Command.make(redis, script, Duration.decode(storeTimeout))
    const health = Health.make({
      base: Duration.toMillis(backOff?.from ?? Duration.millis(100)),
      cap: Duration.toMillis(backOff?.to ?? Duration.seconds(10)),
      what: "rate limits"
    })

    const step = (operation: string, key: string, settings: Settings, ...args: ReadonlyArray<string | number>) => {
      const name = `${redis.prefix}{rate:${encodeURIComponent(key.toWellFormed())}}`
      return ask([name, operation, settings.limit, settings.perMillis, settings.burst, ...args])
    }

    const behind = (effect: Effect.Effect<void>) => Effect.asVoid(Effect.forkIn(Effect.interruptible(effect), scope))

    /** Written at once, so that whoever comes next profits; nobody waits for the answer. */
    const undo = (key: string, settings: Settings, cost: number, granted: number) =>
      Effect.suspend(() => behind(Effect.ignore(step("giveBack", key, settings, cost, String(granted)))))

    /** Who is interrupted while it asks does not hear that it was granted something: that is given back behind it. */
    const askedFor = (restore: Restore, key: string, settings: Settings, cost: number, maxWaitMillis: number) =>
      Effect.gen(function* () {
        // The script knows no infinity; nobody waits for longer than this.
        const longest = Math.min(maxWaitMillis, Number.MAX_SAFE_INTEGER)
        const asking = Effect.suspend(() => step("take", key, settings, cost, longest)).pipe(
          Effect.flatMap(toTaken),
          Effect.tap(health.answered),
          Effect.tapError(({ cause }) => Effect.flatMap(now, (time) => health.failed(time, cause)))
        )
        const asked = yield* Effect.forkIn(Effect.interruptible(asking), scope)
        return yield* Effect.onInterrupt(restore(Fiber.join(asked)), () =>
          behind(
            Effect.flatMap(Effect.either(Fiber.join(asked)), (answer) =>
              Either.isRight(answer) && answer.right._tag === "Granted"
                ? undo(key, settings, cost, answer.right.granted)
                : Effect.void
            )
          )
        )
      })

    return {
      take: (key, settings, cost, maxWaitMillis, restore) =>
        Effect.flatMap(now, (time) => {
          const alone = own.take(key, settings, cost, maxWaitMillis, restore)
          return health.isDown() && !health.mayTry(time)
            ? alone
            : Effect.catchAll(askedFor(restore, key, settings, cost, maxWaitMillis), () => alone)
        }),
      // A reservation of this process's own limit is unknown to Redis, and the other way round: both are asked.
      giveBack: (key, settings, cost, granted) =>
        Effect.zipRight(
          own.giveBack(key, settings, cost, granted),
          health.isDown() ? Effect.void : undo(key, settings, cost, granted)
        )
    } satisfies RateLimiter.RateLimiterStore["Type"]
  })

/**
 * Keeps the timestamps of rate limits in Redis.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStore = (options: Options = {}): Layer.Layer<RateLimiter.RateLimiterStore, never, Redis.Redis> =>
  Layer.scoped(RateLimiter.RateLimiterStore, make(options))

/**
 * Rate limits that are shared through Redis.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<RateLimiter.RateLimiter, never, Redis.Redis> =>
  Layer.provide(RateLimiter.layer, layerStore(options))
