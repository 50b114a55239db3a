/** A process that ends in the middle of a fallback: what was given up stays so, and nothing is paid twice. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Fault, Journal, Tool, Toolbox, ToolRunner } from "../../src/index.ts"
import { call, Failed } from "./tools.ts"
import * as World from "./world.ts"

describe("a process that ends in the middle of another tool's work", () => {
  for (const crash of [
    "before pay c1",
    "in pay c1",
    "after pay c1",
    "half of Landed pay c1",
    "before Landed order c1"
  ]) {
    it.scoped(`does not begin anew what that tool was asked instead of (${crash})`, () =>
      Effect.gen(function* () {
        // What was refused then would be done now: both would pay.
        for (const again of ["c1", "d1"]) {
          const world = yield* World.make
          const order = (id: string) => [call(id, "order", { n: 1, how: "flaky" })]
          const refusing = {
            handlers: { order: () => Effect.fail(new Failed({ tookEffect: "no", transient: false })) }
          }
          assert.isUndefined(yield* world.process({ ...refusing, crash: World.at(crash) }).run(order("c1")))
          const batch = yield* world.process().run(order(again))
          assert.deepStrictEqual(world.executed(2), [], again)
          assert.isAtMost(world.effects("pay") + world.effects("order"), 1)
          const [result] = batch?.results ?? []
          if (crash === "before Landed order c1") assert.deepStrictEqual(World.told(batch), ["fallback"])
          else {
            assert(result?._tag === "Failure")
            assert.deepStrictEqual([result.error._tag, result.fault.tookEffect], ["ToolFailure", "maybe"])
          }
          // Once more is no different.
          assert.deepStrictEqual((yield* world.process().run(order(again)))?.results[0]?._tag, result?._tag)
          assert.deepStrictEqual(world.executed(3), [])
        }
      })
    )
  }

  it.scoped("goes on with that tool where it certainly changed nothing", () =>
    Effect.gen(function* () {
      for (const crash of ["before Started pay c1", "half of Started pay c1"]) {
        const world = yield* World.make
        const order = [call("c1", "order", { n: 1, how: "refused" })]
        assert.isUndefined(yield* world.process({ crash: World.at(crash) }).run(order))
        assert.deepStrictEqual(World.told(yield* world.process().run(order)), ["fallback"], crash)
        assert.strictEqual(world.effects("pay"), 1)
        assert.strictEqual(world.effects("order"), 0)
      }
    })
  )
})

describe("a process that ends in the middle of a fallback's effect", () => {
  const make = (effects: Tool.Effects) => {
    let executions = 0
    let asked = 0
    let isStuck = true
    class Order extends Tool.Service<Order>()("order", {
      description: "Orders something",
      input: Schema.Struct({}),
      output: Schema.Number,
      failure: Failed,
      classify: (failure: Failed) => Fault.permanent(failure),
      effects,
      policy: {
        retry: false,
        fallback: () => Effect.suspend(() => (asked++, isStuck ? Effect.never : Effect.succeed(2)))
      }
    }) {}
    const handler = () =>
      Effect.suspend(() =>
        executions++ === 0 ? Effect.fail(new Failed({ tookEffect: "no", transient: false })) : Effect.succeed(1)
      )
    return {
      toolbox: Toolbox.make(Order),
      layer: Layer.merge(Order.layer(handler), ToolRunner.layer),
      counts: () => [executions, asked],
      repair: () => void (isStuck = false)
    }
  }

  const runTwice = (effects: Tool.Effects) =>
    Effect.gen(function* () {
      const { counts, layer, repair, toolbox } = make(effects)
      const store = yield* Effect.map(Layer.build(Journal.layerStoreMemory()), Context.get(Journal.JournalStore))
      /** Each with a journal of its own over the one store, as two processes have. */
      const run = Journal.make().pipe(
        Effect.flatMap((journal) =>
          Effect.provideService(
            ToolRunner.run(toolbox, [{ id: "c1", name: "order", input: {} }], { id: "batch" }),
            Journal.Journal,
            journal
          )
        ),
        Effect.provideService(Journal.JournalStore, store),
        Effect.provide(layer)
      )
      yield* Effect.forkDaemon(run)
      while (counts()[1] === 0) yield* Effect.yieldNow()
      repair()
      return { batch: yield* run, counts: counts() }
    })

  it.scoped("has maybe written, where the tool writes", () =>
    Effect.gen(function* () {
      const { batch, counts } = yield* runTwice("write")
      assert.deepStrictEqual(World.told(batch), ["OutcomeUnknown"])
      assert.deepStrictEqual(counts, [1, 1])
    })
  )

  it.scoped("is run again where that is safe", () =>
    Effect.gen(function* () {
      const { batch, counts } = yield* runTwice("idempotent")
      assert.deepStrictEqual(World.told(batch), ["executed"])
      assert.deepStrictEqual(counts, [2, 1])
    })
  )
})
