import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { type BatchResult, type Policy, ToolRunner } from "../../src/index.ts"
import { call, calls, down, type Handler, make, outcomes, why, within } from "./world.ts"

const noBreaker = { circuitBreaker: false } as const

const seconds =
  (n: number): Handler =>
  () =>
    Effect.as(Effect.sleep(Duration.seconds(n)), "ok")

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

  it.effect("are given back by who finds the circuit's probe taken when its turn comes", () => {
    let failing = true
    const { ids, layer, toolbox } = make(() => (failing ? down() : Effect.sleep("1 second")), {
      policy: {
        circuitBreaker: { trip: { consecutive: 1 }, openFor: "10 seconds" },
        bulkhead: { limit: 2, pool: "all" }
      }
    })
    const other = (id: string, n: number) => call(id, { name: "other", n })
    return Effect.gen(function* () {
      yield* ToolRunner.run(toolbox, [call("c0")])
      failing = false
      yield* TestClock.adjust("10 seconds")
      // Both of the circuit's calls are let into the line; the first to leave it is the probe.
      const batch = yield* ToolRunner.run(
        toolbox,
        [other("x1", 1), other("x2", 2), call("probe", { n: 1 }), call("late", { n: 2 }), other("x3", 3)],
        { maxExecutions: 4 }
      ).pipe(within("2 seconds"))
      assert.deepStrictEqual(outcomes(batch), ["executed", "executed", "executed", "CircuitOpen", "executed"])
      assert.deepStrictEqual(ids(), ["c0", "x1", "x2", "probe", "x3"])
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
