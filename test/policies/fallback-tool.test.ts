// The type checker is what is tested here, too.
// @effect-diagnostics missingEffectContext:off
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { type BatchResult, Tool, Toolbox, type ToolError, ToolRunner } from "../../src/index.ts"
import { call, down, Down, make, outcomes, why, within } from "./world.ts"

const replaced = ({ results: [result] }: BatchResult.BatchResult) =>
  result?._tag === "Success" ? result.replaces?._tag : undefined

describe("another tool as the fallback", () => {
  class Backup extends Tool.Service<Backup>()("backup", {
    description: "A second source",
    input: Schema.Struct({ place: Schema.String }),
    output: Schema.Struct({ celsius: Schema.Number }),
    failure: Down,
    effects: "read",
    policy: { retry: { times: 1, base: "1 second", jitter: "none" }, timeout: "2 seconds" }
  }) {}

  class Weather extends Tool.Service<Weather>()("weather", {
    description: "The first source",
    input: Schema.Struct({ city: Schema.String }),
    output: Schema.Struct({ celsius: Schema.NumberFromString }),
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
  const measured = { celsius: 21 }

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
        ["fallback", "weather", measured, { celsius: "21" }, 1]
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
        [1, "b/c1/weather/1vv2xqj/backup"],
        [2, "b/c1/weather/1vv2xqj/backup"]
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
        const { layer, toolbox } = make(() => Effect.zipRight(Effect.sleep("1 second"), down("first")), {
          policy: { fallback: { tool: Backup, input } }
        })
        const batch = yield* ToolRunner.run(toolbox, [call("c1")]).pipe(
          Effect.provide(layer),
          Effect.provide(Backup.layer(() => Effect.succeed(measured))),
          within("1 second")
        )
        const [result] = batch.results
        assert.deepStrictEqual([why(result), Duration.toMillis(result?.duration ?? 0)], ["first", 1000])
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
})

it("a fallback has to answer with what the tool answers with, or the program does not compile", () => {
  class Text extends Tool.Service<Text>()("text", {
    description: "Answers with text",
    input: Schema.Struct({}),
    output: Schema.String,
    effects: "read"
  }) {}
  const options = { description: "", input: Schema.Struct({}), output: Schema.Number, effects: "read" } as const
  const tools = [
    Tool.Service<never>()("typed", {
      ...options,
      // @ts-expect-error: a string is no number
      policy: { fallback: { tool: Text } }
    }),
    Tool.Service<never>()("typed", {
      ...options,
      // @ts-expect-error: a string is no number
      policy: { fallback: { value: "none" } }
    }),
    Tool.Service<never>()("typed", {
      ...options,
      // @ts-expect-error: a string is no number
      policy: { fallback: () => Effect.succeed("none") }
    }),
    Tool.Service<never>()("typed", {
      ...options,
      policy: { fallback: (_: object, error: ToolError.ToolError) => Effect.succeed(error._tag.length) }
    })
  ]
  assert.strictEqual(tools.length, 4)
})
