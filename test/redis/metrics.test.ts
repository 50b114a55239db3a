import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as MetricState from "effect/MetricState"
import * as RedisCircuitBreaker from "../../src/redis/CircuitBreaker.ts"
import * as Redis from "../../src/redis/Redis.ts"
import * as RedisRateLimiter from "../../src/redis/RateLimiter.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"

/** A port where nobody listens. */
const nowhere = Redis.layer({ host: "127.0.0.1", port: 1 })

const stores = Layer.provide(Layer.merge(RedisCircuitBreaker.layer(), RedisRateLimiter.layer()), nowhere)

/** All gauges of that name, by their labels. */
const up = Effect.map(Metric.snapshot, (pairs) =>
  pairs
    .flatMap(({ metricKey: { name, tags }, metricState }) =>
      name === "salvo_redis_up" && MetricState.isGaugeState(metricState)
        ? [`${tags.map(({ value }) => value).join(", ")}: ${metricState.value}`]
        : []
    )
    .toSorted()
)

it.scopedLive("salvo_redis_up is there from the start, once a store, whatever the labels around who finds out", () =>
  Effect.gen(function* () {
    const context = yield* Layer.build(stores)
    assert.deepStrictEqual(yield* up, ["circuit breakers: 1", "rate limits: 1"])
    const call = CircuitBreaker.execute(Effect.void, { key: "a" })
    yield* call.pipe(Effect.tagMetrics("tenant", "one"), Effect.provide(context))
    assert.deepStrictEqual(yield* up, ["circuit breakers: 0", "rate limits: 1"])
  }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
)
