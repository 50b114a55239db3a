/**
 * What every store of circuit breakers has to do, whoever keeps the state: cases F1 to F11 of the acceptance scenarios.
 * Run under a `TestClock`; a store that is shared gives each process a connection of its own.
 */
import { assert, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { Make } from "../../src/internal/breaker/handle.ts"
import type { CircuitBreakerPolicy } from "../../src/policies/CircuitBreaker.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"

export type Breakers = CircuitBreaker.CircuitBreaker["Type"]

/** The breakers of a process over a store of its own. */
export const process = (make: Make): Effect.Effect<Breakers, never, Scope.Scope> =>
  Effect.map(
    Layer.build(Layer.provide(CircuitBreaker.layer, Layer.succeed(CircuitBreaker.CircuitBreakerStore, { make }))),
    (context) => context.unsafeMap.get(CircuitBreaker.CircuitBreaker.key)
  )

/** Asks for a permit as `execute` does. */
export const admit = (breaker: CircuitBreaker.Breaker) =>
  Effect.either(Effect.uninterruptibleMask((restore) => breaker.admit(restore)))

export const admitted = (breaker: CircuitBreaker.Breaker) =>
  Effect.map(admit(breaker), (answer) => {
    assert(Either.isRight(answer), `turned away: ${Either.isLeft(answer) ? answer.left.message : ""}`)
    return answer.right
  })

export const rejection = (breaker: CircuitBreaker.Breaker) =>
  Effect.map(admit(breaker), (answer) => {
    assert(Either.isLeft(answer), "was let through")
    const { mode, retryAfter } = answer.left
    return { mode, retryAfter: retryAfter === undefined ? undefined : Duration.toMillis(retryAfter) }
  })

export const success = { _tag: "Success" } as const
export const failure = { _tag: "Failure", cause: "it is dead" } as const
export const ignored = { _tag: "Ignored" } as const

/** One call from beginning to end. */
export const call = (breaker: CircuitBreaker.Breaker, outcome: CircuitBreaker.Outcome) =>
  Effect.flatMap(admitted(breaker), (permit) => breaker.record(permit, outcome))

/** Lets every fiber run until it waits. */
const settled = Effect.replicateEffect(Effect.yieldNow(), 50)

/** Listens from now on; what was heard by then, in short. */
export const listen = (breakers: Breakers) =>
  Effect.gen(function* () {
    const queue = yield* Queue.unbounded<string>()
    yield* Effect.forkScoped(
      Stream.runForEach(breakers.transitions, ({ from, reason, to }) =>
        Queue.offer(queue, `${from} -> ${to}: ${reason}`)
      )
    )
    yield* settled
    return Effect.zipRight(settled, Effect.map(Queue.takeAll(queue), Chunk.toReadonlyArray))
  })

export interface Options {
  readonly name: string
  /** Breakers of so many processes that share their state. Where there is but one process, it is all of them. */
  readonly processes: (count: number) => Effect.Effect<ReadonlyArray<Breakers>, never, Scope.Scope>
}

const concurrent = { concurrency: "unbounded" } as const

const consecutive: CircuitBreakerPolicy = { trip: { consecutive: 2 }, openFor: "1 second", lease: "1 second" }

/** One name for all: a store that outlives a case is given another prefix for each. */
const name = "payments {eu} / é"

export const contract = ({ name: store, processes }: Options) => {
  /** The same breaker in two processes. */
  const two = (policy: CircuitBreakerPolicy) =>
    Effect.gen(function* () {
      const [one, other] = yield* processes(2)
      assert(one !== undefined && other !== undefined)
      return {
        one: yield* one.get(name, policy),
        other: yield* other.get(name, policy),
        heard: yield* listen(other)
      }
    })

  const trip = (breaker: CircuitBreaker.Breaker) => Effect.replicateEffect(call(breaker, failure), 2)

  it.scoped(`${store}: F1 twenty that fail together open the circuit once, and what is left of that era is stale`, () =>
    Effect.gen(function* () {
      const all = yield* processes(20)
      const policy: CircuitBreakerPolicy = {
        trip: { failureRate: 0.5, minimumCalls: 4, window: { calls: 20 } },
        openFor: "1 second"
      }
      const heard = yield* Effect.forEach(new Set(all), listen)
      const breakers = yield* Effect.forEach(all, (each) => each.get(name, policy))
      const permits = yield* Effect.forEach(breakers, admitted)
      yield* Effect.forEach(permits, (permit, i) => breakers[i]!.record(permit, failure), concurrent)
      for (const breaker of breakers) {
        assert.deepStrictEqual(yield* rejection(breaker), { mode: "Open", retryAfter: 1000 })
        assert.strictEqual((yield* breaker.state).openings, 1)
      }
      for (const each of heard) assert.deepStrictEqual(yield* each, ["Closed -> Open: failure rate"])
    })
  )

  it.scoped(`${store}: F2 of twenty that ask when the time is up one is the probe`, () =>
    Effect.gen(function* () {
      const all = yield* processes(20)
      const breakers = yield* Effect.forEach(all, (each) => each.get(name, consecutive))
      yield* trip(breakers[0]!)
      yield* TestClock.adjust("1 second")
      const answers = yield* Effect.forEach(breakers, admit, concurrent)
      const refused = answers.filter(Either.isLeft)
      assert.strictEqual(refused.length, 19)
      for (const { left } of refused) assert.strictEqual(left.mode, "HalfOpen")
    })
  )

  it.scoped(`${store}: F3 a lost probe's slot is free when its lease is over, and its late outcome is stale`, () =>
    Effect.gen(function* () {
      const { one, other } = yield* two(consecutive)
      yield* trip(one)
      yield* TestClock.adjust("1 second")
      const lost = yield* admitted(one)
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(yield* rejection(other), { mode: "HalfOpen", retryAfter: 1 })
      yield* TestClock.adjust("1 millis")
      const probe = yield* admitted(other)
      yield* one.record(lost, success)
      yield* one.record(lost, failure)
      yield* one.record(lost, ignored)
      assert.strictEqual((yield* one.state).mode, "HalfOpen")
      assert.deepStrictEqual(yield* rejection(one), { mode: "HalfOpen", retryAfter: 1000 })
      yield* other.record(probe, success)
      assert.strictEqual((yield* one.state).mode, "Closed")
    })
  )

  it.scoped(`${store}: F5 in a half-open circuit the outcomes of older calls are stale`, () =>
    Effect.gen(function* () {
      const { one, other } = yield* two(consecutive)
      const [late, later] = [yield* admitted(one), yield* admitted(one)]
      yield* trip(one)
      yield* TestClock.adjust("1 second")
      const probe = yield* admitted(other)
      yield* one.record(late, success)
      yield* one.record(later, failure)
      const { mode, openings, probing } = yield* other.state
      assert.deepStrictEqual({ mode, openings, probing }, { mode: "HalfOpen", openings: 1, probing: 1 })
      yield* other.record(probe, success)
      assert.strictEqual((yield* one.state).mode, "Closed")
    })
  )

  it.scoped(`${store}: F6 a probe that says nothing frees its slot for the next`, () =>
    Effect.gen(function* () {
      const { one, other } = yield* two(consecutive)
      yield* trip(one)
      yield* TestClock.adjust("1 second")
      yield* call(one, ignored)
      const probe = yield* admitted(other)
      assert.strictEqual((yield* rejection(one)).mode, "HalfOpen")
      yield* other.record(probe, failure)
      assert.deepStrictEqual(yield* rejection(one), { mode: "Open", retryAfter: 1000 })
    })
  )

  it.scoped(`${store}: F7 of ten probes three may fail`, () =>
    Effect.gen(function* () {
      const { heard, one, other } = yield* two({ ...consecutive, probes: { count: 10, mayFail: 3 } })
      yield* trip(one)
      yield* TestClock.adjust("1 second")
      const ask = Effect.map(admit(other), Either.getOrUndefined)
      const permits = (yield* Effect.all(
        Array.from({ length: 15 }, () => ask),
        concurrent
      )).filter((permit) => permit !== undefined)
      assert.strictEqual(permits.length, 10)
      for (const permit of permits.slice(0, 3)) yield* other.record(permit, failure)
      assert.strictEqual((yield* one.state).mode, "HalfOpen")
      for (const permit of permits.slice(3, 9)) yield* other.record(permit, success)
      const { calls, failures, mode } = yield* one.state
      assert.deepStrictEqual({ calls, failures, mode }, { calls: 9, failures: 3, mode: "HalfOpen" })
      yield* other.record(permits[9]!, success)
      assert.strictEqual((yield* one.state).mode, "Closed")
      assert.strictEqual((yield* heard).at(-1), "HalfOpen -> Closed: probes succeeded")
    })
  )

  it.scoped(`${store}: F8 38 failures of 78 calls leave it closed, two more are half of all and open it`, () =>
    Effect.gen(function* () {
      const { one, other } = yield* two({
        trip: { failureRate: 0.5, minimumCalls: 10, window: { calls: 100 } },
        openFor: "1 second"
      })
      const permits = yield* Effect.replicateEffect(admitted(one), 80)
      for (const [i, permit] of permits.entries()) {
        if (i === 78) {
          const { calls, failures, mode } = yield* other.state
          assert.deepStrictEqual({ calls, failures, mode }, { calls: 78, failures: 38, mode: "Closed" })
        }
        yield* one.record(permit, i < 40 ? success : failure)
      }
      assert.strictEqual((yield* other.state).mode, "Open")
    })
  )

  it.scoped(`${store}: a policy that is given when the breaker is in use already holds from then on`, () =>
    Effect.gen(function* () {
      const [one] = yield* processes(1)
      assert(one !== undefined)
      const breaker = yield* one.get(name)
      yield* call(breaker, failure)
      assert.strictEqual(yield* one.get(name, consecutive), breaker)
      yield* call(breaker, failure)
      assert.deepStrictEqual(yield* rejection(breaker), { mode: "Open", retryAfter: 1000 })
    })
  )

  it.scoped(`${store}: F11 a failure in an open circuit neither opens it again nor keeps it open longer`, () =>
    Effect.gen(function* () {
      const { heard, one, other } = yield* two(consecutive)
      const late = yield* admitted(other)
      yield* trip(other)
      yield* TestClock.adjust("400 millis")
      yield* other.record(late, failure)
      assert.deepStrictEqual(yield* rejection(one), { mode: "Open", retryAfter: 600 })
      assert.deepStrictEqual(yield* rejection(other), { mode: "Open", retryAfter: 600 })
      assert.strictEqual((yield* one.state).openings, 1)
      assert.deepStrictEqual(yield* heard, ["Closed -> Open: consecutive"])
    })
  )

  it.scoped(`${store}: who isolates it takes it from everybody, until the last one has released it`, () =>
    Effect.gen(function* () {
      const { one, other } = yield* two(consecutive)
      const [first, second] = [yield* Scope.make(), yield* Scope.make()]
      yield* Scope.extend(one.isolate, first)
      yield* Scope.extend(other.isolate, second)
      assert.deepStrictEqual(yield* rejection(one), { mode: "Isolated", retryAfter: undefined })
      assert.deepStrictEqual(yield* rejection(other), { mode: "Isolated", retryAfter: undefined })
      yield* Effect.forEach([one, other], (each) => each.reset)
      yield* Scope.close(first, Exit.void)
      assert.strictEqual((yield* rejection(one)).mode, "Isolated")
      yield* Scope.close(second, Exit.void)
      yield* call(one, success)
      yield* call(other, success)
    })
  )

  it.scoped(`${store}: a reset closes it for everybody`, () =>
    Effect.gen(function* () {
      const { heard, one, other } = yield* two(consecutive)
      yield* trip(other)
      yield* one.reset
      yield* TestClock.adjust("1 second")
      yield* call(other, success)
      assert.strictEqual((yield* one.state).mode, "Closed")
      assert.deepStrictEqual(yield* heard, ["Closed -> Open: consecutive", "Open -> Closed: reset"])
    })
  )

  it.scoped(`${store}: a success of one process ends the failures in a row of another`, () =>
    Effect.gen(function* () {
      const { one, other } = yield* two(consecutive)
      yield* call(one, failure)
      yield* call(other, success)
      yield* call(one, failure)
      assert.strictEqual((yield* one.state).mode, "Closed")
      yield* call(other, failure)
      assert.strictEqual((yield* one.state).mode, "Open")
    })
  )
}
