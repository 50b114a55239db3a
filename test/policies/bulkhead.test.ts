import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import { type Policy, Tool, Toolbox, ToolRunner } from "../../src/index.ts"
import { call, calls, down, type Handler, make, outcome, outcomes, why, within } from "./world.ts"

const noBreaker = { circuitBreaker: false } as const

const seconds =
  (n: number): Handler =>
  () =>
    Effect.as(Effect.sleep(Duration.seconds(n)), "ok")

describe("a bulkhead", () => {
  const limited = (bulkhead: Policy.Policy["bulkhead"], handler: Handler = seconds(1), policy: Policy.Policy = {}) =>
    make(handler, { policy: { ...noBreaker, coalesce: false, bulkhead, ...policy } })

  it.effect("lets so many run at once, in call order, over all batches of a runner", () => {
    const { ids, layer, times, toolbox } = limited(2)
    return Effect.gen(function* () {
      yield* Effect.all([ToolRunner.run(toolbox, calls(3, "a")), ToolRunner.run(toolbox, calls(2, "b"))], {
        concurrency: "unbounded"
      }).pipe(within("3 seconds"))
      assert.deepStrictEqual(ids(), ["a1", "a2", "a3", "b1", "b2"])
      assert.deepStrictEqual(times(), [0, 0, 1000, 1000, 2000])
    }).pipe(Effect.provide(layer))
  })

  it.effect("is held for an attempt, not for the wait before the next", () => {
    const { layer, starts, toolbox } = limited(1, ({ n }) => (n === 0 ? down() : Effect.void), {
      retry: { times: 1, base: "10 seconds", jitter: "none" }
    })
    return Effect.gen(function* () {
      yield* ToolRunner.run(toolbox, calls(2)).pipe(within("10 seconds"))
      assert.deepStrictEqual(
        starts.map(({ at, id }) => [id, at]),
        [
          ["c1", 0],
          ["c2", 0],
          ["c1", 10_000]
        ]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("takes as many slots as a call weighs, and nobody passes a heavy one", () =>
    Effect.gen(function* () {
      const starts: Array<readonly [string, number]> = []
      const weighing = (name: string, weight: number) =>
        Tool.dynamic({
          name,
          description: "Takes a second",
          inputSchema: { type: "object" },
          effects: "read",
          policy: { coalesce: false, bulkhead: { limit: 3, weight, pool: "machine" } },
          handler: () =>
            Effect.flatMap(TestClock.currentTimeMillis, (at) => {
              starts.push([name, at])
              return Effect.sleep("1 second")
            })
        })
      const toolbox = Toolbox.make(yield* weighing("light", 1), yield* weighing("heavy", 2), yield* weighing("huge", 9))
      const order = ["light", "heavy", "heavy", "light", "light", "huge", "light"]
      const batch = yield* ToolRunner.run(
        toolbox,
        order.map((name, i) => ({ id: `c${i}`, name, input: {} }))
      ).pipe(within("5 seconds"))
      assert.strictEqual(batch.summary.succeeded, order.length)
      assert.deepStrictEqual(starts, [
        ["light", 0],
        ["heavy", 0],
        ["heavy", 1000],
        ["light", 1000],
        ["light", 2000],
        // More than there is means all of it.
        ["huge", 3000],
        ["light", 4000]
      ])
    }).pipe(Effect.provide(ToolRunner.layer))
  )

  it.effect("refuses at once who finds its line full", () => {
    const { layer, starts, toolbox } = limited({ limit: 1, queue: 2 })
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, calls(5)).pipe(within("3 seconds"))
      assert.deepStrictEqual(outcomes(batch), ["executed", "executed", "executed", "BulkheadFull", "BulkheadFull"])
      const [refused] = batch.failed
      assert(refused?.error._tag === "BulkheadFull")
      assert.deepStrictEqual(
        [refused.error.capacity, refused.fault.owner, refused.fault.tookEffect, refused.attempts],
        [1, "runner", "no", 0]
      )
      assert.strictEqual(Duration.toMillis(refused.duration), 0)
      assert.strictEqual(starts.length, 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("refuses who has waited long enough in its line", () => {
    const { layer, times, toolbox } = limited({ limit: 1, queueTimeout: "1500 millis" })
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, calls(4)).pipe(within("2 seconds"))
      assert.deepStrictEqual(outcomes(batch), ["executed", "executed", "BulkheadFull", "BulkheadFull"])
      assert.deepStrictEqual(
        batch.results.map(({ duration }) => Duration.toMillis(duration)),
        [1000, 2000, 1500, 1500]
      )
      assert.deepStrictEqual(times(), [0, 1000])
    }).pipe(Effect.provide(layer))
  })

  it.effect("turns a call away at the call's own deadline, and tells it apart from the batch's", () => {
    const { layer, toolbox } = limited(1, seconds(10), { timeout: { attempt: "1 minute", total: "3 seconds" } })
    return Effect.gen(function* () {
      const own = yield* ToolRunner.run(toolbox, calls(2)).pipe(within("3 seconds"))
      assert.deepStrictEqual(outcomes(own), ["Timeout", "BulkheadFull"])
      const batch = yield* ToolRunner.run(toolbox, calls(2), { timeout: "2 seconds" }).pipe(within("2 seconds"))
      assert.deepStrictEqual(outcomes(batch), ["Timeout", "NotStarted"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("leaves a retry that finds no slot in time its own failure", () => {
    const { layer, toolbox } = limited(
      1,
      ({ n }, { attempt }) => (n === 0 && attempt === 1 ? down("own") : Effect.sleep("1 minute")),
      {
        retry: { times: 1, base: "1 second", jitter: "none" },
        timeout: { attempt: "2 minutes", total: "5 seconds" }
      }
    )
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, calls(2)).pipe(within("5 seconds"))
      assert.deepStrictEqual([why(batch.results[0]), outcome(batch.results[1])], ["own", "Timeout"])
      assert.strictEqual(batch.results[0]?.attempts, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is shared by tools that name one pool, and by no other", () =>
    Effect.gen(function* () {
      const startsWith = (bulkhead: Policy.Policy["bulkhead"]) =>
        Effect.gen(function* () {
          const { layer, times, toolbox } = limited(bulkhead)
          yield* ToolRunner.run(toolbox, [call("c1"), call("c2", { name: "other" })]).pipe(
            Effect.provide(layer),
            within("2 seconds")
          )
          const [first = 0] = times()
          return times().map((at) => at - first)
        })
      assert.deepStrictEqual(yield* startsWith({ limit: 1, pool: "database" }), [0, 1000])
      assert.deepStrictEqual(yield* startsWith({ limit: 1 }), [0, 0])
      assert.deepStrictEqual(yield* startsWith(1), [0, 0])
    })
  )

  it.effect("keeps its slots through many random interruptions and deadlines", () => {
    const { layer, starts, toolbox } = limited(3, seconds(1), { timeout: { attempt: "1 minute", total: "4 seconds" } })
    return Effect.gen(function* () {
      for (let round = 0; round < 10; round++) {
        const fibers = yield* Effect.forEach(calls(8), (one) => Effect.fork(ToolRunner.run(toolbox, [one])))
        for (const fiber of fibers) {
          yield* TestClock.adjust(yield* Random.nextIntBetween(0, 300))
          if (yield* Random.nextBoolean) yield* Fiber.interrupt(fiber)
        }
        yield* TestClock.adjust(yield* Random.nextIntBetween(0, 2000))
      }
      yield* TestClock.adjust("10 seconds")
      starts.length = 0
      // Were a slot lost, the third would have to wait; were a waiter left in line, all would.
      const last = yield* ToolRunner.run(toolbox, calls(3)).pipe(within("1 second"))
      assert.deepStrictEqual(outcomes(last), ["executed", "executed", "executed"])
      assert.strictEqual(new Set(starts.map(({ at }) => at)).size, 1)
    }).pipe(Effect.provide(layer), Effect.withRandom(Random.make("interruptions")))
  })
})
