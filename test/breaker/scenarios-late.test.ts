/** Outcomes that come late. The case is one of the references' own tests, and is numbered as there. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { CircuitBreakerPolicy } from "../../src/policies/CircuitBreaker.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as Drive from "./drive.ts"

/** Opens at the first failure. */
const brittle = { trip: { consecutive: 1 }, openFor: "1 second" } satisfies CircuitBreakerPolicy

describe("B21 a failure of an older era changes nothing: not the mode, not the time, not the counts (our choice)", () => {
  const begun = Effect.fnUntraced(function* () {
    const driven = yield* Drive.make(brittle)
    const late = yield* driven.start
    return { ...driven, late }
  })

  it.scoped("in an open circuit", () =>
    Effect.gen(function* () {
      const { breaker, call, late } = yield* begun()
      yield* call("F")
      yield* Drive.advance("600 millis")
      const heard = yield* Drive.listen
      const before = yield* breaker.state
      yield* late.end("F")
      assert.deepStrictEqual(yield* breaker.state, before)
      assert.strictEqual(yield* call("S"), "Open 400")
      assert.deepStrictEqual(yield* heard, [])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.scoped("in an isolated circuit", () =>
    Effect.gen(function* () {
      const { breaker, late } = yield* begun()
      yield* breaker.isolate
      const heard = yield* Drive.listen
      yield* late.end("F")
      assert.strictEqual((yield* breaker.state).mode, "Isolated")
      assert.deepStrictEqual(yield* heard, [])
    }).pipe(Effect.scoped, Effect.provide(CircuitBreaker.layerMemory))
  )

  for (const kind of ["S", "F", "N"] as const) {
    it.scoped(`in a half-open circuit, nor does it free or settle the probe that is under way: ${kind}`, () =>
      Effect.gen(function* () {
        const { breaker, call, late, start } = yield* begun()
        yield* call("F")
        yield* Drive.advance("1 second")
        const probe = yield* start
        const before = yield* breaker.state
        yield* late.end(kind)
        assert.deepStrictEqual(yield* breaker.state, before)
        assert.strictEqual(yield* call("S"), "HalfOpen 60000")
        yield* probe.end("S")
        assert.strictEqual((yield* breaker.state).mode, "Closed")
      }).pipe(Effect.provide(CircuitBreaker.layerMemory))
    )
  }

  it.scoped("in a circuit that has closed since", () =>
    Effect.gen(function* () {
      const { breaker, calls, late } = yield* begun()
      yield* calls("F")
      yield* Drive.advance("1 second")
      yield* calls("S")
      yield* late.end("F")
      assert.strictEqual((yield* breaker.state).mode, "Closed")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})

describe("B21 a failure of the present era", () => {
  for (const [enough, mode] of [
    [2, "Closed"],
    [1, "Open"]
  ] as const) {
    it.effect(`in a closed circuit that ${mode === "Open" ? "has" : "has not"} to open: ${mode}`, () =>
      Effect.gen(function* () {
        const { call, mode: now } = yield* Drive.make({ trip: { consecutive: enough } })
        yield* call("F")
        assert.strictEqual(yield* now, mode)
      }).pipe(Effect.provide(CircuitBreaker.layerMemory))
    )
  }

  it.effect("in a half-open circuit: Open", () =>
    Effect.gen(function* () {
      const { call, calls, mode } = yield* Drive.make(brittle)
      yield* call("F")
      yield* Drive.advance("1 second")
      yield* calls("F")
      assert.strictEqual(yield* mode, "Open")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})
