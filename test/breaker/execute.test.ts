import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import * as Scope from "effect/Scope"
import * as Layer from "effect/Layer"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { isNativeError } from "node:util/types"
import type { CircuitBreakerPolicy } from "../../src/policies/CircuitBreaker.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import * as Drive from "./drive.ts"

const policy = { trip: { consecutive: 2 }, openFor: "1 second" } satisfies CircuitBreakerPolicy

const options = { key: "a", policy }

const status = Effect.flatMap(
  Effect.flatMap(CircuitBreaker.CircuitBreaker, (all) => all.get("a", policy)),
  (a) => a.state
)

describe("execute", () => {
  it.effect("hands on a value, a failure and a defect as they are", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* CircuitBreaker.execute(Effect.succeed(1), options), 1)
      assert.strictEqual(yield* Effect.flip(CircuitBreaker.execute(Effect.fail("no"), options)), "no")
      const defect = new Error("broken")
      const exit = yield* Effect.exit(Effect.die(defect).pipe(CircuitBreaker.execute(options)))
      assert.deepStrictEqual(exit, Exit.die(defect))
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("counts a failure and a defect against the dependency, and keeps the first line of the last one", () =>
    Effect.gen(function* () {
      yield* Effect.exit(CircuitBreaker.execute(Effect.fail("no"), options))
      yield* Effect.exit(CircuitBreaker.execute(Effect.die(new Error("broken\nsecret")), options))
      const error = yield* Effect.flip(CircuitBreaker.execute(Effect.void, options))
      assert.deepStrictEqual(
        [error._tag, error.breaker, error.mode, error.lastFailure],
        ["CircuitOpen", "a", "Open", "Error: broken"]
      )
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("counts a defect of a probe: it opens again", () =>
    Effect.gen(function* () {
      const driven = yield* Drive.make(policy)
      yield* driven.calls("FF")
      yield* Drive.advance("1 second")
      yield* Effect.exit(CircuitBreaker.execute(Effect.die("broken"), options))
      assert.strictEqual(yield* driven.mode, "Open")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("counts no interruption, whether from outside or of the effect by itself", () =>
    Effect.gen(function* () {
      yield* Effect.exit(CircuitBreaker.execute(Effect.fail("no"), options))
      yield* Effect.exit(CircuitBreaker.execute(Effect.interrupt, options))
      const begun = yield* Deferred.make<void>()
      const never = Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)
      const fiber = yield* Effect.fork(CircuitBreaker.execute(never, options))
      yield* Deferred.await(begun)
      const exit = yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause))
      assert.strictEqual((yield* status).streak, 1)
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("counts a failure that could not be interrupted any more", () =>
    Effect.gen(function* () {
      const [begun, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<never, string>()]
      const stubborn = Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(gate))
      const fiber = yield* Effect.fork(CircuitBreaker.execute(Effect.uninterruptible(stubborn), options))
      yield* Deferred.await(begun)
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Effect.yieldNow()
      yield* Deferred.fail(gate, "no")
      yield* Fiber.join(interrupting)
      assert.strictEqual((yield* status).streak, 1)
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("refuses with an error like any other, only that its stack tells nothing", () =>
    Effect.gen(function* () {
      yield* Effect.replicateEffect(Effect.exit(CircuitBreaker.execute(Effect.fail("no"), options)), 2)
      const error = yield* Effect.flip(CircuitBreaker.execute(Effect.void, options))
      assert(typeof error === "object")
      const { breaker, lastFailure, mode, retryAfter } = error
      const made = new CircuitBreaker.CircuitOpen({ breaker, lastFailure, mode, retryAfter })
      assert.isTrue(error instanceof CircuitBreaker.CircuitOpen && error instanceof Error)
      assert.isTrue(isNativeError(error))
      assert.isTrue(Equal.equals(error, made))
      assert.strictEqual(String(error), String(made))
      assert.strictEqual(error.stack, String(made))
      assert.deepStrictEqual(JSON.stringify(error), JSON.stringify({ ...made }))
      const sent = yield* Schema.encode(CircuitBreaker.CircuitOpen)(error)
      assert.isTrue(Equal.equals(yield* Schema.decode(CircuitBreaker.CircuitOpen)(sent), made))
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("lets classify decide: a failure that says nothing, a success that is a failure and asks for a time", () =>
    Effect.gen(function* () {
      const classify = (exit: Exit.Exit<number, string>): CircuitBreaker.Outcome =>
        Exit.isSuccess(exit)
          ? { _tag: "Failure", retryAfter: "7 seconds", cause: `status ${exit.value}` }
          : { _tag: "Ignored" }
      yield* Effect.flip(CircuitBreaker.execute(Effect.fail("404"), { ...options, classify }))
      assert.strictEqual((yield* status).streak, 0)
      yield* CircuitBreaker.execute(Effect.succeed(503), { ...options, classify })
      yield* CircuitBreaker.execute(Effect.succeed(503), { ...options, classify })
      const { lastFailure, mode, retryAfter } = yield* status
      assert.deepStrictEqual([mode, lastFailure, retryAfter], ["Open", "status 503", Duration.seconds(7)])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("a timeout inside is a failure, one outside an interruption that says nothing", () =>
    Effect.gen(function* () {
      const slow = Effect.sleep("10 seconds")
      const inside = slow.pipe(Effect.timeout("1 second"), CircuitBreaker.execute(options))
      const outside = slow.pipe(CircuitBreaker.execute(options), Effect.timeout("1 second"))
      const run = Effect.fnUntraced(function* (call: typeof inside) {
        const fiber = yield* Effect.fork(Effect.exit(call))
        yield* Drive.advance("1 second")
        yield* Fiber.join(fiber)
        return (yield* status).streak
      })
      assert.deepStrictEqual([yield* run(inside), yield* run(outside)], [1, 1])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("keeps the breakers of two dependencies apart", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* Drive.make(policy, "a"), yield* Drive.make(policy, "b")]
      yield* a.calls("FF")
      assert.deepStrictEqual([yield* a.mode, yield* b.mode], ["Open", "Closed"])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})

describe("check", () => {
  it.effect("tells what a call would be told, takes no probe's slot, and changes nothing", () =>
    Effect.gen(function* () {
      const { breaker, call, calls } = yield* Drive.make(policy)
      const checked = Effect.map(Effect.either(breaker.check), (either) =>
        either._tag === "Left" ? either.left.mode : "free"
      )
      assert.strictEqual(yield* checked, "free")
      yield* calls("FF")
      assert.strictEqual(yield* checked, "Open")
      yield* Drive.advance("1 second")
      assert.deepStrictEqual([yield* checked, yield* checked], ["free", "free"])
      assert.strictEqual((yield* breaker.state).probing, 0)
      assert.strictEqual(yield* call("S"), "ran")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})

describe("opened", () => {
  const polled = <A>(fiber: Fiber.Fiber<A>) =>
    Effect.zipRight(Drive.advance(0), Effect.map(Fiber.poll(fiber), Option.isSome))

  it.effect("wakes all those who wait, when the circuit opens and not before", () =>
    Effect.gen(function* () {
      const { breaker, call } = yield* Drive.make(policy)
      const waiting = yield* Effect.forEach([1, 2, 3], () => Effect.fork(breaker.opened))
      const woken = Effect.forEach(waiting, polled)
      yield* call("F")
      assert.deepStrictEqual(yield* woken, [false, false, false])
      yield* call("F")
      assert.deepStrictEqual(yield* woken, [true, true, true])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("wakes when a probe fails, when it is isolated and when an open state is restored; not at a close", () =>
    Effect.gen(function* () {
      const { breaker, call, calls } = yield* Drive.make(policy)
      const woken = Effect.fnUntraced(function* <R>(by: Effect.Effect<unknown, never, R>) {
        const fiber = yield* Effect.fork(breaker.opened)
        yield* Drive.advance(0)
        yield* by
        return yield* polled(fiber)
      })
      yield* calls("FF")
      const open = yield* breaker.snapshot
      yield* Drive.advance("1 second")
      assert.isTrue(yield* woken(call("F")))
      yield* Drive.advance("1 second")
      assert.isFalse(yield* woken(call("S")))
      assert.isTrue(yield* woken(breaker.restore(open)))
      assert.isFalse(yield* woken(breaker.reset))
      assert.isTrue(yield* woken(Effect.scoped(breaker.isolate)))
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("never wakes where no call is turned away", () =>
    Effect.gen(function* () {
      const { breaker, calls } = yield* Drive.make({ ...policy, metricsOnly: true })
      const fiber = yield* Effect.fork(breaker.opened)
      yield* Drive.advance(0)
      yield* calls("FF")
      assert.isFalse(yield* polled(fiber))
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})

describe("failures of one batch", () => {
  const grouped = Effect.fnUntraced(function* (trip: CircuitBreakerPolicy["trip"]) {
    const breakers = yield* CircuitBreaker.CircuitBreaker
    const breaker = yield* breakers.get("a", { trip })
    /** "x" fails in batch x, "." succeeds, "?" fails outside any batch. */
    const calls = (all: string) =>
      Effect.forEach([...all], (batch) =>
        CircuitBreaker.execute(Effect.void, {
          key: "a",
          classify: () =>
            batch === "." ? { _tag: "Success" } : { _tag: "Failure", ...(batch === "?" ? {} : { group: batch }) }
        }).pipe(Effect.ignore)
      )
    return {
      breaker,
      calls,
      seen: Effect.map(breaker.state, ({ calls, failures, streak }) => [streak, failures, calls])
    }
  })

  const rated = { consecutive: 5, failureRate: 1, window: { calls: 100 }, minimumCalls: 100 }

  for (const [perBatch, expected] of [
    [undefined, [3, 8, 8]],
    [true, [3, 3, 3]]
  ] as const) {
    it.effect(`count as one in a row, and ${perBatch ? "as one" : "each"} in the window: perBatch ${perBatch}`, () =>
      Effect.gen(function* () {
        const { calls, seen } = yield* grouped({ ...rated, perBatch })
        yield* calls("aaaaabb?")
        assert.deepStrictEqual(yield* seen, [...expected])
      }).pipe(Effect.provide(CircuitBreaker.layerMemory))
    )
  }

  it.effect("count each where perBatch is false", () =>
    Effect.gen(function* () {
      const { breaker, calls, seen } = yield* grouped({ ...rated, perBatch: false })
      yield* calls("aaaa")
      assert.deepStrictEqual(yield* seen, [4, 4, 4])
      yield* calls("a")
      assert.strictEqual((yield* breaker.state).mode, "Open")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("trip as soon as so many batches have failed in a row", () =>
    Effect.gen(function* () {
      const { breaker, calls } = yield* grouped({ consecutive: 3 })
      yield* calls("aaabbb")
      assert.strictEqual((yield* breaker.state).mode, "Closed")
      yield* calls("c")
      assert.strictEqual((yield* breaker.state).mode, "Open")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("a success between them begins a new row, which their next failure is the first of", () =>
    Effect.gen(function* () {
      const { calls, seen } = yield* grouped({ ...rated, consecutive: 9 })
      yield* calls("aa.a")
      assert.deepStrictEqual(yield* seen, [1, 3, 4])
      yield* calls("ab")
      assert.deepStrictEqual(yield* seen, [2, 5, 6])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("trip by what is in the window when they come, though they add nothing to it", () =>
    Effect.gen(function* () {
      const window = { time: "10 seconds" } as const
      const { breaker, calls } = yield* grouped({ failureRate: 0.5, window, minimumCalls: 1, perBatch: true })
      yield* calls("...")
      yield* Drive.advance("9 seconds")
      yield* calls("a")
      assert.strictEqual((yield* breaker.state).mode, "Closed")
      yield* Drive.advance("1 second")
      yield* calls("a")
      assert.strictEqual((yield* breaker.state).mode, "Open")
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("are forgotten when the circuit has moved on", () =>
    Effect.gen(function* () {
      const { breaker, calls, seen } = yield* grouped({ ...rated, consecutive: 9 })
      yield* calls("aaa")
      yield* breaker.reset
      yield* calls("ba")
      assert.deepStrictEqual(yield* seen, [2, 2, 2])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )
})

describe("what goes wrong around a call", () => {
  const policy = { trip: { consecutive: 1 }, openFor: "1 second" } as const

  it.effect("a classify that throws is a defect of the call, and gives the probe's slot back as a failure", () =>
    Effect.gen(function* () {
      const options = { key: "throws", policy }
      yield* Effect.flip(CircuitBreaker.execute(Effect.fail("down"), options))
      yield* TestClock.adjust("1 second")
      const classify = (): never => {
        throw new Error("a mistake in classify")
      }
      const exit = yield* Effect.exit(CircuitBreaker.execute(Effect.succeed(1), { ...options, classify }))
      assert.isTrue(Exit.isFailure(exit) && Cause.isDie(exit.cause))
      const breaker = yield* Effect.flatMap(CircuitBreaker.CircuitBreaker, (all) => all.get("throws"))
      assert.deepInclude(yield* breaker.state, { mode: "Open", probing: 0 })
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("a call that outlives the layer ends as its effect does", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<never, string>()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(CircuitBreaker.layerMemory, scope)
      const late = yield* CircuitBreaker.execute(Deferred.await(gate), { key: "late", policy }).pipe(
        Effect.provide(context),
        Effect.flip,
        Effect.fork
      )
      yield* TestClock.adjust("1 millis")
      yield* Scope.close(scope, Exit.void)
      yield* Deferred.fail(gate, "its own error")
      assert.strictEqual(yield* Fiber.join(late), "its own error")
    })
  )
})
