import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { type BatchResult, type Policy, Report, Tool, Toolbox, type ToolError, ToolRunner } from "../../src/index.ts"
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

describe("another tool as the fallback", () => {
  const Answer = Schema.Struct({ celsius: Schema.Number, at: Schema.Date })

  class Backup extends Tool.Service<Backup>()("backup", {
    description: "A second source",
    input: Schema.Struct({ place: Schema.String }),
    output: Answer,
    failure: Down,
    effects: "read",
    policy: { retry: { times: 1, base: "1 second", jitter: "none" }, timeout: "2 seconds" }
  }) {}

  class Weather extends Tool.Service<Weather>()("weather", {
    description: "The first source",
    input: Schema.Struct({ city: Schema.String }),
    output: Answer,
    failure: Down,
    effects: "read",
    policy: {
      retry: false,
      circuitBreaker: false,
      fallback: { tool: Backup, input: ({ city }) => ({ place: city.toUpperCase() }) }
    }
  }) {}

  const toolbox = Toolbox.make(Weather)
  const weather = Weather.layer(() => down("first"))
  const measured = { celsius: 21, at: new Date(0) }

  type BackupHandler = Parameters<typeof Backup.layer<never>>[0]

  const ask = (backup: BackupHandler, options?: ToolRunner.RunOptions<typeof Weather>) =>
    ToolRunner.run(toolbox, [{ id: "c1", name: "weather", input: { city: "Rome" } }], options).pipe(
      Effect.provide(Backup.layer(backup))
    )

  const layer = Layer.merge(weather, ToolRunner.layer)

  it.effect("answers with an input made from the call's, and its output is encoded by the first tool's schema", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const batch = yield* ask((input) => {
        seen.push(input)
        return Effect.succeed(measured)
      })
      const [result] = batch.succeeded
      assert.deepStrictEqual(seen, [{ place: "ROME" }])
      assert.deepStrictEqual(
        [result?.source, result?.call.name, result?.output, result?.encoded, result?.attempts],
        ["fallback", "weather", measured, { celsius: 21, at: "1970-01-01T00:00:00.000Z" }, 1]
      )
      assert.strictEqual(replaced(batch), "ToolFailure")
    }).pipe(Effect.provide(layer))
  )

  it.effect("is tried again under its own policy", () =>
    Effect.gen(function* () {
      const seen: Array<readonly [number, string]> = []
      const batch = yield* ask(
        (_, { attempt, idempotencyKey }) => {
          seen.push([attempt, idempotencyKey])
          return attempt === 1 ? down() : Effect.succeed(measured)
        },
        { id: "b" }
      ).pipe(within("1 second"))
      assert.deepStrictEqual(outcomes(batch), ["fallback"])
      // A key of its own: the two tools' executions are not the same.
      assert.deepStrictEqual(seen, [
        [1, "b/0/c1/backup"],
        [2, "b/0/c1/backup"]
      ])
    }).pipe(Effect.provide(layer))
  )

  it.effect("is held to its own timeout, and its failure leaves the first tool's", () =>
    Effect.gen(function* () {
      const hanging = yield* ask(() => Effect.never).pipe(within("1 minute"))
      assert.strictEqual(why(hanging.results[0]), "first")
      // Twice two seconds, and one between.
      assert.strictEqual(Duration.toMillis(hanging.duration), 5000)
      for (const backup of [
        () => down("second"),
        () => Effect.die("boom"),
        () => Effect.succeed({ celsius: "hot" } as never)
      ] satisfies ReadonlyArray<BackupHandler>) {
        assert.strictEqual(why((yield* ask(backup).pipe(within("5 seconds"))).results[0]), "first")
      }
    }).pipe(Effect.provide(layer))
  )

  it.effect("ends with the batch, whose deadline leaves the first tool's failure", () =>
    Effect.gen(function* () {
      const batch = yield* ask(() => Effect.never, { timeout: "1500 millis" }).pipe(within("1500 millis"))
      assert.strictEqual(why(batch.results[0]), "first")
    }).pipe(Effect.provide(layer))
  )

  it.effect("has its own circuit breaker, which opens by its own failures", () =>
    Effect.gen(function* () {
      let executions = 0
      const failing: BackupHandler = () => {
        executions++
        return down("second")
      }
      for (let n = 0; n < 5; n++) yield* ask(failing).pipe(within("1 second"))
      assert.isAtMost(executions, 5 * 2)
      const before = executions
      assert.strictEqual(why((yield* ask(failing).pipe(within("1 second"))).results[0]), "first")
      assert.strictEqual(executions, before)
    }).pipe(Effect.provide(layer))
  )

  it.effect("whose `input` throws, or makes what it does not take, leaves the first tool's failure", () =>
    Effect.gen(function* () {
      for (const input of [
        () => {
          throw new Error("boom")
        },
        () => ({ place: 7 }),
        () => "text" as never
      ]) {
        const { layer, toolbox } = make(() => down("first"), { policy: { fallback: { tool: Backup, input } } })
        const batch = yield* ToolRunner.run(toolbox, [call("c1")]).pipe(
          Effect.provide(layer),
          Effect.provide(Backup.layer(() => Effect.succeed(measured)))
        )
        assert.strictEqual(why(batch.results[0]), "first")
      }
    })
  )

  it.effect("is given the call's own input where nothing else is said, even as text", () =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(() => down(), { policy: { fallback: { tool: Backup } } })
      const seen: Array<unknown> = []
      const batch = yield* ToolRunner.run(toolbox, [{ id: "c1", name: "ask", input: '{"n":1,"place":"Rome"}' }]).pipe(
        Effect.provide(layer),
        Effect.provide(
          Backup.layer((input) => {
            seen.push(input)
            return Effect.succeed(measured)
          })
        )
      )
      assert.deepStrictEqual(outcomes(batch), ["fallback"])
      assert.deepStrictEqual(seen, [{ place: "Rome" }])
    })
  )

  it.effect("is interrupted with the batch, and told of: its call was running", () =>
    Effect.gen(function* () {
      let seen: BatchResult.BatchResult | undefined
      let stopped = false
      const fiber = yield* ask(
        () =>
          Effect.onInterrupt(Effect.never, () =>
            Effect.sync(() => {
              stopped = true
            })
          ),
        {
          onInterrupt: (batch) =>
            Effect.sync(() => {
              seen = batch
            })
        }
      ).pipe(Effect.fork)
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      assert.isTrue(stopped)
      assert.deepStrictEqual(seen === undefined ? [] : outcomes(seen), ["OutcomeUnknown"])
    }).pipe(Effect.provide(layer))
  )

  it("has to be provided like the tool itself: without it the program does not compile", () => {
    const run = ToolRunner.run(toolbox, []).pipe(Effect.provide(layer))
    const provided: Effect.Effect<unknown> = run.pipe(Effect.provide(Backup.layer(() => Effect.succeed(measured))))
    // @ts-expect-error: the fallback's layer is missing
    const missing: Effect.Effect<unknown> = run
    assert.isDefined([provided, missing])
  })

  it("has to answer with what the tool answers with", () => {
    class Text extends Tool.Service<Text>()("text", {
      description: "Answers with text",
      input: Schema.Struct({}),
      output: Schema.String,
      effects: "read"
    }) {}
    const options = { description: "", input: Schema.Struct({}), output: Schema.Number, effects: "read" } as const
    Tool.Service<never>()("typed", {
      ...options,
      // @ts-expect-error: a string is no number
      policy: { fallback: { tool: Text } }
    })
    Tool.Service<never>()("typed", {
      ...options,
      // @ts-expect-error: a string is no number
      policy: { fallback: { value: "none" } }
    })
    Tool.Service<never>()("typed", {
      ...options,
      // @ts-expect-error: a string is no number
      policy: { fallback: () => Effect.succeed("none") }
    })
    const error = (of: ToolError.ToolError) => of._tag
    Tool.Service<never>()("typed", {
      ...options,
      policy: { fallback: (_: object, of: ToolError.ToolError) => Effect.succeed(error(of).length) }
    })
  })
})
