import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import { type BatchResult, type Policy, RateLimiter, Report, ToolRunner } from "../../src/index.ts"
import { call, calls, down, type Handler, make, outcomes, why, within } from "./world.ts"

const ok: Handler = () => Effect.succeed("ok")

const perSecond = { limit: 1, per: "1 second" } as const

const limited = (rateLimit: Policy.RateLimitPolicy, policy: Policy.Policy = {}, handler: Handler = ok) =>
  make(handler, { policy: { rateLimit, circuitBreaker: false, ...policy } })

/** How long each call was told to wait, in milliseconds. */
const waits = (batch: BatchResult.BatchResult) =>
  batch.failed.map(({ error }) => (error._tag === "RateLimited" ? Duration.toMillis(error.retryAfter) : error._tag))

describe("a rate limit that makes calls wait", () => {
  it.effect("starts them one by one, in call order, over all batches of a runner", () => {
    const { ids, layer, times, toolbox } = limited(perSecond)
    return Effect.gen(function* () {
      yield* Effect.all([ToolRunner.run(toolbox, calls(3, "a")), ToolRunner.run(toolbox, calls(2, "b"))], {
        concurrency: "unbounded"
      }).pipe(within("4 seconds"))
      assert.deepStrictEqual(ids(), ["a1", "a2", "a3", "b1", "b2"])
      assert.deepStrictEqual(times(), [0, 1000, 2000, 3000, 4000])
    }).pipe(Effect.provide(layer))
  })

  it.effect("lets a burst through after a quiet time, and the rest evenly", () => {
    const { layer, times, toolbox } = limited({ limit: 10, per: "1 second", burst: 3 })
    return Effect.gen(function* () {
      yield* ToolRunner.run(toolbox, calls(6)).pipe(within("300 millis"))
      assert.deepStrictEqual(times(), [0, 0, 0, 100, 200, 300])
    }).pipe(Effect.provide(layer))
  })

  it.effect("counts a call for as many as it costs", () => {
    const { layer, times, toolbox } = limited({ limit: 4, per: "4 seconds", burst: 3, cost: 3 })
    return Effect.gen(function* () {
      yield* ToolRunner.run(toolbox, calls(3)).pipe(within("6 seconds"))
      assert.deepStrictEqual(times(), [0, 3000, 6000])
    }).pipe(Effect.provide(layer))
  })

  it.effect("never takes the wait for slowness: the attempt's time begins after it", () => {
    const { layer, toolbox } = limited(perSecond, { timeout: "500 millis" }, () => Effect.sleep("400 millis"))
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, calls(3)).pipe(within("2400 millis"))
      assert.deepStrictEqual(outcomes(batch), ["executed", "executed", "executed"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("turns away at once who would have to wait longer than it may, and says how long", () => {
    const { layer, starts, toolbox } = limited({ ...perSecond, maxWait: "2 seconds" })
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, calls(5)).pipe(within("2 seconds"))
      assert.deepStrictEqual(outcomes(batch), ["executed", "executed", "executed", "RateLimited", "RateLimited"])
      // Those who are turned away take up no time.
      assert.deepStrictEqual(waits(batch), [3000, 3000])
      assert.deepStrictEqual(
        batch.failed.map(({ duration }) => Duration.toMillis(duration)),
        [0, 0]
      )
      assert.strictEqual(starts.length, 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("turns away at once who could not start before its own deadline, or the batch's", () => {
    const { layer, toolbox } = limited(perSecond, { timeout: { total: "2500 millis" } })
    return Effect.gen(function* () {
      const own = yield* ToolRunner.run(toolbox, calls(5)).pipe(within("2 seconds"))
      assert.deepStrictEqual(outcomes(own), ["executed", "executed", "executed", "RateLimited", "RateLimited"])
      assert.deepStrictEqual(waits(own), [3000, 3000])
      yield* TestClock.adjust("1 minute")
      const batch = yield* ToolRunner.run(toolbox, calls(3), { timeout: "500 millis" }).pipe(within(0))
      assert.deepStrictEqual(outcomes(batch), ["executed", "RateLimited", "RateLimited"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("counts every execution: retries and hedges too", () =>
    Effect.gen(function* () {
      const retried = limited(perSecond, { retry: { times: 2, base: 0, jitter: "none" } }, (_, { attempt }) =>
        attempt < 3 ? down() : Effect.succeed("ok")
      )
      yield* ToolRunner.run(retried.toolbox, calls(1)).pipe(Effect.provide(retried.layer), within("2 seconds"))
      assert.deepStrictEqual(retried.times(), [0, 1000, 2000])
      const hedged = limited(
        { limit: 1, per: "5 seconds" },
        { hedge: { delay: "1 second", budget: 1 } },
        (_, { attempt }) => Effect.sleep(attempt === 1 ? "10 seconds" : "1 second")
      )
      const from = yield* TestClock.currentTimeMillis
      yield* ToolRunner.run(hedged.toolbox, calls(1)).pipe(Effect.provide(hedged.layer), within("6 seconds"))
      assert.deepStrictEqual(
        hedged.times().map((at) => at - from),
        [0, 5000]
      )
    })
  )

  it.effect("takes nothing from who stops waiting: all behind move up", () => {
    const { ids, layer, times, toolbox } = limited(perSecond)
    return Effect.gen(function* () {
      const fibers = yield* Effect.forEach(calls(5), (one) => Effect.fork(ToolRunner.run(toolbox, [one])))
      yield* TestClock.adjust("500 millis")
      for (const gone of [1, 2]) {
        const fiber = fibers[gone]
        if (fiber !== undefined) yield* Fiber.interrupt(fiber)
      }
      yield* TestClock.adjust("1500 millis")
      assert.deepStrictEqual(ids(), ["c1", "c4", "c5"])
      assert.deepStrictEqual(times(), [0, 1000, 2000])
    }).pipe(Effect.provide(layer))
  })

  it.effect("keeps to its rate, and no slower, through many random interruptions", () => {
    const { layer, times, toolbox } = limited({ limit: 10, per: "1 second", burst: 1 })
    return Effect.gen(function* () {
      for (let round = 0; round < 10; round++) {
        const fibers = yield* Effect.forEach(calls(10), (one) => Effect.fork(ToolRunner.run(toolbox, [one])))
        for (const fiber of fibers) {
          yield* TestClock.adjust(yield* Random.nextIntBetween(0, 100))
          if (yield* Random.nextBoolean) yield* Fiber.interrupt(fiber)
        }
      }
      yield* TestClock.adjust("1 minute")
      const gaps = times()
        .slice(1)
        .map((at, i) => at - (times()[i] ?? 0))
      assert.isAtLeast(Math.min(...gaps), 100)
      const before = yield* TestClock.currentTimeMillis
      yield* ToolRunner.run(toolbox, calls(3)).pipe(within("200 millis"))
      assert.deepStrictEqual(times().slice(-3), [before, before + 100, before + 200])
    }).pipe(Effect.provide(layer), Effect.withRandom(Random.make("interruptions")))
  })
})

describe("a rate limit that fails", () => {
  const failing = { limit: 2, per: "10 seconds", burst: 1, onLimit: "fail" } as const

  it.effect("says exactly when to come again, and who comes then gets in", () => {
    const { layer, starts, toolbox } = limited(failing)
    return Effect.gen(function* () {
      const both = yield* ToolRunner.run(toolbox, calls(2))
      assert.deepStrictEqual([outcomes(both), waits(both)], [["executed", "RateLimited"], [5000]])
      const [failed] = both.failed
      assert.deepStrictEqual(
        [failed?.fault.owner, failed?.fault.tookEffect, failed?.attempts, failed?.fault.retryAfter],
        ["runner", "no", 0, Duration.seconds(5)]
      )
      assert.match(String(Report.toolResults(both)[1]?.content), /^Not executed: .*Retry after 5 seconds/)
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(waits(yield* ToolRunner.run(toolbox, calls(1))), [1])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(outcomes(yield* ToolRunner.run(toolbox, calls(1))), ["executed"])
      assert.strictEqual(starts.length, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is waited out by a retry where the policy says so, and only once executed", () => {
    const { layer, times, toolbox } = limited(failing, { retry: { times: 1, rejected: true } })
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, calls(2)).pipe(within("5 seconds"))
      assert.deepStrictEqual(outcomes(batch), ["executed", "executed"])
      assert.deepStrictEqual(batch.results[1]?.attempts, 1)
      assert.deepStrictEqual(times(), [0, 5000])
    }).pipe(Effect.provide(layer))
  })

  it.effect("leaves a retry that is turned away its own failure, and tells of the wait", () => {
    const { layer, toolbox } = limited(
      failing,
      { retry: { times: 3, base: "1 second", jitter: "none" } },
      (_, { attempt }) => down(`attempt ${attempt}`)
    )
    return Effect.gen(function* () {
      const { failed } = yield* ToolRunner.run(toolbox, calls(1)).pipe(within("1 second"))
      assert.deepStrictEqual([why(failed[0]), failed[0]?.attempts], ["attempt 1", 1])
      assert.deepStrictEqual(failed[0]?.fault.retryAfter, Duration.seconds(4))
    }).pipe(Effect.provide(layer))
  })
})

it.effect("tools that name one limit share it, and no others do", () =>
  Effect.gen(function* () {
    const gaps = (rateLimit: Policy.RateLimitPolicy) =>
      Effect.gen(function* () {
        const { layer, times, toolbox } = limited(rateLimit)
        yield* ToolRunner.run(toolbox, [call("c1"), call("c2", { name: "other" })]).pipe(
          Effect.provide(layer),
          within("1 second")
        )
        const [first = 0, second = 0] = times()
        return second - first
      })
    assert.strictEqual(yield* gaps({ ...perSecond, name: "api" }), 1000)
    assert.strictEqual(yield* gaps(perSecond), 0)
  })
)

describe("the circuit breaker", () => {
  const circuitBreaker = { trip: { consecutive: 1, perBatch: false }, openFor: "10 seconds" } as const

  it.effect("takes no notice of calls the limit turned away", () => {
    const { layer, toolbox } = limited({ limit: 1, per: "10 seconds", onLimit: "fail" }, { circuitBreaker })
    return Effect.gen(function* () {
      yield* ToolRunner.run(toolbox, calls(20))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(outcomes(yield* ToolRunner.run(toolbox, calls(1))), ["executed"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("that opens ends the wait at once, and the moments are given back", () => {
    let failing = true
    const { layer, starts, toolbox } = limited({ limit: 1, per: "4 seconds" }, { circuitBreaker }, () =>
      failing ? Effect.zipRight(Effect.sleep("1 second"), down()) : Effect.succeed("ok")
    )
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, calls(4)).pipe(within("1 second"))
      assert.deepStrictEqual(outcomes(batch), ["ToolFailure", "CircuitOpen", "CircuitOpen", "CircuitOpen"])
      failing = false
      yield* TestClock.adjust("10 seconds")
      // Had the three kept theirs, this one would have to wait until 16 seconds.
      const probe = yield* ToolRunner.run(toolbox, calls(1)).pipe(within(0))
      assert.deepStrictEqual(outcomes(probe), ["executed"])
      assert.deepStrictEqual(
        starts.map(({ at }) => at),
        [0, 11_000]
      )
    }).pipe(Effect.provide(layer))
  })
})

describe("another rate limiter", () => {
  /** Lets nobody in, and says so. */
  const closed = RateLimiter.RateLimiter.of({
    wait: () => Effect.fail(new RateLimiter.RateLimited({ retryAfter: Duration.seconds(7) }))
  })

  it.effect("takes the place of the built-in one where it is provided", () => {
    const { layer, toolbox } = limited(perSecond)
    return Effect.gen(function* () {
      const run = ToolRunner.run(toolbox, calls(1))
      const other = Effect.provideService(run, RateLimiter.RateLimiter, closed)
      assert.deepStrictEqual(waits(yield* other), [7000])
      // And only there.
      assert.deepStrictEqual(outcomes(yield* run), ["executed"])
      assert.deepStrictEqual(waits(yield* other), [7000])
    }).pipe(Effect.provide(layer))
  })
})
