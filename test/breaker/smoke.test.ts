import { assert, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"

it.effect("opens, probes, closes", () =>
  Effect.gen(function* () {
    const policy = { trip: { consecutive: 2 }, openFor: "1 second" } as const
    const breakers = yield* CircuitBreaker.CircuitBreaker
    const fail = Effect.fail("no").pipe(CircuitBreaker.execute({ key: "a", policy }), Effect.flip)
    yield* fail
    yield* fail
    const breaker = yield* breakers.get("a", policy)
    const error = yield* fail
    assert(typeof error === "object" && error._tag === "CircuitOpen")
    assert.strictEqual(error.retryAfter === undefined ? 0 : Duration.toMillis(error.retryAfter), 1000)
    yield* TestClock.adjust("1 second")
    yield* Effect.succeed(1).pipe(CircuitBreaker.execute({ key: "a", policy }))
    const status = yield* breaker.state
    assert.strictEqual(status.mode, "Closed")
  }).pipe(Effect.provide(CircuitBreaker.layerMemory))
)
