import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { Agent, CircuitBreaker, Tool, Toolbox, ToolRunner } from "../src/index.ts"
import * as ScriptedModel from "../src/testing/ScriptedModel.ts"

const options = { description: "Asks", input: Schema.Struct({}), output: Schema.String, effects: "read" } as const

class Live extends Tool.Service<Live>()("live_prices", options) {}
class Kept extends Tool.Service<Kept>()("kept_prices", options) {}

const handlers = Layer.merge(
  Live.layer(() => Effect.succeed("1")),
  Kept.layer(() => Effect.succeed("2"))
)

/** Isolates these tools in the middle of the agent's work, and gives the tools of each request. */
const offered = (withholdOpen: boolean, ...isolated: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const requests: Array<ReadonlyArray<string>> = []
    const breakers = yield* CircuitBreaker.CircuitBreaker
    const model = ScriptedModel.layer(({ tools }, turn) => {
      requests.push(tools.map(({ name }) => name))
      return Effect.succeed(
        turn === 0 ? { calls: [{ id: "toolu_1", name: "kept_prices", input: {} }] } : { text: "Done." }
      )
    })
    const onExchange = () =>
      Effect.forEach(isolated, (name) => Effect.flatMap(breakers.get(name), (breaker) => breaker.isolate), {
        discard: true
      })
    const scope = yield* Effect.scope
    yield* Agent.run({
      prompt: "Go.",
      toolbox: Toolbox.make(Live, Kept),
      withholdOpen,
      onExchange: () => Effect.provideService(onExchange(), Scope.Scope, scope)
    }).pipe(Effect.provide(model))
    return requests
  }).pipe(
    Effect.scoped,
    Effect.provide(Layer.provideMerge(Layer.merge(handlers, ToolRunner.layer), CircuitBreaker.layerMemory))
  )

const both = ["live_prices", "kept_prices"]

describe("a tool whose circuit is open", () => {
  it.effect("is left out of the next request where the agent is told to withhold it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* offered(true, "live_prices"), [both, ["kept_prices"]])
    })
  )

  it.effect("stays in the request by default", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* offered(false, "live_prices"), [both, both])
    })
  )

  it.effect("is offered all the same where no tool would be left", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* offered(true, ...both), [both, both])
    })
  )
})
