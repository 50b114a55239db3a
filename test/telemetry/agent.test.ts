import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { Agent, Journal, Model, type ToolCall, type Toolbox } from "../../src/index.ts"
import { ScriptedModel } from "../../src/testing/index.ts"
import { call, type Handler, make, within } from "../policies/world.ts"
import { tracing } from "./tracing.ts"

const slow =
  (millis: number): Handler =>
  () =>
    Effect.delay(Effect.succeed("done"), millis)

const turn = (calls: ReadonlyArray<ToolCall.ToolCall>, tokens: readonly [number, number]): Model.Turn => ({
  content: [
    { type: "text", text: "Well." },
    ...calls.map(({ id, input, name }) => ({ type: "tool_use", id, name, input }))
  ],
  calls,
  stopReason: calls.length > 0 ? "tool_use" : "end_turn",
  usage: { inputTokens: tokens[0], outputTokens: tokens[1] }
})

const overloaded = new Model.ModelError({
  reason: "overloaded",
  detail: "too many requests",
  status: 529,
  retryable: true,
  retryAfter: undefined
})

/** A model that has a name, and takes half a second before each event of its turns. */
const model = (...replies: ReadonlyArray<Model.Turn | Model.ModelError>) => {
  const left = [...replies]
  return Layer.succeed(Model.Model, {
    provider: "anthropic",
    model: "claude-test",
    streamTurn: (): Stream.Stream<Model.TurnEvent, Model.ModelError> => {
      const reply = left.shift() ?? turn([], [1, 1])
      if (reply instanceof Model.ModelError) return Stream.fail(reply)
      const blocks = reply.content.flatMap((block, index): ReadonlyArray<Model.TurnEvent> => [
        { _tag: "BlockStarted", index, type: block.type },
        { _tag: "BlockCompleted", index, block, call: reply.calls.find(({ id }) => id === block["id"]) }
      ])
      return Stream.fromIterable(blocks).pipe(
        Stream.schedule(Schedule.spaced("500 millis")),
        Stream.concat(Stream.make({ _tag: "TurnCompleted", turn: reply } as const))
      )
    }
  })
}

const { layer: tools, toolbox } = make(slow(5000))

type Tools = typeof toolbox extends Toolbox.Toolbox<infer Tools> ? Tools : never

const run = (models: Layer.Layer<Model.Model>, options: Partial<Agent.LoopOptions<Tools>> = {}) =>
  Effect.gen(function* () {
    const traced = tracing()
    const exit = yield* Agent.run({ prompt: "Ask.", toolbox, ...options }).pipe(
      Effect.provide(Layer.mergeAll(models, tools, traced.layer)),
      Effect.exit,
      within("1 hour")
    )
    assert.isTrue(traced.spans.every(({ ends }) => ends === 1))
    return { ...traced, exit }
  })

describe("an agent", () => {
  it.effect("has a span with those of the model and of the calls in it", () =>
    Effect.gen(function* () {
      const { all, only, tree } = yield* run(
        model(turn([call("a"), call("b", { n: 1 })], [100, 20]), turn([], [150, 7]))
      )
      assert.sameMembers(tree(), [
        " > invoke_agent",
        "invoke_agent > chat claude-test",
        "invoke_agent > execute_tool ask",
        "execute_tool ask > attempt",
        "invoke_agent > execute_tool ask",
        "execute_tool ask > attempt",
        "invoke_agent > chat claude-test"
      ])
      const agent = only("invoke_agent")
      assert.strictEqual(agent.kind, "internal")
      assert.deepStrictEqual(agent.said, {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-test",
        "gen_ai.usage.input_tokens": 250,
        "gen_ai.usage.output_tokens": 27,
        "salvo.stop": "end_turn"
      })
      const chats = all("chat claude-test")
      assert.deepStrictEqual(
        chats.map(({ kind }) => kind),
        ["client", "client"]
      )
      const request = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-test",
        "gen_ai.request.max_tokens": 4096,
        "gen_ai.request.stream": true
      }
      assert.deepStrictEqual(
        chats.map(({ said }) => said),
        [
          {
            ...request,
            "gen_ai.response.finish_reasons": ["tool_use"],
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20
          },
          {
            ...request,
            "gen_ai.response.finish_reasons": ["end_turn"],
            "gen_ai.usage.input_tokens": 150,
            "gen_ai.usage.output_tokens": 7
          }
        ]
      )
    })
  )

  it.effect("has the calls that start while the model still speaks beside the request, not in it", () =>
    Effect.gen(function* () {
      const { all, of, only } = yield* run(model(turn([call("early"), call("last", { n: 1 })], [1, 1])))
      const [chat] = all("chat claude-test")
      assert.deepStrictEqual(chat?.time, [0, 3000])
      // The first one's block is complete when the next one begins, the last one's when the turn is.
      assert.deepStrictEqual(
        [of("early")?.time, of("last")?.time],
        [
          [2500, 7500],
          [3000, 8000]
        ]
      )
      assert.deepStrictEqual([of("early")?.parentName, of("last")?.parentName], ["invoke_agent", "invoke_agent"])
      assert.deepStrictEqual(only("invoke_agent").time, [0, 9000])
    })
  )

  it.effect("has a span for each request, with the reason why it failed", () =>
    Effect.gen(function* () {
      const { all, only } = yield* run(model(overloaded, turn([], [3, 4])))
      const [first, second] = all("chat claude-test")
      assert.strictEqual(first?.said["error.type"], "overloaded")
      assert.notProperty(first?.said, "gen_ai.usage.input_tokens")
      assert.notProperty(second?.said, "error.type")
      assert.notProperty(only("invoke_agent").said, "error.type")
    })
  )

  it.effect("fails with the reason of its model", () =>
    Effect.gen(function* () {
      const { all, exit, only } = yield* run(model(overloaded, overloaded), { modelRetry: Schedule.recurs(1) })
      assert.isTrue(Exit.isFailure(exit))
      assert.lengthOf(all("chat claude-test"), 2)
      assert.strictEqual(only("invoke_agent").said["error.type"], "overloaded")
    })
  )

  it.effect("says so where something else is broken", () =>
    Effect.gen(function* () {
      const { only } = yield* run(model(), { onExchange: () => Effect.die("a bug of the program's own") })
      assert.strictEqual(only("invoke_agent").said["error.type"], "_OTHER")
    })
  )

  it.effect("ends its spans, without an error, where it is interrupted", () =>
    Effect.gen(function* () {
      const { layer: tracer, spans } = tracing()
      const running = yield* Agent.run({ prompt: "Ask.", toolbox }).pipe(
        Effect.provide(Layer.mergeAll(model(turn([call("a")], [1, 1])), tools, tracer)),
        Effect.fork
      )
      yield* TestClock.adjust("300 millis")
      yield* Fiber.interrupt(running)
      assert.deepStrictEqual(
        spans.map(({ ends, name, said }) => [name, ends, said["error.type"]]),
        [
          ["invoke_agent", 1, undefined],
          ["chat claude-test", 1, undefined]
        ]
      )
    })
  )

  it.effect("calls no model by a name that it was not told", () =>
    Effect.gen(function* () {
      const { only } = yield* run(ScriptedModel.layerTurns({ text: "Done." }))
      assert.deepStrictEqual(Object.keys(only("chat").said).toSorted(), [
        "gen_ai.operation.name",
        "gen_ai.request.max_tokens",
        "gen_ai.request.stream",
        "gen_ai.response.finish_reasons",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens"
      ])
      assert.notProperty(only("invoke_agent").said, "gen_ai.provider.name")
    })
  )

  it.effect("counts its own tokens where it goes on with a conversation", () =>
    Effect.gen(function* () {
      const usages: Array<unknown> = []
      const models = model(turn([], [100, 10]), turn([], [200, 20]))
      yield* Effect.gen(function* () {
        for (const _ of [1, 2]) {
          const { layer: tracer, only } = tracing()
          yield* Effect.provide(Agent.run({ prompt: "Ask.", toolbox, id: "c" }), tracer)
          const { "gen_ai.usage.input_tokens": input, "gen_ai.usage.output_tokens": output } = only("invoke_agent").said
          usages.push([input, output])
        }
      }).pipe(Effect.provide(Layer.mergeAll(models, tools, Journal.layerMemory())), within("1 minute"))
      assert.deepStrictEqual(usages, [
        [100, 10],
        [200, 20]
      ])
    })
  )

  it.effect("counts no tokens that were spent before its process died", () =>
    Effect.gen(function* () {
      const { layer: tracer, all } = tracing()
      yield* Effect.gen(function* () {
        const dying = yield* Effect.fork(Agent.run({ prompt: "Ask.", toolbox, id: "c" }))
        yield* TestClock.adjust("4 seconds")
        yield* Fiber.interrupt(dying)
        const { usage } = yield* within("1 minute")(Agent.resume("c", { toolbox }))
        assert.strictEqual(usage.inputTokens, 300)
      }).pipe(
        Effect.provide(
          Layer.mergeAll(model(turn([call("a")], [100, 10]), turn([], [200, 20])), tools, Journal.layerMemory(), tracer)
        )
      )
      assert.deepStrictEqual(
        all("invoke_agent").map(({ said }) => said["gen_ai.usage.input_tokens"]),
        [undefined, 200]
      )
    })
  )

  it.effect("is not traced where no tracer listens", () =>
    Effect.gen(function* () {
      const spans: Array<string> = []
      const onEvent = () =>
        Effect.matchEffect(Effect.currentSpan, {
          onFailure: () => Effect.void,
          onSuccess: ({ name }) => Effect.sync(() => void spans.push(name))
        })
      yield* Agent.run({ prompt: "Ask.", toolbox, onEvent }).pipe(
        Effect.provide(Layer.mergeAll(model(turn([call("a")], [1, 1])), tools)),
        within("1 hour")
      )
      assert.deepStrictEqual(spans, [])
    })
  )
})
