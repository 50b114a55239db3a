/** By hand, events, state as data. The cases are those of the references' own tests, and are numbered as there. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as MetricState from "effect/MetricState"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type { CircuitBreakerPolicy } from "../../src/policies/CircuitBreaker.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as Drive from "./drive.ts"

const brittle = { trip: { consecutive: 1 }, openFor: "1 second" } satisfies CircuitBreakerPolicy

/** As whoever stored it reads it back. */
const roundTrip = <A>(data: A): A =>
  // What JSON gives back is what was plain data before.
  JSON.parse(JSON.stringify(data)) as A

describe("isolation", () => {
  it.scoped("C1 lasts until the last one who asked for it lets go; calls are turned away without a time", () =>
    Effect.gen(function* () {
      const { breaker, call, mode } = yield* Drive.make(brittle)
      const heard = yield* Drive.listen
      const [one, two] = [yield* Scope.make(), yield* Scope.make()]
      yield* Scope.extend(breaker.isolate, one)
      yield* Scope.extend(breaker.isolate, two)
      assert.strictEqual(yield* call("S"), "Isolated")
      yield* Scope.close(one, Exit.void)
      assert.strictEqual(yield* mode, "Isolated")
      assert.strictEqual(yield* call("S"), "Isolated")
      yield* Scope.close(two, Exit.void)
      assert.strictEqual(yield* mode, "Closed")
      assert.strictEqual(yield* call("S"), "ran")
      assert.deepStrictEqual(Drive.story(yield* heard), ["Closed > Isolated: isolated", "Isolated > Closed: released"])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.scoped("C1 one scope isolates two breakers, and frees both", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* Drive.make(brittle, "a"), yield* Drive.make(brittle, "b")]
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* a.breaker.isolate
          yield* b.breaker.isolate
          assert.deepStrictEqual([yield* a.call("S"), yield* b.call("S")], ["Isolated", "Isolated"])
        })
      )
      assert.deepStrictEqual([yield* a.call("S"), yield* b.call("S")], ["ran", "ran"])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.scoped("C1 does not end by itself, by reset, or by restoring a state", () =>
    Effect.gen(function* () {
      const { breaker, call, mode } = yield* Drive.make(brittle)
      yield* call("F")
      const open = yield* breaker.snapshot
      yield* breaker.isolate
      yield* Drive.advance("1 day")
      yield* breaker.reset
      yield* breaker.restore(open)
      assert.strictEqual(yield* mode, "Isolated")
    }).pipe(Effect.scoped, Effect.provide(CircuitBreaker.layerMemory))
  )
})

describe("metrics only", () => {
  it.scoped("C3 counts, changes and tells as ever, and turns no call away", () =>
    Effect.gen(function* () {
      const { breaker, calls, mode, ran } = yield* Drive.make({ ...brittle, metricsOnly: true })
      const heard = yield* Drive.listen
      yield* calls("SFFFF")
      assert.strictEqual(ran(), 5)
      assert.strictEqual(yield* mode, "Open")
      assert.strictEqual((yield* breaker.state).rejected, 3)
      yield* breaker.check
      yield* Drive.advance("1 second")
      yield* calls("S")
      assert.deepStrictEqual(Drive.story(yield* heard), [
        "Closed > Open: consecutive",
        "Open > HalfOpen: time is up",
        "HalfOpen > Closed: probes succeeded 0/1"
      ])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.scoped("C3 lets more calls through than there are probes, and hears the probes alone", () =>
    Effect.gen(function* () {
      const { call, mode, start } = yield* Drive.make({ ...brittle, metricsOnly: true })
      yield* call("F")
      yield* Drive.advance("1 second")
      const probe = yield* start
      assert.strictEqual(yield* call("F"), "ran")
      assert.strictEqual(yield* mode, "HalfOpen")
      yield* probe.end("S")
      assert.strictEqual(yield* mode, "Closed")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})

describe("what is told", () => {
  it.scoped("C5 nothing of a change to the same mode", () =>
    Effect.gen(function* () {
      const { breaker, call } = yield* Drive.make(brittle)
      const heard = yield* Drive.listen
      yield* breaker.reset
      yield* breaker.restore(yield* breaker.snapshot)
      yield* call("S")
      yield* breaker.isolate
      yield* breaker.isolate
      assert.deepStrictEqual(Drive.story(yield* heard), ["Closed > Isolated: isolated"])
    }).pipe(Effect.scoped, Effect.provide(CircuitBreaker.layerMemory))
  )

  it.scoped("C5 a reset by hand, from wherever it was", () =>
    Effect.gen(function* () {
      const { breaker, call } = yield* Drive.make(brittle)
      const heard = yield* Drive.listen
      yield* call("F")
      yield* breaker.reset
      yield* call("F")
      yield* Drive.advance("1 second")
      yield* call("N")
      yield* breaker.reset
      assert.deepStrictEqual(Drive.story(yield* heard), [
        "Closed > Open: consecutive",
        "Open > Closed: reset",
        "Closed > Open: consecutive",
        "Open > HalfOpen: time is up",
        "HalfOpen > Closed: reset"
      ])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("C9 the metrics: where it stands, and how often it has changed", () =>
    Effect.gen(function* () {
      const key = "of the metrics"
      const read = Effect.gen(function* () {
        const pairs = yield* Metric.snapshot
        return pairs
          .filter(({ metricKey }) => metricKey.tags.some((tag) => tag.key === "breaker" && tag.value === key))
          .map(({ metricKey: { name }, metricState: state }) => {
            const value = MetricState.isGaugeState(state) ? state.value : undefined
            return [name, MetricState.isCounterState(state) ? state.count : value]
          })
          .filter(([name]) => name !== "salvo_circuit_breaker_rejections")
      })
      const expected = (state: number, transitions: number) => [
        ["salvo_circuit_breaker_state", state],
        ["salvo_circuit_breaker_transitions", transitions]
      ]
      const { breaker, call } = yield* Drive.make(brittle, key)
      const same = (state: number, transitions: number) =>
        Effect.map(read, (pairs) => assert.sameDeepMembers([...pairs], expected(state, transitions)))
      yield* same(0, 0)
      yield* call("F")
      yield* same(2, 1)
      yield* Drive.advance("1 second")
      yield* call("N")
      yield* same(1, 2)
      yield* call("S")
      yield* same(0, 3)
      yield* Effect.scoped(Effect.zipRight(breaker.isolate, same(3, 4)))
      yield* same(0, 5)
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})

describe("C7 the state as data", () => {
  const policy = { ...brittle, trip: { consecutive: 2 } } satisfies CircuitBreakerPolicy

  it.effect("a row of failures goes on in the breaker it is restored to, and the old one goes its own way", () =>
    Effect.gen(function* () {
      const [old, other] = [yield* Drive.make(policy, "old"), yield* Drive.make(policy, "new")]
      yield* old.call("F")
      const snapshot = yield* old.breaker.snapshot
      yield* other.breaker.restore(roundTrip(snapshot))
      yield* other.call("F")
      assert.strictEqual(yield* other.mode, "Open")
      assert.strictEqual(yield* old.mode, "Closed")
      assert.strictEqual((yield* old.breaker.state).streak, 1)
      assert.deepStrictEqual(yield* old.breaker.snapshot, snapshot)
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("an open circuit has as much time left as it had, and then the next opening's", () =>
    Effect.gen(function* () {
      const exponential = { ...policy, openFor: Schedule.exponential("1 second") } satisfies CircuitBreakerPolicy
      const [old, other] = [yield* Drive.make(exponential, "old"), yield* Drive.make(exponential, "new")]
      yield* old.calls("FF")
      yield* Drive.advance("1 second")
      yield* old.call("F")
      yield* Drive.advance("500 millis")
      const snapshot = roundTrip(yield* old.breaker.snapshot)
      yield* Drive.advance("1 hour")
      yield* other.breaker.restore(snapshot)
      assert.strictEqual(yield* other.call("S"), "Open 1500")
      yield* Drive.advance("1500 millis")
      assert.strictEqual(yield* other.call("F"), "ran")
      assert.strictEqual(yield* other.call("S"), "Open 4000")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("a half-open circuit becomes one whose time is up: the next call is a probe", () =>
    Effect.gen(function* () {
      const [old, other] = [yield* Drive.make(policy, "old"), yield* Drive.make(policy, "new")]
      yield* old.calls("FF")
      yield* Drive.advance("1 second")
      const probe = yield* old.start
      yield* other.breaker.restore(roundTrip(yield* old.breaker.snapshot))
      assert.strictEqual(yield* other.mode, "HalfOpen")
      assert.strictEqual(yield* other.call("S"), "ran")
      assert.strictEqual(yield* other.mode, "Closed")
      yield* probe.interrupt
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  for (const window of [{ calls: 4 }, { time: "10 seconds" }] as const) {
    it.effect(`what is in the window goes along, as old as it is: ${JSON.stringify(window)}`, () =>
      Effect.gen(function* () {
        const rated = { trip: { failureRate: 0.75, window, minimumCalls: 4 } } satisfies CircuitBreakerPolicy
        const old = yield* Drive.make(rated, "old")
        yield* Drive.advance("12345 millis")
        yield* old.calls("F")
        yield* Drive.advance("6 seconds")
        yield* old.calls("SF")
        const snapshot = roundTrip(yield* old.breaker.snapshot)
        yield* Drive.advance("77 seconds")
        const other = yield* Drive.make(rated, "new")
        yield* other.breaker.restore(snapshot)
        assert.deepStrictEqual(yield* other.counts, { calls: 3, failures: 2, slow: 0 })
        if ("time" in window) {
          yield* Drive.advance("4 seconds")
          assert.deepStrictEqual(yield* other.counts, { calls: 2, failures: 1, slow: 0 })
        }
        yield* other.calls("FFFF")
        assert.strictEqual(yield* other.mode, "Open")
      }).pipe(Effect.provide(CircuitBreaker.layerMemory))
    )
  }

  it.scoped("an isolated circuit is stored as a closed one, whose first opening is a first one", () =>
    Effect.gen(function* () {
      const exponential = { ...policy, openFor: Schedule.exponential("1 second") } satisfies CircuitBreakerPolicy
      const [old, other] = [yield* Drive.make(exponential, "old"), yield* Drive.make(exponential, "new")]
      yield* old.calls("FF")
      yield* old.breaker.isolate
      yield* other.breaker.restore(roundTrip(yield* old.breaker.snapshot))
      assert.strictEqual(yield* other.mode, "Closed")
      yield* other.calls("FF")
      assert.strictEqual(Duration.toMillis((yield* other.breaker.state).retryAfter ?? 0), 1000)
    }).pipe(Effect.scoped, Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("calls under way when a state is restored count nothing", () =>
    Effect.gen(function* () {
      const { breaker, call, start } = yield* Drive.make(policy)
      const late = yield* start
      yield* breaker.restore(roundTrip(yield* breaker.snapshot))
      yield* late.end("F")
      assert.strictEqual((yield* breaker.state).streak, 0)
      yield* call("F")
      assert.strictEqual((yield* breaker.state).mode, "Closed")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})
