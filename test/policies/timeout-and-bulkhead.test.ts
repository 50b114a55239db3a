import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import * as MetricState from "effect/MetricState"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { type BatchResult, type Policy, Tool, Toolbox, ToolRunner } from "../../src/index.ts"
import { call, calls, down, type Handler, make, outcome, outcomes, why, within } from "./world.ts"

const noBreaker = { circuitBreaker: false } as const

const seconds =
  (n: number): Handler =>
  () =>
    Effect.as(Effect.sleep(Duration.seconds(n)), "ok")

/** What the metrics say of leaked handlers of a tool, so far and now. The registry is that of the whole process. */
const leaked = (tool: string) =>
  Effect.map(Metric.snapshot, (all) => {
    const find = (name: string) =>
      all.find(
        ({ metricKey }) =>
          metricKey.name === name &&
          metricKey.tags.some((tag) => MetricLabel.isMetricLabel(tag) && tag.key === "tool" && tag.value === tool)
      )?.metricState
    const total = find("salvo_leaked_handlers_total")
    const now = find("salvo_leaked_handlers")
    return {
      total: total !== undefined && MetricState.isCounterState(total) ? Number(total.count) : 0,
      now: now !== undefined && MetricState.isGaugeState(now) ? Number(now.value) : 0
    }
  })

/** A tool of its own name, whose handlers end when the gate opens and not before. */
const deaf = (name: string, policy: Policy.Policy) =>
  Effect.gen(function* () {
    const gate = yield* Deferred.make<void>()
    const tool = yield* Tool.dynamic({
      name,
      description: "Ignores interruption",
      inputSchema: { type: "object" },
      effects: "write",
      policy: { retry: false, ...noBreaker, ...policy },
      handler: () => Effect.uninterruptible(Deferred.await(gate))
    })
    const run = (ids: ReadonlyArray<string>, options?: ToolRunner.RunOptions) =>
      ToolRunner.run(
        Toolbox.make(tool),
        ids.map((id) => ({ id, name, input: {} })),
        options
      )
    return { gate, run }
  })

describe("a handler that ignores its interruption", () => {
  it.effect("counts as leaked when its grace is over: a second, unless said otherwise", () =>
    Effect.gen(function* () {
      for (const [name, grace, millis] of [
        ["deaf-by-default", undefined, 1000],
        ["deaf-for-five", "5 seconds", 5000],
        ["deaf-for-none", 0, 0]
      ] as const) {
        const { gate, run } = yield* deaf(name, { timeout: { attempt: "2 seconds", grace } })
        const batch = yield* run(["c1", "c2"]).pipe(within("2 seconds"))
        // Nobody waits for the grace.
        assert.deepStrictEqual(outcomes(batch), ["Timeout", "Timeout"])
        if (millis > 0) {
          yield* TestClock.adjust(millis - 1)
          assert.deepStrictEqual(yield* leaked(name), { total: 0, now: 0 })
          yield* TestClock.adjust(1)
        }
        assert.deepStrictEqual(yield* leaked(name), { total: 2, now: 2 })
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(yield* leaked(name), { total: 2, now: 2 })
        yield* Deferred.succeed(gate, undefined)
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(yield* leaked(name), { total: 2, now: 0 })
      }
    }).pipe(Effect.provide(ToolRunner.layer))
  )

  it.effect("does not count where it ends within its grace", () =>
    Effect.gen(function* () {
      const { gate, run } = yield* deaf("deaf-for-a-while", { timeout: "2 seconds" })
      yield* run(["c1"]).pipe(within("2 seconds"))
      yield* TestClock.adjust("999 millis")
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* leaked("deaf-for-a-while"), { total: 0, now: 0 })
    }).pipe(Effect.provide(ToolRunner.layer))
  )

  it.effect("counts after an interruption of its batch too, which waits a second for it at most", () =>
    Effect.gen(function* () {
      const { gate, run } = yield* deaf("deaf-to-the-batch", { timeout: "1 minute" })
      const fiber = yield* Effect.fork(run(["c1"]))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interruptFork(fiber)
      yield* TestClock.adjust("1 second")
      assert.isTrue((yield* Fiber.poll(fiber))._tag === "Some")
      assert.deepStrictEqual(yield* leaked("deaf-to-the-batch"), { total: 1, now: 1 })
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(yield* leaked("deaf-to-the-batch"), { total: 1, now: 0 })
    }).pipe(Effect.provide(ToolRunner.layer))
  )

  it.effect("keeps its slot until it really ends, over batches", () =>
    Effect.gen(function* () {
      const { gate, run } = yield* deaf("deaf-in-its-slot", {
        timeout: { attempt: "1 second", total: "5 seconds" },
        bulkhead: 2
      })
      const first = yield* run(["c1", "c2", "c3"]).pipe(within("5 seconds"))
      assert.deepStrictEqual(outcomes(first), ["Timeout", "Timeout", "BulkheadFull"])
      const second = yield* run(["c4"]).pipe(within("5 seconds"))
      assert.deepStrictEqual(outcomes(second), ["BulkheadFull"])
      const third = yield* Effect.fork(run(["c5"]))
      yield* TestClock.adjust("2 seconds")
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(outcomes(yield* Fiber.join(third)), ["executed"])
    }).pipe(Effect.provide(ToolRunner.layer))
  )
})

describe("deadlines", () => {
  const ended = (policy: Policy.Policy, handler: Handler = () => Effect.never, options?: ToolRunner.RunOptions) =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(handler, { policy: { ...noBreaker, ...policy } })
      const batch = yield* ToolRunner.run(toolbox, [call("c1")], options).pipe(
        Effect.provide(layer),
        within("10 minutes")
      )
      const [result] = batch.results
      assert(result?._tag === "Failure" && result.error._tag === "Timeout")
      return [result.error.kind, Duration.toMillis(batch.duration)]
    })

  it.effect("are half a minute for an attempt by default, and two minutes for a call", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* ended({}), ["attempt", 30_000])
      assert.deepStrictEqual(yield* ended({ timeout: { attempt: "1 hour" } }), ["total", 120_000])
    })
  )

  it.effect("hold whichever comes first", () =>
    Effect.gen(function* () {
      const timeout = { attempt: "4 seconds", total: "5 seconds", idle: "3 seconds" } as const
      assert.deepStrictEqual(yield* ended({ timeout }), ["idle", 3000])
      assert.deepStrictEqual(yield* ended({ timeout: { ...timeout, idle: Duration.infinity } }), ["attempt", 4000])
      assert.deepStrictEqual(yield* ended({ timeout: { ...timeout, attempt: "6 seconds", idle: Duration.infinity } }), [
        "total",
        5000
      ])
      assert.deepStrictEqual(yield* ended({ timeout }, undefined, { timeout: "2 seconds" }), ["batch", 2000])
    })
  )

  it.effect("of a call take in all its attempts and waits", () =>
    Effect.gen(function* () {
      const policy = {
        timeout: { attempt: "4 seconds", total: "13 seconds" },
        retry: { times: 5, base: "1 second", factor: 1, jitter: "none" }
      } as const
      // 0 to 4, 5 to 9, 10 to 13.
      assert.deepStrictEqual(yield* ended(policy), ["total", 13_000])
    })
  )

  it.effect("of silence are put off by progress, those of the attempt are not", () =>
    Effect.gen(function* () {
      const talking: Handler = (_, { progress }) =>
        Effect.forever(Effect.zipRight(Effect.sleep("2 seconds"), progress()))
      assert.deepStrictEqual(yield* ended({ timeout: { idle: "3 seconds", attempt: "9 seconds" } }, talking), [
        "attempt",
        9000
      ])
    })
  )

  it.effect("are gone with Duration.infinity", () => {
    const { layer, toolbox } = make(seconds(3600), {
      policy: { ...noBreaker, timeout: { attempt: Duration.infinity, total: Duration.infinity } }
    })
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [call("c1")]).pipe(within("1 hour"))
      assert.deepStrictEqual(outcomes(batch), ["executed"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("hold for an input whose schema takes its time, even where that ignores interruption", () =>
    Effect.gen(function* () {
      for (const forever of [Effect.never, Effect.uninterruptible(Effect.never)]) {
        class Slow extends Tool.Service<Slow>()("slow", {
          description: "Looks its input up",
          input: Schema.Struct({
            id: Schema.transformOrFail(Schema.String, Schema.String, {
              strict: true,
              decode: () => forever,
              encode: Effect.succeed
            })
          }),
          output: Schema.Unknown,
          effects: "read",
          policy: { timeout: { total: "3 seconds" } }
        }) {}
        const batch = yield* ToolRunner.run(Toolbox.make(Slow), [{ id: "c1", name: "slow", input: { id: "x" } }]).pipe(
          Effect.provide(Slow.layer(() => Effect.void)),
          within("3 seconds")
        )
        assert.deepStrictEqual(outcomes(batch), ["NotStarted"])
      }
    }).pipe(Effect.provide(ToolRunner.layer))
  )
})

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

describe("the executions a batch may pay for", () => {
  const paying = (handler: Handler, policy: Policy.Policy = {}) =>
    make(handler, { policy: { ...noBreaker, ...policy } })
  const exhausted = ({ results }: BatchResult.BatchResult) =>
    results.map((result) => (result._tag === "Failure" ? [result.error._tag, result.attempts] : result.attempts))

  it.effect("are spent in call order; the rest is told so and was not executed", () => {
    const { ids, layer, toolbox } = paying(seconds(1))
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, calls(4), { maxExecutions: 2 }).pipe(within("1 second"))
      assert.deepStrictEqual(exhausted(batch), [1, 1, ["BudgetExhausted", 0], ["BudgetExhausted", 0]])
      assert.deepStrictEqual(ids(), ["c1", "c2"])
      const [failed] = batch.failed
      assert.deepStrictEqual([failed?.fault.owner, failed?.fault.tookEffect], ["runner", "no"])
      // The next batch has its own.
      assert.deepStrictEqual(
        exhausted(yield* ToolRunner.run(toolbox, calls(1), { maxExecutions: 1 }).pipe(within("1 second"))),
        [1]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("include retries; where there was a failure, that stands", () => {
    const { layer, starts, toolbox } = paying((_, { attempt }) => down(`attempt ${attempt}`), {
      retry: { times: 5, base: "1 second", jitter: "none" }
    })
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, calls(1), { maxExecutions: 3 }).pipe(within("1 minute"))
      assert.deepStrictEqual([why(batch.results[0]), batch.results[0]?.attempts], ["attempt 3", 3])
      assert.strictEqual(starts.length, 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("include hedges", () => {
    const { layer, starts, toolbox } = paying(seconds(5), { hedge: { delay: "1 second", budget: 1 } })
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, calls(3), { maxExecutions: 4 }).pipe(within("5 seconds"))
      assert.deepStrictEqual(outcomes(batch), ["executed", "executed", "executed"])
      assert.strictEqual(starts.length, 4)
    }).pipe(Effect.provide(layer))
  })

  it.effect("are not spent on calls that are turned away", () => {
    const { layer, toolbox } = make(() => down(), { policy: { circuitBreaker: { trip: { consecutive: 1 } } } })
    return Effect.gen(function* () {
      yield* ToolRunner.run(toolbox, [call("c1")])
      const batch = yield* ToolRunner.run(toolbox, [call("c1"), call("c2", { name: "other" })], { maxExecutions: 1 })
      assert.deepStrictEqual(outcomes(batch), ["CircuitOpen", "ToolFailure"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("are not spent on answers that are there already", () => {
    const { layer, starts, toolbox } = paying(seconds(1))
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [call("c1"), call("c2"), call("c3")], { maxExecutions: 1 }).pipe(
        within("1 second")
      )
      assert.deepStrictEqual(outcomes(batch), ["executed", "coalesced", "coalesced"])
      assert.strictEqual(starts.length, 1)
    }).pipe(Effect.provide(layer))
  })
})
