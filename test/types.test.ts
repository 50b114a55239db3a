// Wrong on purpose here, and expected as errors of the compiler.
// @effect-diagnostics missingEffectContext:off missingEffectError:off
import type { MessageParam, ToolUseBlock } from "@anthropic-ai/sdk/resources/messages/messages"
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { type BatchResult, Tool, Toolbox, ToolRunner } from "../src/index.ts"
import type * as Anthropic from "../src/adapters/Anthropic.ts"
import type { ToolCall, ToolError, ToolResult } from "../src/index.ts"

class WeatherDown extends Schema.TaggedError<WeatherDown>()("WeatherDown", { city: Schema.String }) {}

class GetWeather extends Tool.Service<GetWeather>()("get_weather", {
  description: "Weather",
  input: Schema.Struct({ city: Schema.String, days: Schema.NumberFromString }),
  output: Schema.Struct({ celsius: Schema.Number }),
  failure: WeatherDown,
  effects: "read"
}) {}

class Greet extends Tool.Service<Greet>()("greet", {
  description: "Greets",
  input: Schema.Struct({ name: Schema.String }),
  output: Schema.String,
  effects: "read"
}) {}

const toolbox = Toolbox.make(GetWeather, Greet)
type Tools = typeof GetWeather | typeof Greet

describe("types", () => {
  it("a toolbox carries its tools, and running it requires exactly their implementations", () => {
    expectTypeOf(toolbox).toEqualTypeOf<Toolbox.Toolbox<Tools>>()
    const program = ToolRunner.run(toolbox, [])
    expectTypeOf<Effect.Effect.Context<typeof program>>().toEqualTypeOf<GetWeather | Greet | ToolRunner.ToolRunner>()
    expectTypeOf<Effect.Effect.Error<typeof program>>().toEqualTypeOf<never>()
    expectTypeOf<Effect.Effect.Success<typeof program>>().toEqualTypeOf<BatchResult.BatchResult<Tools>>()
    expectTypeOf<Tool.Name<Tools>>().toEqualTypeOf<"get_weather" | "greet">()
  })

  it("the blocks of Anthropic's client fit as they are", () => {
    expectTypeOf<ToolUseBlock>().toMatchTypeOf<ToolCall.ToolCall>()
    expectTypeOf<ReturnType<typeof Anthropic.toolResults>>().toMatchTypeOf<MessageParam["content"]>()
  })

  it("a missing tool layer does not compile", () => {
    const greet = Greet.layer(({ name }) => Effect.succeed(`Hello ${name}`))
    const partial = ToolRunner.run(toolbox, []).pipe(Effect.provide(Layer.merge(greet, ToolRunner.layer)))
    // @ts-expect-error GetWeather is missing
    const run = (): Effect.Effect<unknown> => partial
    assert.isFunction(run)
  })

  it("inputs, outputs and failures are inferred", () => {
    GetWeather.layer((input, call) => {
      expectTypeOf(input).toEqualTypeOf<{ readonly city: string; readonly days: number }>()
      expectTypeOf(call).toEqualTypeOf<Tool.Call>()
      return Effect.fail(new WeatherDown({ city: input.city }))
    })
    expectTypeOf<Tool.Output<typeof GetWeather>>().toEqualTypeOf<{ readonly celsius: number }>()
    expectTypeOf<Tool.Failure<Tools>>().toEqualTypeOf<WeatherDown>()
    type Results = ToolResult.ToolResult<Tools>
    expectTypeOf<Extract<Results, { _tag: "Success" }>["output"]>().toEqualTypeOf<
      { readonly celsius: number } | string
    >()
    expectTypeOf<Extract<Results, { _tag: "Failure" }>["error"]>().toEqualTypeOf<ToolError.ToolError<WeatherDown>>()
  })

  it("a handler with the wrong error or output does not compile", () => {
    // @ts-expect-error the failure is not the tool's
    assert.isDefined(Greet.layer(() => Effect.fail("oops")))
    // @ts-expect-error the output is not the tool's
    assert.isDefined(Greet.layer(() => Effect.succeed(1)))
  })

  it("what a handler needs becomes the layer's requirement", () => {
    class Salutation extends Tool.Service<Salutation>()("salutation", {
      description: "A word",
      input: Schema.Struct({}),
      output: Schema.String,
      effects: "read"
    }) {}
    const layer = Greet.layer(({ name }) =>
      Effect.gen(function* () {
        const word = yield* Salutation
        const said = yield* word({}, {} as Tool.Call)
        return `${said} ${name}`
      })
    )
    expectTypeOf(layer).toEqualTypeOf<Layer.Layer<Greet, never, Salutation>>()
  })

  it.effect("a dynamic tool needs what its handler needs, and nothing else", () =>
    Effect.gen(function* () {
      const tool = yield* Tool.dynamic({
        name: "echo",
        description: "Echoes",
        inputSchema: { type: "object", properties: { n: { type: "integer" } }, required: ["n"] },
        effects: "read",
        handler: (input) => Effect.succeed(input)
      })
      expectTypeOf<Tool.Requirements<typeof tool>>().toEqualTypeOf<never>()
      const batch = yield* ToolRunner.run(Toolbox.make(tool), [
        { id: "1", name: "echo", input: { n: 1 } },
        { id: "2", name: "echo", input: { n: "one" } }
      ])
      assert.deepStrictEqual(batch.succeeded[0]?.output, { n: 1 })
      const error = batch.failed[0]?.error
      assert(error?._tag === "InvalidInput")
      assert.deepStrictEqual(error.issues, [{ path: ["n"], message: "must be integer" }])
    }).pipe(Effect.provide(ToolRunner.layer))
  )
})

describe("definitions", () => {
  const base = { description: "x", input: Schema.Struct({}), output: Schema.Void, effects: "read" } as const
  const cases: Array<[string, () => unknown, RegExp]> = [
    ["two tools of one name", () => Toolbox.make(Greet, Greet), /two tools named "greet"/],
    ["a bad name", () => Tool.Service()("not a name", base), /name is the string "not a name"/],
    [
      "a negative duration",
      () => Tool.Service()("t", { ...base, policy: { timeout: { attempt: "-3 seconds" } } }),
      /policy\.timeout\.attempt is the string "-3 seconds"; it takes a duration above zero/
    ],
    ["a zero timeout", () => Tool.Service()("t", { ...base, policy: { timeout: 0 } }), /policy\.timeout\.attempt/],
    [
      "half a retry",
      () => Tool.Service()("t", { ...base, policy: { retry: { times: 0.5 } } }),
      /policy\.retry\.times is the number 0\.5/
    ],
    [
      "a bulkhead of 0",
      () => Toolbox.withPolicy(toolbox, { bulkhead: 0 }),
      /Toolbox: policy\.bulkhead\.limit is the number 0; it takes a whole number of 1 or more/
    ],
    [
      "an `after` of names",
      () => Tool.Service()("t", { ...base, after: ["get_weather"] as never }),
      /after is an array of 1; it takes an array of tools/
    ],
    [
      "a `tolerates` that is neither",
      () => Tool.Service()("t", { ...base, tolerates: "all" as never }),
      /tolerates is the string "all"; it takes true, false or an array of tools/
    ],
    ["an input that is no object", () => Tool.Service()("t", { ...base, input: Schema.String }), /input is a schema/]
  ]
  for (const [name, define, expected] of cases) {
    it(`${name} is an error that names the field`, () => assert.throws(define, expected))
  }

  it("the model is given JSON Schema with an object at its root", () => {
    class Person extends Schema.Class<Person>("Person")({ name: Schema.String }) {}
    class ByClass extends Tool.Service<ByClass>()("by_class", { ...base, input: Person }) {}
    class Empty extends Tool.Service<Empty>()("empty", base) {}
    const described = Toolbox.describe(Toolbox.make(ByClass, Empty))
    assert.deepStrictEqual(described[1]?.input_schema, { type: "object", properties: {}, additionalProperties: false })
    assert.strictEqual(described[0]?.input_schema.type, "object")
    assert.deepStrictEqual(described[0]?.input_schema["required"], ["name"])
  })
})
