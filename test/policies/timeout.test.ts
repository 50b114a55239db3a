import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import * as MetricState from "effect/MetricState"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { type Policy, Tool, Toolbox, ToolRunner } from "../../src/index.ts"
import { call, type Handler, isDone, make, outcomes, stillRuns, within } from "./world.ts"

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
      yield* TestClock.adjust("999 millis")
      yield* stillRuns(fiber)
      yield* TestClock.adjust("1 millis")
      yield* isDone(fiber)
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
