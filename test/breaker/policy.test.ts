import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { CircuitBreakerPolicy } from "../../src/policies/CircuitBreaker.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as Drive from "./drive.ts"

const defectOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.dieOption(exit.cause)) : undefined

const text = (of: unknown): string => (of instanceof Error ? of.message : String(of))

const count = "a whole number of 1 or more"
const aboveZero = 'a duration above zero, such as "3 seconds"'
const zeroOrMore = 'a duration of zero or more, such as "200 millis"'
const rate = "a number above 0, up to 1"
const window = "{ calls: a whole number of 1 or more } or { time: a duration above zero }"
const openFor = 'a duration above zero, such as "10 seconds", or a Schedule'

/** Wrong policies, as somebody without types would write them: the field, what stands there, what it takes. */
const wrong: ReadonlyArray<readonly [policy: unknown, field: string, actual: string, accepts: string]> = [
  [{ name: "" }, "name", 'the string ""', "a string that is not empty"],
  [{ openFor: 0 }, "openFor", "the number 0", openFor],
  [{ openFor: -1 }, "openFor", "the number -1", openFor],
  [{ openFor: "-1 seconds" }, "openFor", 'the string "-1 seconds"', openFor],
  [{ openFor: "soon" }, "openFor", 'the string "soon"', openFor],
  [{ openFor: null }, "openFor", "null", openFor],
  [{ retryAfterCap: "-1 millis" }, "retryAfterCap", 'the string "-1 millis"', zeroOrMore],
  [{ lease: 0 }, "lease", "the number 0", aboveZero],
  [{ metricsOnly: "yes" }, "metricsOnly", 'the string "yes"', "true or false"],
  [{ openfor: 1 }, "openfor", "the number 1", "no such field"],
  [
    { trip: 5 },
    "trip",
    "the number 5",
    "{ consecutive, failureRate, slowRate, slowerThan, window, minimumCalls, perBatch }"
  ],
  [{ trip: { consecutive: 0 } }, "trip.consecutive", "the number 0", count],
  [{ trip: { consecutive: 2.5 } }, "trip.consecutive", "the number 2.5", count],
  [{ trip: { consecutive: Number.POSITIVE_INFINITY } }, "trip.consecutive", "the number Infinity", count],
  [{ trip: { failureRate: 0 } }, "trip.failureRate", "the number 0", rate],
  [{ trip: { failureRate: 50 } }, "trip.failureRate", "the number 50", rate],
  [{ trip: { failureRate: Number.NaN } }, "trip.failureRate", "the number NaN", rate],
  [{ trip: { slowRate: 1.1, slowerThan: 1 } }, "trip.slowRate", "the number 1.1", rate],
  [
    { trip: { slowRate: 0.5 } },
    "trip.slowerThan",
    "undefined",
    'a duration, such as "5 seconds", where slowRate is given'
  ],
  [{ trip: { slowRate: 0.5, slowerThan: -2 } }, "trip.slowerThan", "the number -2", zeroOrMore],
  [{ trip: { failureRate: 0.5, window: { calls: 0 } } }, "trip.window", "an object", window],
  [{ trip: { failureRate: 0.5, window: { time: 0 } } }, "trip.window", "an object", window],
  [{ trip: { failureRate: 0.5, window: { calls: 5, time: 5 } } }, "trip.window", "an object", window],
  [{ trip: { failureRate: 0.5, window: 100 } }, "trip.window", "the number 100", window],
  [{ trip: { failureRate: 0.5, minimumCalls: 0 } }, "trip.minimumCalls", "the number 0", count],
  [
    { trip: { failureRate: 0.5, window: { calls: 20 }, minimumCalls: 21 } },
    "trip.minimumCalls",
    "the number 21",
    "no more than the 20 calls of its window"
  ],
  [
    { trip: { failureRate: 0.5, minimumCalls: 101 } },
    "trip.minimumCalls",
    "the number 101",
    "no more than the 100 calls of its window"
  ],
  [{ trip: { perBatch: 1 } }, "trip.perBatch", "the number 1", "true or false"],
  [{ trip: { consecutiv: 1 } }, "trip.consecutiv", "the number 1", "no such field"],
  [{ probes: 0 }, "probes.count", "the number 0", count],
  [{ probes: "two" }, "probes", 'the string "two"', "a whole number of 1 or more, or { count, mayFail, atOnce }"],
  [{ probes: { count: Number.POSITIVE_INFINITY } }, "probes.count", "the number Infinity", count],
  [{ probes: { count: 3, mayFail: -1 } }, "probes.mayFail", "the number -1", "a whole number of 0 or more"],
  [{ probes: { count: 3, mayFail: 3 } }, "probes.mayFail", "the number 3", "fewer than all of its probes, which are 3"],
  [{ probes: { mayFail: 1 } }, "probes.mayFail", "the number 1", "fewer than all of its probes, which are 1"],
  [{ probes: { count: 3, atOnce: 0 } }, "probes.atOnce", "the number 0", count],
  [{ halfOpen: "1 second" }, "halfOpen", 'the string "1 second"', "{ atMost, become }"],
  [{ halfOpen: {} }, "halfOpen.atMost", "undefined", 'a duration above zero, such as "30 seconds"'],
  [{ halfOpen: { atMost: 0 } }, "halfOpen.atMost", "the number 0", 'a duration above zero, such as "30 seconds"'],
  [{ halfOpen: { atMost: 1, become: "shut" } }, "halfOpen.become", 'the string "shut"', '"open" or "closed"']
]

describe("a policy that says something impossible is refused, naming the field", () => {
  it.effect.each(wrong)("%j: circuitBreaker.%s is %s, takes %s", ([policy, field, actual, accepts]) =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreaker.CircuitBreaker
      // Wrong on purpose: what plain JavaScript may hand in.
      const exit = yield* Effect.exit(breakers.get("a", policy as CircuitBreakerPolicy))
      const message = `CircuitBreaker "a": circuitBreaker.${field} is ${actual}; it takes ${accepts}`
      assert.strictEqual(text(defectOf(exit)), message)
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})

/** The waits of so many openings in a row, in milliseconds, each probe failing. */
const waits = Effect.fnUntraced(function* (openFor: CircuitBreakerPolicy["openFor"], openings: number) {
  const { breaker, call } = yield* Drive.make({ trip: { consecutive: 1 }, openFor })
  return yield* Effect.forEach(Array.from({ length: openings }), () =>
    Effect.gen(function* () {
      yield* call("F")
      const wait = (yield* breaker.state).retryAfter ?? Duration.infinity
      yield* Drive.advance(wait)
      return Duration.toMillis(wait)
    })
  )
})

describe("openFor", () => {
  it.effect("as a duration is the same at every opening", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* waits("7 seconds", 3), [7000, 7000, 7000])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("by default doubles from 10 seconds to 5 minutes", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* waits(undefined, 8),
        [10, 20, 40, 80, 160, 300, 300, 300].map((seconds) => seconds * 1000)
      )
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("as a schedule that ends repeats its last delay and is never open for ever", () =>
    Effect.gen(function* () {
      const finite = Schedule.exponential("1 second").pipe(Schedule.intersect(Schedule.recurs(3)))
      assert.deepStrictEqual(yield* waits(finite, 6), [1000, 2000, 4000, 4000, 4000, 4000])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("as a schedule that ends at once falls back to the default", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* waits(Schedule.stop, 2), [10_000, 20_000])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("as an endless schedule is followed for 16 openings, then its 16th delay repeats", () =>
    Effect.gen(function* () {
      const all = yield* waits(Schedule.linear("1 second"), 18)
      assert.deepStrictEqual(
        all,
        [...Array.from({ length: 16 }, (_, n) => n + 1), 16, 16].map((seconds) => seconds * 1000)
      )
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("as a jittered schedule draws from Random, so that a seed decides it", () =>
    Effect.gen(function* () {
      const jittered = Schedule.jittered(Schedule.spaced("10 seconds"))
      const of = (seed: string) =>
        Effect.gen(function* () {
          const { breaker, call } = yield* Drive.make({ trip: { consecutive: 1 }, openFor: jittered })
          yield* call("F")
          return Duration.toMillis((yield* breaker.state).retryAfter ?? 0)
        }).pipe(Effect.provide(CircuitBreaker.layerMemory), Effect.withRandom(Random.make(seed)))
      const [a, again, b] = [yield* of("a"), yield* of("a"), yield* of("b")]
      assert.strictEqual(a, again)
      assert.notStrictEqual(a, b)
      for (const wait of [a, b]) assert.isTrue(wait >= 8000 && wait <= 12_000, String(wait))
    })
  )
})

describe("a failure's own retryAfter", () => {
  const opened = (retryAfter: Duration.DurationInput, policy: CircuitBreakerPolicy = {}) =>
    Effect.gen(function* () {
      const { breaker } = yield* Drive.make({ trip: { consecutive: 1 }, openFor: "10 seconds", ...policy })
      const permit = yield* breaker.admit((effect) => effect)
      yield* breaker.record(permit, { _tag: "Failure", retryAfter })
      return Duration.toMillis((yield* breaker.state).retryAfter ?? 0)
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))

  it.effect("is a floor: longer than openFor it is obeyed, shorter it is not", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* opened("30 seconds"), 30_000)
      assert.strictEqual(yield* opened("3 seconds"), 10_000)
    })
  )

  it.effect("is obeyed up to the cap, by default 5 minutes", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* opened("1 day"), 300_000)
      assert.strictEqual(yield* opened(Duration.infinity), 300_000)
      assert.strictEqual(yield* opened("1 day", { retryAfterCap: "20 seconds" }), 20_000)
      assert.strictEqual(yield* opened("1 day", { retryAfterCap: 0 }), 10_000)
    })
  )
})

describe("two policies for one name", () => {
  const logged = (second: CircuitBreakerPolicy | undefined) =>
    Effect.gen(function* () {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(String(message)))
      yield* Effect.gen(function* () {
        const breakers = yield* CircuitBreaker.CircuitBreaker
        const first = yield* breakers.get("a", { trip: { consecutive: 3 } })
        assert.strictEqual(yield* breakers.get("a", second), first)
      }).pipe(Effect.provide(CircuitBreaker.layerMemory), Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
      return lines
    })

  it.effect("the first stays, and the other one is logged", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* logged({ trip: { consecutive: 4 } }), [
        "The circuit breaker a already has another policy, which stays"
      ])
    })
  )

  it.effect("nothing is logged where the other says the same, or nothing", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* logged({ trip: { consecutive: 3 }, probes: { count: 1 } }), [])
      assert.deepStrictEqual(yield* logged(undefined), [])
    })
  )

  it.effect("one that is written anew with every call is worked out once", () =>
    Effect.gen(function* () {
      let steps = 0
      const openFor = Schedule.map(Schedule.spaced("10 seconds"), () => (steps += 1))
      const call = Effect.suspend(() =>
        CircuitBreaker.execute(Effect.void, { key: "a", policy: { openFor, trip: { consecutive: 3 } } })
      )
      yield* call
      const once = steps
      assert.isAbove(once, 0)
      yield* Effect.repeatN(call, 3)
      assert.strictEqual(steps, once)
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("who gives none decides nothing: the first that is given holds, also where the breaker is in use", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreaker.CircuitBreaker
      yield* CircuitBreaker.execute(Effect.void, { key: "a" })
      const before = yield* breakers.get("a")
      assert.strictEqual(yield* breakers.get("a", { trip: { consecutive: 1 }, metricsOnly: true }), before)
      yield* Effect.ignore(CircuitBreaker.execute(Effect.fail("no"), { key: "a" }))
      assert.strictEqual((yield* before.state).mode, "Open")
      assert.strictEqual(yield* CircuitBreaker.execute(Effect.succeed(1), { key: "a" }), 1)
      yield* before.check
      yield* breakers.get("a", { trip: { consecutive: 9 } })
      yield* before.reset
      yield* Effect.ignore(CircuitBreaker.execute(Effect.fail("no"), { key: "a" }))
      assert.strictEqual((yield* before.state).mode, "Open")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory), Logger.withMinimumLogLevel(LogLevel.None))
  )
})
