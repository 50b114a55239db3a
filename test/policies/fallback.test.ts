import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { type BatchResult, type Policy, Report, ToolRunner } from "../../src/index.ts"
import {
  call,
  calls,
  down,
  Down,
  type Handler,
  type Input,
  make,
  outcome,
  outcomes,
  type Setup,
  why,
  within
} from "./world.ts"

type Fallback = Policy.FallbackPolicy<Input, unknown>

/** One call of a tool with this fallback. */
const play = (handler: Handler, fallback: Fallback, policy: Policy.Policy = {}, options?: ToolRunner.RunOptions) =>
  Effect.gen(function* () {
    const { layer, starts, toolbox } = make(handler, { policy: { ...policy, fallback } })
    const batch = yield* ToolRunner.run(toolbox, [call("c1", { n: 1 })], options).pipe(
      Effect.provide(layer),
      within("5 minutes")
    )
    const told = String(Report.toolResults(batch)[0]?.content)
    return { batch, result: batch.results[0], starts, told, millis: Duration.toMillis(batch.duration) }
  })

const replaced = ({ results: [result] }: BatchResult.BatchResult) =>
  result?._tag === "Success" ? result.replaces?._tag : undefined

describe("a fallback", () => {
  const kinds: ReadonlyArray<readonly [string, Fallback]> = [
    ["that is an effect", () => Effect.succeed("old")],
    ["that takes its time", () => Effect.delay(Effect.succeed("old"), "10 seconds")],
    ["that is a value", { value: "old" }]
  ]
  for (const [name, fallback] of kinds) {
    it.effect(`${name} answers for a call that failed for good, and says what it replaces`, () =>
      Effect.gen(function* () {
        const { batch, result, told } = yield* play(() => down("no route"), fallback)
        assert(result?._tag === "Success")
        assert.deepStrictEqual([result.source, result.output, result.attempts], ["fallback", "old", 1])
        assert.strictEqual(replaced(batch), "ToolFailure")
        assert.match(told, /^\[Fallback: .*may be out of date.*no route.*\]\nold$/s)
      })
    )
  }

  it.effect("is not asked where the call succeeds, nor before the last retry has failed", () =>
    Effect.gen(function* () {
      let asked = 0
      const fallback = () =>
        Effect.sync(() => {
          asked++
          return "old"
        })
      const good = yield* play(() => Effect.succeed("new"), fallback)
      assert.deepStrictEqual([outcome(good.result), asked], ["executed", 0])
      const retry = { times: 2, base: "1 second", jitter: "none" } as const
      const second = yield* play((_, { attempt }) => (attempt === 1 ? down() : Effect.succeed("new")), fallback, {
        retry
      })
      assert.deepStrictEqual([outcome(second.result), asked], ["executed", 0])
      const bad = yield* play(() => down(), fallback, { retry })
      assert.deepStrictEqual([outcome(bad.result), bad.result?.attempts, asked], ["fallback", 3, 1])
    })
  )

  it.effect("is given the input and the error", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      yield* play(
        () => down("no route"),
        (input, error) => {
          seen.push(
            input,
            error._tag,
            error._tag === "ToolFailure" && error.failure instanceof Down && error.failure.why
          )
          return Effect.succeed("old")
        }
      )
      assert.deepStrictEqual(seen, [{ n: 1 }, "ToolFailure", "no route"])
    })
  )

  const troubles: ReadonlyArray<readonly [string, Handler, Policy.Policy]> = [
    ["ToolDefect", () => Effect.die("boom"), {}],
    ["InvalidOutput", () => Effect.succeed(1n), {}],
    ["Timeout", () => Effect.never, { timeout: "1 second" }],
    ["Timeout", () => Effect.never, { timeout: { total: "1 second" } }],
    ["Timeout", () => Effect.never, { timeout: { idle: "1 second" } }],
    ["Timeout", () => Effect.uninterruptible(Effect.never), { timeout: "1 second" }]
  ]
  for (const [error, handler, policy] of troubles) {
    it.effect(`answers for ${error} under ${JSON.stringify(policy)}`, () =>
      Effect.gen(function* () {
        const { batch, result } = yield* play(handler, { value: "old" }, policy)
        assert.strictEqual(outcome(result), "fallback")
        assert.strictEqual(replaced(batch), error)
      })
    )
  }

  it.effect("answers for an open circuit, a full bulkhead and a spent budget, where nothing was executed", () => {
    const setup: Setup = {
      policy: {
        fallback: { value: "old" },
        circuitBreaker: { trip: { consecutive: 1 } },
        bulkhead: { limit: 1, queue: 0 },
        coalesce: false
      }
    }
    const { layer, starts, toolbox } = make(() => Effect.zipRight(Effect.sleep("1 second"), down()), setup)
    return Effect.gen(function* () {
      const full = yield* ToolRunner.run(toolbox, calls(2)).pipe(within("1 second"))
      assert.deepStrictEqual(
        full.succeeded.map(({ attempts, replaces }) => [attempts, replaces?._tag]),
        [
          [1, "ToolFailure"],
          [0, "BulkheadFull"]
        ]
      )
      const open = yield* ToolRunner.run(toolbox, [call("c1")])
      assert.deepStrictEqual([outcomes(open), replaced(open)], [["fallback"], "CircuitOpen"])
      const spent = yield* ToolRunner.run(toolbox, [call("c1", { name: "other" })], { maxExecutions: 0 })
      assert.deepStrictEqual([outcomes(spent), replaced(spent)], [["fallback"], "BudgetExhausted"])
      assert.strictEqual(starts.length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("does not close the circuit it stood in for, and its own failures do not count", () => {
    let failing = true
    const { layer, starts, toolbox } = make(() => (failing ? down() : Effect.succeed("new")), {
      policy: { circuitBreaker: { trip: { consecutive: 2 }, openFor: "10 seconds" }, fallback: () => Effect.fail("no") }
    })
    return Effect.gen(function* () {
      const ask = ToolRunner.run(toolbox, [call("c1")])
      assert.deepStrictEqual(outcomes(yield* ask), ["ToolFailure"])
      assert.deepStrictEqual(outcomes(yield* ask), ["ToolFailure"])
      assert.deepStrictEqual(outcomes(yield* ask), ["CircuitOpen"])
      failing = false
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(outcomes(yield* ask), ["executed"])
      assert.strictEqual(starts.length, 3)
    }).pipe(Effect.provide(layer))
  })
})

describe("no fallback is asked", () => {
  let asked = 0
  const fallback: Fallback = () =>
    Effect.sync(() => {
      asked++
      return "old"
    })

  it.effect("for what the model got wrong: it has to know", () => {
    const { layer, toolbox } = make(() => Effect.fail(new Down({ why: "no such city", owner: "model" })), {
      policy: { fallback }
    })
    return Effect.gen(function* () {
      asked = 0
      const batch = yield* ToolRunner.run(toolbox, [
        call("c1"),
        { id: "c2", name: "ask", input: { n: "one" } },
        { id: "c3", name: "ask", input: "{" },
        { id: "c4", name: "nothing", input: {} },
        call("c5", { n: 5, dependsOn: ["c2"] })
      ])
      assert.deepStrictEqual(outcomes(batch), [
        "ToolFailure",
        "InvalidInput",
        "MalformedInput",
        "UnknownTool",
        "DependencyFailed"
      ])
      assert.strictEqual(asked, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("once the batch's time is up, whether the call was running or had not begun", () => {
    const { layer, toolbox } = make(() => Effect.never, { policy: { fallback, coalesce: false } })
    return Effect.gen(function* () {
      asked = 0
      const batch = yield* ToolRunner.run(toolbox, calls(2), { timeout: "1 second", concurrency: 1 }).pipe(
        within("1 second")
      )
      assert.deepStrictEqual(outcomes(batch), ["Timeout", "NotStarted"])
      assert.strictEqual(asked, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("after an interruption", () => {
    const { layer, toolbox } = make(() => Effect.never, { policy: { fallback } })
    return Effect.gen(function* () {
      asked = 0
      const fiber = yield* Effect.fork(ToolRunner.run(toolbox, [call("c1")]))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(asked, 0)
    }).pipe(Effect.provide(layer))
  })
})

describe("a fallback that goes wrong leaves the failure it was to replace", () => {
  const ways: ReadonlyArray<readonly [string, Fallback, number]> = [
    ["fails", () => Effect.fail(new Down({ why: "the fallback's own" })), 0],
    ["dies", () => Effect.die("boom"), 0],
    ["interrupts itself", () => Effect.interrupt, 0],
    [
      "throws",
      () => {
        throw new Error("boom")
      },
      0
    ],
    ["answers with no Effect", () => "old" as never, 0],
    ["answers with a Promise", () => Promise.resolve("old") as never, 0],
    ["answers with what cannot be encoded", () => Effect.succeed(1n), 0],
    ["is such a value", { value: () => 1 }, 0],
    ["hangs", () => Effect.never, 30_000],
    ["hangs and ignores its interruption", () => Effect.uninterruptible(Effect.never), 30_000]
  ]
  for (const [name, fallback, expected] of ways) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const { millis, result } = yield* play(() => down("the call's own"), fallback)
        assert.deepStrictEqual([why(result), millis], ["the call's own", expected])
      })
    )
  }

  it.effect("hangs beyond the batch's time", () =>
    Effect.gen(function* () {
      const { millis, result } = yield* play(
        () => down("own"),
        () => Effect.never,
        {},
        { timeout: "5 seconds" }
      )
      assert.deepStrictEqual([why(result), millis], ["own", 5000])
    })
  )
})
