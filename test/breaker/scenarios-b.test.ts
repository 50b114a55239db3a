/** Open, half-open, and how it goes on. The cases are those of the references' own tests, and are numbered as there. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { CircuitBreakerPolicy } from "../../src/policies/CircuitBreaker.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as Drive from "./drive.ts"

/** Opens at the first failure. */
const brittle = { trip: { consecutive: 1 }, openFor: "1 second" } satisfies CircuitBreakerPolicy

/** As brittle, but with a window to be looked at. */
const windowed = {
  trip: { failureRate: 1, window: { calls: 10 }, minimumCalls: 1 },
  openFor: "1 second"
} satisfies CircuitBreakerPolicy

/** Opened, and its time is up. */
const halfOpen = Effect.fnUntraced(function* (policy: CircuitBreakerPolicy) {
  const driven = yield* Drive.make(policy)
  const heard = yield* Drive.listen
  yield* driven.call("F")
  yield* Drive.advance("1 second")
  assert.strictEqual(yield* driven.mode, "HalfOpen")
  return { ...driven, heard: Effect.map(heard, Drive.story) }
})

describe("an open circuit", () => {
  for (const [name, openFor] of [
    ["a duration", "1 second"],
    ["a schedule", Schedule.spaced("1 second")]
  ] as const) {
    it.scoped(`B1 opens, tells exactly how long still, probes, opens again, closes: with ${name}`, () =>
      Effect.gen(function* () {
        const { call, calls } = yield* Drive.make({
          trip: { failureRate: 0.5, window: { time: "10 seconds" }, minimumCalls: 10 },
          openFor
        })
        const heard = yield* Drive.listen
        yield* calls("F".repeat(10))
        assert.deepStrictEqual(Drive.story(yield* heard), ["Closed > Open: failure rate 10/10"])
        assert.strictEqual(yield* call("S"), "Open 1000")
        yield* Drive.advance("500 millis")
        assert.strictEqual(yield* call("S"), "Open 500")
        yield* Drive.advance("499 millis")
        assert.strictEqual(yield* call("S"), "Open 1")
        yield* Drive.advance("1 millis")
        assert.strictEqual(yield* call("F"), "ran")
        assert.deepStrictEqual(Drive.story(yield* heard), [
          "Open > HalfOpen: time is up",
          "HalfOpen > Open: probe failed 1/1"
        ])
        assert.strictEqual(yield* call("S"), "Open 1000")
        yield* Drive.advance("1 second")
        assert.strictEqual(yield* call("S"), "ran")
        assert.deepStrictEqual(Drive.story(yield* heard), [
          "Open > HalfOpen: time is up",
          "HalfOpen > Closed: probes succeeded 0/1"
        ])
      }).pipe(Effect.provide(CircuitBreaker.layerMemory))
    )
  }

  it.scoped("B13 opens for twice as long after each failed probe, and for the first time again after a close", () =>
    Effect.gen(function* () {
      const { call, mode } = yield* Drive.make({ ...brittle, openFor: Schedule.exponential("1 second") })
      yield* call("F")
      yield* Drive.advance("1 second")
      assert.strictEqual(yield* call("F"), "ran")
      yield* Drive.advance("1 second")
      assert.strictEqual(yield* call("S"), "Open 1000")
      yield* Drive.advance("1 second")
      assert.strictEqual(yield* call("S"), "ran")
      assert.strictEqual(yield* mode, "Closed")
      yield* call("F")
      assert.strictEqual(yield* call("S"), "Open 1000")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("B15 takes its time by the opening since the last close: five, a close, three", () =>
    Effect.gen(function* () {
      const openFor = Schedule.fromDelays("1 second", "2 seconds", "3 seconds", "4 seconds", "5 seconds")
      const { breaker, call } = yield* Drive.make({ ...brittle, openFor })
      const openings = (n: number) =>
        Effect.forEach(Array.from({ length: n }), () =>
          Effect.gen(function* () {
            yield* call("F")
            const { openings, retryAfter = Duration.infinity } = yield* breaker.state
            yield* Drive.advance(retryAfter)
            return [openings, Duration.toSeconds(retryAfter)]
          })
        )
      const five = yield* openings(5)
      yield* call("S")
      assert.deepStrictEqual(
        [...five, ...(yield* openings(3))],
        [1, 2, 3, 4, 5, 1, 2, 3].map((n) => [n, n])
      )
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("B17 opens for the longest wait a timer takes, however long it was told", () =>
    Effect.gen(function* () {
      for (const [key, openFor] of [
        ["a", Duration.infinity],
        ["b", "5000000 weeks"],
        ["c", Number.MAX_SAFE_INTEGER]
      ] as const) {
        const { call } = yield* Drive.make({ ...brittle, openFor }, key)
        yield* call("F")
        assert.strictEqual(yield* call("S"), `Open ${2 ** 31 - 1}`)
      }
      const { breaker, call } = yield* Drive.make({ ...brittle, retryAfterCap: Duration.infinity }, "d")
      const permit = yield* breaker.admit((effect) => effect)
      yield* breaker.record(permit, { _tag: "Failure", retryAfter: Duration.infinity })
      assert.strictEqual(yield* call("S"), `Open ${2 ** 31 - 1}`)
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})

describe("a half-open circuit", () => {
  it.scoped("B3 turns all others away while its probe is under way, and says when the probe's lease ends", () =>
    Effect.gen(function* () {
      const { call, heard, mode, start } = yield* halfOpen(brittle)
      const probe = yield* start
      yield* Drive.advance("20 seconds")
      assert.deepStrictEqual([yield* call("S"), yield* call("F")], ["HalfOpen 40000", "HalfOpen 40000"])
      assert.strictEqual(yield* mode, "HalfOpen")
      yield* probe.end("S")
      assert.deepStrictEqual(yield* heard, [
        "Closed > Open: consecutive",
        "Open > HalfOpen: time is up",
        "HalfOpen > Closed: probes succeeded 0/1"
      ])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  const four = { ...windowed, probes: { count: 4, mayFail: 2 } } satisfies CircuitBreakerPolicy

  it.scoped("B5 opens again at the third failure of four probes of which two may fail: F F S F", () =>
    Effect.gen(function* () {
      const { breaker, calls, heard, mode } = yield* halfOpen(four)
      yield* calls("FFS")
      const { calls: n, failureRate, failures, mode: still } = yield* breaker.state
      assert.deepStrictEqual([still, n, failures, failureRate], ["HalfOpen", 3, 2, 2 / 3])
      yield* calls("F")
      assert.strictEqual(yield* mode, "Open")
      assert.strictEqual((yield* heard).at(-1), "HalfOpen > Open: probe failed 3/4")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.scoped("B5 closes after F S S S, and begins to count afresh", () =>
    Effect.gen(function* () {
      const { calls, counts, heard } = yield* halfOpen(four)
      yield* calls("FSSS")
      assert.strictEqual((yield* heard).at(-1), "HalfOpen > Closed: probes succeeded 1/4")
      yield* calls("S")
      assert.deepStrictEqual(yield* counts, { calls: 1, failures: 0, slow: 0 })
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  const ten = { ...brittle, probes: { count: 10, mayFail: 3 } } satisfies CircuitBreakerPolicy

  it.scoped("B7 hears all ten probes, of which three may fail, before it closes", () =>
    Effect.gen(function* () {
      const { calls, heard, mode } = yield* halfOpen(ten)
      yield* calls("FFFSSSSSS")
      assert.strictEqual(yield* mode, "HalfOpen")
      yield* calls("S")
      assert.deepStrictEqual((yield* heard).slice(1), [
        "Open > HalfOpen: time is up",
        "HalfOpen > Closed: probes succeeded 3/10"
      ])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.scoped("B7 opens again at the fourth failure without waiting for the rest", () =>
    Effect.gen(function* () {
      const { call, calls, heard } = yield* halfOpen(ten)
      yield* calls("FFFF")
      assert.strictEqual((yield* heard).at(-1), "HalfOpen > Open: probe failed 4/4")
      assert.strictEqual(yield* call("S"), "Open 1000")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.scoped("B9 lets through as many probes as it needs and not one more", () =>
    Effect.gen(function* () {
      const { call, calls, mode, start } = yield* halfOpen({ ...brittle, probes: 3 })
      yield* calls("SS")
      const third = yield* start
      yield* Drive.advance("100 millis")
      assert.strictEqual(yield* call("S"), "HalfOpen 59900")
      yield* third.end("S")
      assert.strictEqual(yield* mode, "Closed")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.scoped("B9 lets no more of them run at once than it may", () =>
    Effect.gen(function* () {
      const { breaker, call, calls, mode, start } = yield* halfOpen({ ...brittle, probes: { count: 4, atOnce: 2 } })
      const [one] = [yield* start, yield* start]
      assert.strictEqual((yield* breaker.state).probing, 2)
      assert.strictEqual(yield* call("S"), "HalfOpen 60000")
      yield* one.end("S")
      yield* calls("SS")
      assert.strictEqual(yield* mode, "HalfOpen")
      assert.strictEqual(yield* call("S"), "HalfOpen 60000")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  for (const [kind, then] of [
    ["S", "Closed"],
    ["F", "Open"]
  ] as const) {
    it.scoped(`B11 an interrupted probe decides nothing: the next call is the probe, ${kind} makes it ${then}`, () =>
      Effect.gen(function* () {
        const { call, mode, start } = yield* halfOpen(brittle)
        const probe = yield* start
        yield* probe.interrupt
        assert.strictEqual(yield* mode, "HalfOpen")
        assert.strictEqual(yield* call(kind), "ran")
        assert.strictEqual(yield* mode, then)
      }).pipe(Effect.provide(CircuitBreaker.layerMemory))
    )
  }

  const limited = (become?: "open" | "closed") =>
    ({
      ...brittle,
      lease: "10 seconds",
      halfOpen: { atMost: "1 second", ...(become && { become }) }
    }) satisfies CircuitBreakerPolicy

  for (const [policy, mode, next] of [
    [limited(), "Open", "Open 1000"],
    [limited("open"), "Open", "Open 1000"],
    [limited("closed"), "Closed", "ran"]
  ] as const) {
    it.scoped(
      `B19 without a probe for as long as it may be, it is ${mode}: halfOpen ${JSON.stringify(policy.halfOpen)}`,
      () =>
        Effect.gen(function* () {
          const driven = yield* halfOpen(policy)
          yield* driven.call("N")
          yield* Drive.advance("999 millis")
          assert.strictEqual(yield* driven.mode, "HalfOpen")
          yield* Drive.advance("1 millis")
          assert.strictEqual(yield* driven.mode, mode)
          assert.strictEqual(yield* driven.call("S"), next)
          assert.strictEqual((yield* driven.heard).at(-1), `HalfOpen > ${mode}: no probe came`)
        }).pipe(Effect.provide(CircuitBreaker.layerMemory))
    )
  }

  it.scoped("B19 a probe that holds its slot is a probe: the time begins when its lease has ended", () =>
    Effect.gen(function* () {
      const { mode, start } = yield* halfOpen(limited())
      const probe = yield* start
      yield* Drive.advance("10999 millis")
      assert.strictEqual(yield* mode, "HalfOpen")
      yield* Drive.advance("1 millis")
      assert.strictEqual(yield* mode, "Open")
      yield* probe.interrupt
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.scoped("B19 whoever comes long after it would have opened again is a probe, and is not turned away", () =>
    Effect.gen(function* () {
      const { breaker, call, mode } = yield* halfOpen(limited())
      yield* call("N")
      yield* Drive.advance("1 hour")
      const { mode: seen, retryAfter } = yield* breaker.state
      assert.deepStrictEqual([seen, retryAfter], ["HalfOpen", undefined])
      assert.strictEqual(yield* call("S"), "ran")
      assert.strictEqual(yield* mode, "Closed")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})
