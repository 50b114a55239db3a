import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestServices from "effect/TestServices"
import * as Redis from "../../src/redis/Redis.ts"
import * as RedisRateLimiter from "../../src/redis/RateLimiter.ts"
import type { Settings } from "../../src/policies/RateLimit.ts"
import * as RateLimiter from "../../src/services/RateLimiter.ts"
import { contract } from "../rate-limiter-contract.ts"
import { shared, took } from "./connect.ts"
import { describeRedis } from "./server.ts"

describeRedis("rate limits in Redis", () => {
  const redis = shared()

  const store = (options: RedisRateLimiter.Options = {}) =>
    RedisRateLimiter.layerStore(options).pipe(
      Layer.provide(Layer.unwrapEffect(Effect.sync(() => Redis.layer({ url: redis.server.url }))))
    )

  contract({
    name: "in Redis",
    layer: store({ storeTimeout: "5 seconds" }),
    // The server's clock is not the test's.
    advance: (millis) => TestServices.provideLive(Effect.sleep(Duration.millis(millis))),
    toleranceMillis: 250
  })

  const settings: Settings = { limit: 10, perMillis: 10_000, burst: 2 }

  const connect = Effect.map(Layer.build(store()), Context.get(RateLimiter.RateLimiterStore))

  const take = (of: RateLimiter.RateLimiterStore["Type"], key: string, maxWaitMillis = 0) =>
    Effect.uninterruptibleMask((restore) => of.take(key, settings, 1, maxWaitMillis, restore))

  it.scopedLive("two processes share one limit", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* connect, yield* connect]
      assert.strictEqual((yield* take(one, "shared"))._tag, "Granted")
      assert.strictEqual((yield* take(other, "shared"))._tag, "Granted")
      assert.strictEqual((yield* take(one, "shared"))._tag, "Limited")
      assert.strictEqual((yield* take(other, "shared"))._tag, "Limited")
    })
  )

  it.scopedLive("a limit is forgotten when it says no more than a missing one", () =>
    Effect.gen(function* () {
      const one = yield* connect
      yield* take(one, "short")
      const ttl = yield* redis.server.use((client) => client.pttl("salvo:{rate:short}"))
      assert.isTrue(ttl > 0 && ttl <= 1002, String(ttl))
    })
  )

  it.scopedLive("while Redis is stopped every process goes by a limit of its own, in time and interruptible", () =>
    Effect.gen(function* () {
      const one = yield* connect
      yield* take(one, "stopped")
      yield* redis.server.pause
      const { millis, result } = yield* took(take(one, "stopped"))
      assert.strictEqual(result._tag, "Granted")
      assert.isBelow(millis, 500)
      assert.strictEqual((yield* take(one, "stopped"))._tag, "Granted")
      assert.strictEqual((yield* take(one, "stopped"))._tag, "Limited")
      const asking = yield* Effect.fork(Effect.forever(take(one, "stopped")))
      yield* Effect.sleep("20 millis")
      assert.isBelow((yield* took(Fiber.interrupt(asking))).millis, 500)
      yield* redis.server.resume
    }).pipe(Effect.ensuring(redis.server.resume))
  )

  it.scopedLive("who is interrupted while it asks has taken nothing", () =>
    Effect.gen(function* () {
      const one = yield* Effect.map(
        Layer.build(store({ storeTimeout: "5 seconds" })),
        Context.get(RateLimiter.RateLimiterStore)
      )
      yield* redis.server.pause
      const asking = yield* Effect.fork(take(one, "gone"))
      yield* Effect.sleep("20 millis")
      yield* Fiber.interrupt(asking)
      yield* redis.server.resume
      // Answered behind the one that nobody waited for, on the same connection.
      yield* take(one, "another")
      assert.strictEqual((yield* take(one, "gone"))._tag, "Granted")
      assert.strictEqual((yield* take(one, "gone"))._tag, "Granted")
      assert.strictEqual((yield* take(one, "gone"))._tag, "Limited")
    }).pipe(Effect.ensuring(redis.server.resume))
  )
})
