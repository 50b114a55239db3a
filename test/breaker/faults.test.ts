/** Faults that other breakers have or had, each a test that would have found it. */
import { assert, describe, it } from "@effect/vitest"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { CircuitBreakerPolicy } from "../../src/policies/CircuitBreaker.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as Drive from "./drive.ts"
import * as HandClock from "./handClock.ts"
import * as Interleave from "./interleave.ts"

const brittle = { trip: { consecutive: 1 }, openFor: "1 second", lease: "10 seconds" } satisfies CircuitBreakerPolicy

const halfOpen = Effect.fnUntraced(function* (policy: CircuitBreakerPolicy) {
  const driven = yield* Drive.make(policy)
  yield* driven.call("F")
  yield* Drive.advance("1 second")
  return driven
})

/** A permit, and how to hand it back. */
const permitOf = (breaker: CircuitBreaker.Breaker) => breaker.admit((effect) => effect)

const success = { _tag: "Success" } as const
const failure = { _tag: "Failure" } as const
const ignored = { _tag: "Ignored" } as const

describe("a half-open circuit", () => {
  it.effect("1: lets one of twenty through that come at the same moment", () =>
    Effect.gen(function* () {
      const driven = yield* Drive.make(brittle)
      yield* driven.call("F")
      yield* Drive.advance("1 second")
      let ran = 0
      const work = Effect.sync(() => void (ran += 1)).pipe(
        Effect.zipRight(Effect.sleep("1 second")),
        CircuitBreaker.execute({ key: "a" }),
        Effect.either
      )
      const fiber = yield* Effect.fork(Effect.all(Effect.replicate(work, 20), { concurrency: "unbounded" }))
      yield* Drive.advance("1 second")
      const answers = yield* Fiber.join(fiber)
      assert.strictEqual(ran, 1)
      assert.strictEqual(answers.filter((answer) => answer._tag === "Left").length, 19)
      assert.strictEqual(yield* driven.mode, "Closed")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("2: a probe that never ends loses its slot when its lease ends, and its late outcome changes nothing", () =>
    Effect.gen(function* () {
      const { breaker, call, mode } = yield* halfOpen(brittle)
      const hung = yield* permitOf(breaker)
      yield* Drive.advance("9999 millis")
      assert.strictEqual(yield* call("S"), "HalfOpen 1")
      yield* Drive.advance("1 millis")
      for (const outcome of [failure, success, ignored]) yield* breaker.record(hung, outcome)
      assert.strictEqual(yield* mode, "HalfOpen")
      assert.strictEqual(yield* call("S"), "ran")
      assert.strictEqual(yield* mode, "Closed")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("2: the outcome of a probe that lost its slot does not settle the one that took it", () =>
    Effect.gen(function* () {
      const { breaker, call, mode } = yield* halfOpen(brittle)
      const hung = yield* permitOf(breaker)
      yield* Drive.advance("10 seconds")
      const second = yield* permitOf(breaker)
      for (const outcome of [ignored, success, failure]) yield* breaker.record(hung, outcome)
      assert.strictEqual(yield* call("S"), "HalfOpen 10000")
      yield* breaker.record(second, success)
      assert.strictEqual(yield* mode, "Closed")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("2, 5: gives the slot back wherever its probe is interrupted, and stays half-open", () =>
    Effect.gen(function* () {
      const { breaker, call } = yield* halfOpen(brittle)
      const probe = CircuitBreaker.execute(Effect.never, { key: "a" })
      let met = 0
      // Gives way at each of its operations once, which is where the interruption meets it.
      for (let n = 1; n < 100; n++) {
        const fiber = yield* Effect.fork(Interleave.atOperation(n)(probe))
        yield* Effect.yieldNow()
        met += (yield* breaker.state).probing
        yield* Fiber.interrupt(fiber)
        const { mode, probing } = yield* breaker.state
        assert.deepStrictEqual([mode, probing], ["HalfOpen", 0], `at operation ${n}`)
      }
      assert.isTrue(met > 10 && met < 99, String(met))
      assert.strictEqual(yield* call("S"), "ran")
      assert.strictEqual((yield* breaker.state).mode, "Closed")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("2: a probe that ends by defect does not leave its slot taken", () =>
    Effect.gen(function* () {
      const { breaker } = yield* halfOpen({ ...brittle, probes: { count: 2, mayFail: 1, atOnce: 1 } })
      yield* Effect.exit(CircuitBreaker.execute(Effect.die("broken"), { key: "a" }))
      const { mode, probing } = yield* breaker.state
      assert.deepStrictEqual([mode, probing], ["HalfOpen", 0])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("3: a neutral outcome of an older call, or one told twice, frees nobody's slot", () =>
    Effect.gen(function* () {
      const driven = yield* Drive.make({ ...brittle, probes: { count: 3, atOnce: 2 } })
      const older = yield* permitOf(driven.breaker)
      yield* driven.call("F")
      yield* Drive.advance("1 second")
      const first = yield* permitOf(driven.breaker)
      yield* driven.breaker.record(first, ignored)
      yield* permitOf(driven.breaker)
      yield* permitOf(driven.breaker)
      for (const permit of [older, first, first]) yield* driven.breaker.record(permit, ignored)
      assert.strictEqual((yield* driven.breaker.state).probing, 2)
      assert.strictEqual(yield* driven.call("S"), "HalfOpen 10000")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})

describe("late outcomes", () => {
  it.scoped("4: neither a success nor a failure from before it opened closes it, extends it or is told of", () =>
    Effect.gen(function* () {
      const { breaker, call } = yield* Drive.make(brittle)
      const [first, second, third] = [yield* permitOf(breaker), yield* permitOf(breaker), yield* permitOf(breaker)]
      yield* call("F")
      const heard = yield* Drive.listen
      yield* Drive.advance("400 millis")
      yield* breaker.record(first, success)
      yield* breaker.record(second, failure)
      yield* breaker.record(third, ignored)
      assert.strictEqual(yield* call("S"), "Open 600")
      assert.deepStrictEqual(yield* heard, [])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})

describe("opening", () => {
  it.scoped("6: six failures at the same moment open it once, and it is half-open in time", () =>
    Effect.gen(function* () {
      const { breaker, mode } = yield* Drive.make({ ...brittle, trip: { consecutive: 5 } })
      const heard = yield* Drive.listen
      const permits = yield* Effect.all(Effect.replicate(permitOf(breaker), 6))
      yield* Effect.forEach(permits, (permit) => breaker.record(permit, failure), { concurrency: "unbounded" })
      assert.deepStrictEqual(Drive.story(yield* heard), ["Closed > Open: consecutive"])
      yield* Drive.advance("1 second")
      assert.strictEqual(yield* mode, "HalfOpen")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("10: a row that is already longer than needed still opens it at the next failure", () =>
    Effect.gen(function* () {
      const [long, short] = [
        yield* Drive.make({ trip: { consecutive: 9 } }, "long"),
        yield* Drive.make({ trip: { consecutive: 3 } }, "short")
      ]
      yield* long.calls("FFFFFF")
      yield* short.breaker.restore(yield* long.breaker.snapshot)
      assert.strictEqual(yield* short.mode, "Closed")
      yield* short.call("F")
      assert.strictEqual(yield* short.mode, "Open")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("10: a rate does not wait until the whole window has passed, neither at first nor after a close", () =>
    Effect.gen(function* () {
      const trip = { failureRate: 0.5, window: { time: "1 hour" }, minimumCalls: 4 } as const
      const { calls, mode } = yield* Drive.make({ ...brittle, trip })
      yield* calls("FSFS")
      assert.strictEqual(yield* mode, "Open")
      yield* Drive.advance("1 second")
      yield* calls("S")
      assert.strictEqual(yield* mode, "Closed")
      yield* calls("FSFS")
      assert.strictEqual(yield* mode, "Open")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("11: rates are not rounded: 99 of 200 is less than a half, 3 of 30 is a tenth", () =>
    Effect.gen(function* () {
      const rated = (failureRate: number, calls: number): CircuitBreakerPolicy => ({
        trip: { failureRate, window: { calls }, minimumCalls: calls }
      })
      const half = yield* Drive.make(rated(0.5, 200), "half")
      yield* half.calls("S".repeat(101) + "F".repeat(99))
      assert.strictEqual(yield* half.mode, "Closed")
      const tenth = yield* Drive.make(rated(0.1, 30), "tenth")
      yield* tenth.calls("S".repeat(27) + "FFF")
      assert.strictEqual(yield* tenth.mode, "Open")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("19: calls that were turned away are in no rate", () =>
    Effect.gen(function* () {
      const trip = { failureRate: 0.5, window: { calls: 100 }, minimumCalls: 2 } as const
      const { calls, counts } = yield* Drive.make({ ...brittle, trip })
      yield* calls("FF" + "S".repeat(50))
      yield* Drive.advance("1 second")
      yield* calls("S")
      assert.deepStrictEqual(yield* counts, { calls: 0, failures: 0, slow: 0 })
      yield* calls("SF")
      assert.deepStrictEqual(yield* calls("S"), ["Open 1000"])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})

describe("the clock", () => {
  const trip = { failureRate: 0.5, window: { time: "10 seconds" }, minimumCalls: 5 } as const

  it.effect("7: what is older than the window counts no more, however long nobody came", () =>
    Effect.gen(function* () {
      const { calls, counts, mode } = yield* Drive.make({ trip })
      yield* calls("FFFF")
      yield* Drive.advance("1 hour")
      yield* calls("F")
      assert.strictEqual(yield* mode, "Closed")
      assert.deepStrictEqual(yield* counts, { calls: 1, failures: 1, slow: 0 })
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("8: counts every call of a clock that has stepped back", () =>
    Effect.gen(function* () {
      const { calls, counts } = yield* Drive.make({ trip: { ...trip, minimumCalls: 50 } })
      yield* Drive.advance("2 hours")
      yield* calls("F")
      yield* TestClock.setTime(3_600_000)
      yield* calls("S".repeat(20))
      assert.deepStrictEqual(yield* counts, { calls: 21, failures: 1, slow: 0 })
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("8: a change of the wall clock moves neither an open circuit nor its window", () =>
    Effect.gen(function* () {
      const hand = HandClock.make()
      let wall = 0
      const clock: Clock.Clock = {
        ...hand,
        unsafeCurrentTimeMillis: () => wall,
        currentTimeMillis: Effect.sync(() => wall)
      }
      yield* Effect.gen(function* () {
        const { call } = yield* Drive.make(brittle)
        yield* call("F")
        for (const time of [86_400_000, -86_400_000]) {
          wall = time
          assert.strictEqual(yield* call("S"), "Open 1000")
        }
        hand.advance(1000)
        assert.strictEqual(yield* call("S"), "ran")
      }).pipe(Effect.withClock(clock))
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})

describe("those who listen", () => {
  it.scoped("18: one that dies disturbs neither the breaker nor the others", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreaker.CircuitBreaker
      const dying = yield* Effect.fork(Stream.runForEach(breakers.transitions, () => Effect.die("listener")))
      const heard = yield* Drive.listen
      const { call, mode } = yield* Drive.make(brittle)
      assert.strictEqual(yield* call("F"), "ran")
      assert.strictEqual((yield* Fiber.await(dying))._tag, "Failure")
      yield* Drive.advance("1 second")
      assert.strictEqual(yield* call("S"), "ran")
      assert.strictEqual(yield* mode, "Closed")
      assert.strictEqual((yield* heard).length, 3)
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("21: what was read of a breaker stays as it was read, and changing it changes no breaker", () =>
    Effect.gen(function* () {
      const { breaker, calls } = yield* Drive.make({
        trip: { failureRate: 1, window: { time: "1 minute" }, minimumCalls: 9 }
      })
      yield* calls("FS")
      const [state, snapshot] = [yield* breaker.state, yield* breaker.snapshot]
      const [stateBefore, snapshotBefore] = [structuredClone({ ...state }), structuredClone(snapshot)]
      yield* calls("FFF")
      assert.deepStrictEqual([{ ...state }, snapshot], [stateBefore, snapshotBefore])
      const now = yield* breaker.state
      // As plain JavaScript may do.
      ;(snapshot.buckets as Array<unknown>).length = 0
      ;(yield* breaker.snapshot).buckets.forEach((bucket) => Object.assign(bucket, { calls: 99 }))
      assert.deepStrictEqual(yield* breaker.state, now)
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})
