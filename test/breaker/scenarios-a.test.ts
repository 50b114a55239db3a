/** When a closed circuit opens. The cases are those of the references' own tests, and are numbered as there. */
import { assert, describe, it } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { CircuitBreakerPolicy } from "../../src/policies/CircuitBreaker.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as Drive from "./drive.ts"

const half = {
  trip: { failureRate: 0.5, window: { time: "20 seconds" }, minimumCalls: 5 },
  openFor: "5 seconds"
} satisfies CircuitBreakerPolicy

/** A rate that is looked at and never reached: no call here takes a minute. */
const watched = (time: Duration.DurationInput): CircuitBreakerPolicy => ({
  trip: { slowRate: 1, slowerThan: "1 minute", window: { time }, minimumCalls: 1 }
})

describe("a closed circuit", () => {
  it.scoped("A1 opens by its failure rate with the call that completes the minimum, though that one succeeded", () =>
    Effect.gen(function* () {
      const { breaker, call, calls, counts, mode } = yield* Drive.make(half)
      const heard = yield* Drive.listen
      yield* calls("FFFS")
      assert.strictEqual(yield* mode, "Closed")
      assert.strictEqual((yield* breaker.state).failureRate, undefined)
      yield* call("S")
      assert.strictEqual(yield* mode, "Open")
      const [opened, ...others] = yield* heard
      assert.deepStrictEqual(opened, {
        breaker: "a",
        from: "Closed",
        to: "Open",
        reason: "failure rate",
        counts: { calls: 5, failures: 3, slow: 0 },
        lastFailure: "F"
      })
      assert.deepStrictEqual(others, [])
      assert.strictEqual(yield* call("S"), "Open 5000")
      assert.strictEqual((yield* breaker.state).rejected, 1)
      assert.deepStrictEqual(yield* counts, { calls: 0, failures: 0, slow: 0 })
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.scoped("A3 opens by its slow rate though its failure rate is below", () =>
    Effect.gen(function* () {
      const { call, mode } = yield* Drive.make({
        ...half,
        trip: { ...half.trip, slowRate: 0.5, slowerThan: "4 seconds" }
      })
      const heard = yield* Drive.listen
      yield* call("F", "5 seconds")
      yield* call("S", "5 seconds")
      yield* call("F", "100 millis")
      yield* call("S", "100 millis")
      assert.strictEqual(yield* mode, "Closed")
      yield* call("S", "5 seconds")
      assert.deepStrictEqual(Drive.story(yield* heard), ["Closed > Open: slow rate 2/5, 3 slow"])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.scoped("A3 a call that took exactly slowerThan is not slow", () =>
    Effect.gen(function* () {
      const { call, counts } = yield* Drive.make({
        trip: { slowRate: 1, slowerThan: "4 seconds", window: { calls: 10 }, minimumCalls: 2 }
      })
      yield* call("S", "4 seconds")
      yield* call("S", "4001 millis")
      assert.deepStrictEqual(yield* counts, { calls: 2, failures: 0, slow: 1 })
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  const fifty = { trip: { failureRate: 0.5, window: { calls: 100 }, minimumCalls: 50 } } satisfies CircuitBreakerPolicy

  it.scoped("A5 stays closed for 49 failures where 50 calls are the minimum", () =>
    Effect.gen(function* () {
      const { calls, mode } = yield* Drive.make(fifty)
      yield* calls("F".repeat(49))
      assert.strictEqual(yield* mode, "Closed")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.scoped("A5 opens at 25 failures of 50: our choice, a rate that is reached trips", () =>
    Effect.gen(function* () {
      const { call, calls, mode } = yield* Drive.make(fifty)
      const heard = yield* Drive.listen
      yield* calls("S".repeat(25) + "F".repeat(24))
      assert.strictEqual(yield* mode, "Closed")
      yield* call("F")
      assert.deepStrictEqual(Drive.story(yield* heard), ["Closed > Open: failure rate 25/50"])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.scoped("A5 counts the last 100 calls only", () =>
    Effect.gen(function* () {
      const { calls, counts } = yield* Drive.make(fifty)
      yield* calls("F".repeat(24) + "S".repeat(100))
      assert.deepStrictEqual(yield* counts, { calls: 100, failures: 0, slow: 0 })
      yield* calls("FFS")
      assert.deepStrictEqual(yield* counts, { calls: 100, failures: 2, slow: 0 })
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.scoped("A7 opens at the sixth failure in a row; a success begins a new row; calls while open count nothing", () =>
    Effect.gen(function* () {
      const { breaker, call, calls, mode } = yield* Drive.make({ trip: { consecutive: 6 } })
      const streak = Effect.map(breaker.state, (state) => state.streak)
      const heard = yield* Drive.listen
      yield* calls("FFFFF")
      assert.strictEqual(yield* mode, "Closed")
      assert.strictEqual(yield* streak, 5)
      yield* calls("SF")
      assert.strictEqual(yield* streak, 1)
      yield* calls("FFFF")
      assert.strictEqual(yield* mode, "Closed")
      yield* call("F")
      assert.deepStrictEqual(Drive.story(yield* heard), ["Closed > Open: consecutive"])
      const open = yield* breaker.state
      assert.deepStrictEqual([open.streak, open.calls, open.failures, open.openings], [0, 0, 0, 1])
      assert.deepStrictEqual(yield* calls("SF"), ["Open 10000", "Open 10000"])
      assert.deepStrictEqual(yield* breaker.state, { ...open, rejected: 2 })
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("A9 counts a window of 10 seconds in ten parts and forgets them one by one", () =>
    Effect.gen(function* () {
      const { breaker, calls } = yield* Drive.make(watched("10 seconds"))
      const seen = yield* Effect.forEach(["FS", "FS", "SS", "SS", "SS", ""], (kinds) =>
        Effect.gen(function* () {
          yield* calls(kinds)
          yield* Drive.advance("2 seconds")
          const { calls: n, failureRate, failures } = yield* breaker.state
          return [n, failureRate, failures]
        })
      )
      assert.deepStrictEqual(seen, [
        [2, 0.5, 1],
        [4, 0.5, 2],
        [6, 2 / 6, 2],
        [8, 0.25, 2],
        [8, 0.125, 1],
        [6, 0, 0]
      ])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("A11 counts those of the last 5 seconds", () =>
    Effect.gen(function* () {
      const { call, counts } = yield* Drive.make(watched("5 seconds"))
      const at = Effect.fnUntraced(function* (kind: Drive.Kind, after: Duration.DurationInput) {
        yield* Drive.advance(after)
        yield* call(kind)
        const { calls, failures } = yield* counts
        return [calls, failures]
      })
      yield* at("F", 0)
      yield* at("S", "100 millis")
      yield* at("S", "100 millis")
      yield* at("S", "1 second")
      yield* at("S", "1 second")
      yield* at("F", "1 second")
      assert.deepStrictEqual(yield* at("S", "1 second"), [7, 2])
      assert.deepStrictEqual(yield* at("S", "1 second"), [5, 1])
      assert.deepStrictEqual(yield* at("S", "1 second"), [5, 1])
      assert.deepStrictEqual(yield* at("S", "5 seconds"), [1, 0])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("A13 lets errors through that are no failures, counts none of them, and hands each on as it is", () =>
    Effect.gen(function* () {
      const policy = { trip: { consecutive: 3 } }
      const failing = (error: string) =>
        Effect.fail(error).pipe(
          CircuitBreaker.execute({
            key: "a",
            policy,
            classify: (exit) =>
              exit._tag === "Failure" && String(exit.cause).includes("down") ? { _tag: "Failure" } : { _tag: "Ignored" }
          }),
          Effect.flip
        )
      for (const error of ["bad", "bad", "bad", "bad", "down", "bad", "down"]) {
        assert.strictEqual(yield* failing(error), error)
      }
      const { breaker } = yield* Drive.make(policy)
      assert.strictEqual((yield* breaker.state).streak, 2)
      assert.strictEqual((yield* breaker.state).mode, "Closed")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})
