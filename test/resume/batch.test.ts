/** A batch that is run again after its process died: what each of its calls is answered with, and what it costs. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { Journal, Tool, Toolbox, ToolError, ToolRunner } from "../../src/index.ts"
import * as World from "./world.ts"

const { at, call, cutAndResumed, told } = World

describe("a call that had its result", () => {
  it.scoped("is answered from the journal, and not executed again", () =>
    Effect.gen(function* () {
      const calls = [call("c1", "look", { n: 1 }), call("c2", "put", { n: 2 }), call("c3", "pay", { n: 3 })]
      const { batch, executed, told } = yield* cutAndResumed(calls, at("after Landed pay c3"))
      assert.deepStrictEqual(told, ["journal", "journal", "journal"])
      assert.deepStrictEqual(
        batch.succeeded.map(({ attempts, encoded, output }) => [output, encoded, attempts]),
        [1, 2, 3].map((n) => [{ got: n }, { got: n }, 1])
      )
      assert.deepStrictEqual(executed(2), [])
    })
  )

  it.scoped("is answered with its failure, its fault and its attempts", () =>
    Effect.gen(function* () {
      const calls = [
        call("c1", "look", { n: 1, how: "refused" }),
        call("c2", "put", { n: 2, how: "unsure" }),
        call("c3", "pay", { n: 3, how: "unsure" }),
        call("c4", "nothing" as "look", {}),
        call("c5", "pay", { n: "five" })
      ]
      const world = yield* World.make
      const batch = yield* world.process().run(calls)
      const again = yield* world.process().run(calls)
      const inWords = (batch: World.Batch | undefined) =>
        batch?.failed.map(({ attempts, error, fault }) => [error, fault, attempts])
      assert.deepStrictEqual(told(batch), ["ToolFailure", "ToolFailure", "ToolFailure", "UnknownTool", "InvalidInput"])
      assert.deepStrictEqual(inWords(again), inWords(batch))
      assert.deepStrictEqual(
        again?.failed.map(({ fault }) => fault.tookEffect),
        ["no", "maybe", "maybe", "no", "no"]
      )
      assert.deepStrictEqual(world.executed(2), [])
    })
  )

  it.scoped("keeps its defect, its timeout and its unusable output", () =>
    Effect.gen(function* () {
      const calls = ["c1", "c2", "c3"].map((id, n) => call(id, "pay", { n }))
      const world = yield* World.make
      const handlers: World.Setup["handlers"] = {
        pay: ({ n }) =>
          n === 0 ? Effect.die(new Error("broken")) : n === 1 ? Effect.never : Effect.succeed({ got: 1 })
      }
      const running = yield* Effect.fork(world.process({ handlers }).run(calls))
      yield* TestClock.adjust("30 seconds")
      const batch = yield* Fiber.join(running)
      assert.deepStrictEqual(told(batch), ["ToolDefect", "Timeout", "executed"])
      const again = yield* world.process().run(calls)
      assert.deepStrictEqual(
        again?.failed.map(({ error, fault }) => [error, fault]),
        batch?.failed.map(({ error, fault }) => [error, fault])
      )
      assert(again?.failed[1]?.error instanceof ToolError.Timeout)
      assert.lengthOf(world.executed(2), 0)
    })
  )

  it.scoped("answers those that depend on it, by order and by reference", () =>
    Effect.gen(function* () {
      const calls = [
        call("c1", "look", { n: 7 }),
        call("c2", "pay", { n: { $ref: "#1/got" } }),
        call("c3", "put", { n: 3 }, ["c2"]),
        call("c4", "look", { n: 4, how: "refused" }),
        call("c5", "pay", { n: 5 }, ["c4"])
      ]
      const { batch, executed, ledger } = yield* cutAndResumed(calls, at("in put c3"))
      assert.deepStrictEqual(told(batch), ["journal", "journal", "executed", "ToolFailure", "DependencyFailed"])
      assert.deepStrictEqual(executed(2), ["put c3"])
      assert.deepStrictEqual(
        ledger.filter(({ tool }) => tool === "pay").map(({ n, what }) => `${what} ${n}`),
        ["begun 7", "done 7"]
      )
    })
  )

  it.scoped("hands its outputs to the handler of a call that depends on it", () =>
    Effect.gen(function* () {
      const calls = [call("c1", "look", { n: 7 }), call("c2", "put", { n: 2 }, ["c1"])]
      const seen: Array<unknown> = []
      yield* cutAndResumed(calls, at("before put c2"), {
        handlers: { put: (_, { dependencies }) => Effect.sync(() => seen.push([...dependencies])) }
      })
      assert.deepStrictEqual(seen, [[["c1", { got: 7 }]]])
    })
  )

  it.scoped("answers the identical reads of its batch", () =>
    Effect.gen(function* () {
      const calls = [call("c1", "look", { n: 1 }), call("c2", "look", { n: 1 }), call("c3", "pay", { n: 3 }, ["c2"])]
      const { batch, executed } = yield* cutAndResumed(calls, at("before pay c3"))
      assert.deepStrictEqual(told(batch)?.slice(0, 2), ["journal", "coalesced"])
      assert.deepStrictEqual(executed(), ["look c1"])
      assert.deepStrictEqual(
        batch.succeeded.map(({ output }) => output),
        [{ got: 1 }, { got: 1 }]
      )
    })
  )

  it.scoped("is answered where its tool is shut off meanwhile", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const calls = [call("c1", "pay", { n: 1 })]
      yield* world.process().run(calls)
      const again = yield* world.process().run(calls, { maxExecutions: 0 })
      assert.deepStrictEqual(told(again), ["journal"])
    })
  )

  it.scoped("says nothing, or null, as it did", () =>
    Effect.gen(function* () {
      const tools = [undefined, null].map((output, i) =>
        Tool.dynamic({
          name: `quiet_${i}`,
          description: "Says nothing",
          inputSchema: { type: "object" },
          effects: "write",
          handler: () => Effect.succeed(output)
        })
      )
      const box = Toolbox.make(...(yield* Effect.all(tools)))
      const calls = box.tools.map(({ definition }, i) => ({ id: `c${i}`, name: definition.name, input: {} }))
      const run = ToolRunner.run(box, calls, { id: "quiet" })
      const [first, second] = yield* Effect.all([run, run]).pipe(
        Effect.provide(Journal.layerMemory()),
        Effect.provide(ToolRunner.layer)
      )
      assert.deepStrictEqual(told(first), ["executed", "executed"])
      assert.deepStrictEqual(told(second), ["journal", "journal"])
      assert.deepStrictEqual(
        second.succeeded.map(({ encoded }) => encoded),
        first.succeeded.map(({ encoded }) => encoded)
      )
    })
  )
})
