import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { type BatchResult, ToolRunner } from "../../src/index.ts"
import { call, calls, down, Down, type Handler, make, outcomes, type Setup, within } from "./world.ts"

const executions = (batch: BatchResult.BatchResult) => batch.summary.executions

describe("identical reads of one batch", () => {
  const same = (count: number) => Array.from({ length: count }, (_, i) => call(`c${i + 1}`, { n: 1 }))
  const slow: Handler = () => Effect.as(Effect.sleep("1 second"), "ok")

  it.effect("run once; each has its own result under its own id, in call order", () => {
    const { ids, layer, toolbox } = make(slow)
    return Effect.gen(function* () {
      const [a, b, c] = same(3)
      assert(a !== undefined && b !== undefined && c !== undefined)
      const batch = yield* ToolRunner.run(toolbox, [a, call("x", { n: 2 }), b, c]).pipe(within("1 second"))
      assert.deepStrictEqual(outcomes(batch), ["executed", "executed", "coalesced", "coalesced"])
      assert.deepStrictEqual(
        batch.results.map(({ attempts, call, duration }) => [call.id, attempts, Duration.toMillis(duration)]),
        [
          ["c1", 1, 1000],
          ["x", 1, 1000],
          ["c2", 0, 1000],
          ["c3", 0, 1000]
        ]
      )
      assert.strictEqual(executions(batch), 2)
      assert.deepStrictEqual(ids().toSorted(), ["c1", "x"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("run once however their inputs are written", () => {
    const { layer, starts, toolbox } = make(slow)
    const inputs = [{ n: 1, key: "a" }, { key: "a", n: 1 }, '{"key":"a", "n":1.0}']
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(
        toolbox,
        inputs.map((input, i) => ({ id: `c${i}`, name: "ask", input }))
      ).pipe(within("1 second"))
      assert.deepStrictEqual(outcomes(batch), ["executed", "coalesced", "coalesced"])
      assert.strictEqual(starts.length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a thousand of them are one execution", () => {
    const { layer, starts, toolbox } = make(slow)
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, same(1000)).pipe(within("1 second"))
      assert.deepStrictEqual([batch.succeeded.length, executions(batch), starts.length], [1000, 1, 1])
    }).pipe(Effect.provide(layer))
  })

  for (const concurrency of [1, 2]) {
    it.effect(`run once with a concurrency of ${concurrency}, and those that follow take no place`, () => {
      const { layer, starts, toolbox } = make(slow)
      return Effect.gen(function* () {
        const batch = yield* ToolRunner.run(toolbox, [...same(20), call("x", { n: 2 })], { concurrency }).pipe(
          within("2 seconds")
        )
        assert.deepStrictEqual(outcomes(batch), [
          "executed",
          ...Array.from({ length: 19 }, () => "coalesced"),
          "executed"
        ])
        assert.strictEqual(starts.length, 2)
        assert.strictEqual(Duration.toMillis(batch.duration), concurrency === 1 ? 2000 : 1000)
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("run each where they are no reads, where the policy says so, and where they differ", () =>
    Effect.gen(function* () {
      const count = (setup: Setup, batch = same(3)) => {
        const { layer, starts, toolbox } = make(slow, setup)
        return Effect.map(
          ToolRunner.run(toolbox, batch).pipe(Effect.provide(layer), within("1 second")),
          () => starts.length
        )
      }
      assert.strictEqual(yield* count({ effects: "write" }), 3)
      assert.strictEqual(yield* count({ effects: "idempotent" }), 3)
      assert.strictEqual(yield* count({ policy: { coalesce: false } }), 3)
      assert.strictEqual(yield* count({}, [...calls(3)]), 3)
      assert.strictEqual(yield* count({}, [call("c1"), call("c2", { name: "other" })]), 2)
      assert.strictEqual(yield* count({}), 1)
    })
  )

  it.effect("are not identical where they wait for different calls", () => {
    const seen: Array<ReadonlyArray<unknown>> = []
    const { layer, toolbox } = make(({ n = 0 }, { dependencies }) => {
      if (n === 9) seen.push([...dependencies.values()])
      return Effect.succeed(n)
    })
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [
        call("a", { n: 1 }),
        call("b", { n: 2 }),
        call("after-a", { n: 9, dependsOn: ["a"] }),
        call("after-b", { n: 9, dependsOn: ["b"] }),
        call("after-both", { n: 9, dependsOn: ["a", "b"] }),
        // In another order these are the same.
        call("after-both-too", { n: 9, dependsOn: ["b", "a"] })
      ])
      assert.deepStrictEqual(outcomes(batch).slice(2), ["executed", "executed", "executed", "coalesced"])
      assert.sameDeepMembers(seen, [[1], [2], [1, 2]])
    }).pipe(Effect.provide(layer))
  })

  it.effect("share a failure of the tool", () => {
    const { layer, starts, toolbox } = make(() => down())
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, same(3))
      assert.deepStrictEqual(outcomes(batch), ["ToolFailure", "ToolFailure", "ToolFailure"])
      for (const { error } of batch.failed) assert(error._tag === "ToolFailure" && error.failure instanceof Down)
      assert.deepStrictEqual(
        batch.results.map(({ attempts, call }) => [call.id, attempts]),
        [
          ["c1", 1],
          ["c2", 0],
          ["c3", 0]
        ]
      )
      assert.strictEqual(starts.length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("share the answer of a fallback, and what it replaces", () => {
    const { layer, toolbox } = make(() => down(), { policy: { fallback: { value: "old" } } })
    return Effect.gen(function* () {
      const { succeeded } = yield* ToolRunner.run(toolbox, same(2))
      assert.deepStrictEqual(
        succeeded.map(({ output, replaces, source }) => [source, output, replaces?._tag]),
        [
          ["fallback", "old", "ToolFailure"],
          ["coalesced", "old", "ToolFailure"]
        ]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("do not share the end of the first one's own time: the next leads, with the time it has left", () => {
    let first = true
    const handler: Handler = ({ n }) => {
      if (n === 0) return Effect.as(Effect.sleep("6 seconds"), "free")
      const takes = first ? "1 hour" : "3 seconds"
      first = false
      return Effect.as(Effect.sleep(takes), "ok")
    }
    const { layer, starts, toolbox } = make(handler, {
      policy: { timeout: { attempt: "1 hour", total: "10 seconds" } }
    })
    return Effect.gen(function* () {
      const [leader, ...followers] = same(3)
      assert(leader !== undefined)
      // Two at a time: those that follow begin when the call that is different is done.
      const batch = yield* ToolRunner.run(toolbox, [leader, call("x", { n: 0 }), ...followers], {
        concurrency: 2
      }).pipe(within("1 minute"))
      assert.deepStrictEqual(outcomes(batch), ["Timeout", "executed", "executed", "coalesced"])
      assert.deepStrictEqual(
        starts.map(({ at, id }) => [id, at]),
        [
          ["c1", 0],
          ["x", 0],
          ["c2", 10_000]
        ]
      )
      // From 6 to 13 seconds.
      assert.strictEqual(Duration.toMillis(batch.results[2]?.duration ?? 0), 7000)
    }).pipe(Effect.provide(layer))
  })

  it.effect("where the next one's time is up too, it is told so at its own deadline", () => {
    const { layer, toolbox } = make(({ n }) => Effect.sleep(n === 0 ? "6 seconds" : "1 hour"), {
      policy: { timeout: { attempt: "1 hour", total: "10 seconds" } }
    })
    return Effect.gen(function* () {
      const [leader, follower] = same(2)
      assert(leader !== undefined && follower !== undefined)
      const batch = yield* ToolRunner.run(toolbox, [leader, call("x", { n: 0 }), follower], { concurrency: 2 }).pipe(
        within("16 seconds")
      )
      assert.deepStrictEqual(outcomes(batch), ["Timeout", "executed", "Timeout"])
      assert.strictEqual(Duration.toMillis(batch.results[2]?.duration ?? 0), 10_000)
    }).pipe(Effect.provide(layer))
  })

  it.effect("all have a result at the deadline of the batch", () => {
    const { layer, toolbox } = make(() => Effect.never)
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, same(4), { timeout: "3 seconds" }).pipe(within("3 seconds"))
      assert.deepStrictEqual(outcomes(batch), ["Timeout", "NotStarted", "NotStarted", "NotStarted"])
      assert.strictEqual(Duration.toMillis(batch.duration), 3000)
    }).pipe(Effect.provide(layer))
  })

  it.effect("are told apart when the batch is interrupted: only the first was running", () => {
    const { layer, starts, toolbox } = make(() => Effect.never)
    return Effect.gen(function* () {
      let seen: BatchResult.BatchResult | undefined
      const fiber = yield* Effect.fork(
        ToolRunner.run(toolbox, same(3), {
          onInterrupt: (batch) =>
            Effect.sync(() => {
              seen = batch
            })
        })
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      assert(seen !== undefined)
      assert.deepStrictEqual(outcomes(seen), ["OutcomeUnknown", "NotStarted", "NotStarted"])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(starts.length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a leader whose handler interrupts itself is a defect like any other, and shared", () => {
    const { layer, starts, toolbox } = make(() => Effect.interrupt)
    return Effect.gen(function* () {
      assert.deepStrictEqual(outcomes(yield* ToolRunner.run(toolbox, same(2))), ["ToolDefect", "ToolDefect"])
      assert.strictEqual(starts.length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("of two batches run each: only a cache reaches further", () => {
    const { layer, starts, toolbox } = make(slow)
    return Effect.gen(function* () {
      yield* Effect.all([ToolRunner.run(toolbox, same(2)), ToolRunner.run(toolbox, same(2))], {
        concurrency: "unbounded"
      }).pipe(within("1 second"))
      assert.strictEqual(starts.length, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("are free for those who depend on them", () => {
    const { layer, toolbox } = make(({ n }, { dependencies }) => Effect.succeed(n ?? [...dependencies.keys()]))
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [...same(2), call("last", { dependsOn: ["c2"] })])
      assert.deepStrictEqual(outcomes(batch), ["executed", "coalesced", "executed"])
      assert.deepStrictEqual(batch.succeeded[2]?.output, ["c2"])
    }).pipe(Effect.provide(layer))
  })
})
