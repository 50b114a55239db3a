/** A batch whose log is still being opened, and calls that have to wait for something the journal has the answer to. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { type BatchResult, Fault, Journal, Tool, Toolbox, ToolRunner } from "../../src/index.ts"
import * as FaultyJournal from "../../src/testing/FaultyJournal.ts"
import { Failed } from "./tools.ts"
import * as World from "./world.ts"

const { call, told } = World

/** A store that opens logs when it is let to, and counts those that are open. */
const slow = Effect.gen(function* () {
  const store = yield* Effect.map(Layer.build(Journal.layerStoreMemory()), Context.get(Journal.JournalStore))
  const asked = yield* Deferred.make<void>()
  const go = yield* Deferred.make<void>()
  let open = 0
  const counting: Journal.JournalStore["Type"] = {
    ...store,
    open: (name) =>
      Deferred.succeed(asked, undefined).pipe(
        Effect.zipRight(Deferred.await(go)),
        Effect.zipRight(
          Effect.acquireRelease(
            Effect.sync(() => open++),
            () => Effect.sync(() => open--)
          )
        ),
        Effect.zipRight(store.open(name))
      )
  }
  const journal = yield* Effect.provideService(Journal.make(), Journal.JournalStore, counting)
  return { journal, asked: Deferred.await(asked), go: Deferred.succeed(go, undefined), open: () => open }
})

class Look extends Tool.Service<Look>()("look", {
  description: "Looks something up",
  input: Schema.Struct({}),
  output: Schema.Number,
  effects: "read"
}) {}

const toolbox = Toolbox.make(Look)
const calls = ["c1", "c2"].map((id) => ({ id, name: "look", input: {} }))
const layer = Layer.merge(
  Look.layer(() => Effect.succeed(1)),
  ToolRunner.layer
)

describe("a batch that is interrupted while its log is opened", () => {
  it.scoped("tells what became of its calls, and lets go of the log", () =>
    Effect.gen(function* () {
      const { asked, go, journal, open } = yield* slow
      let batch: BatchResult.BatchResult | undefined
      const running = yield* ToolRunner.run(toolbox, calls, {
        id: "batch",
        onInterrupt: (told) => Effect.sync(() => void (batch = told))
      }).pipe(Effect.provideService(Journal.Journal, journal), Effect.provide(layer), Effect.fork)
      yield* asked
      yield* Fiber.interrupt(running)
      assert.deepStrictEqual(told(batch), ["NotStarted", "NotStarted"])
      yield* go
      for (let i = 0; i < 100; i++) yield* Effect.yieldNow()
      assert.strictEqual(open(), 0)
    })
  )

  it.scoped("so does one that is open to calls", () =>
    Effect.gen(function* () {
      const { asked, go, journal, open } = yield* slow
      const scope = yield* Scope.make()
      const opening = yield* ToolRunner.open(toolbox, { id: "batch" }).pipe(
        Scope.extend(scope),
        Effect.provideService(Journal.Journal, journal),
        Effect.provide(layer),
        Effect.fork
      )
      yield* asked
      yield* Fiber.interrupt(opening)
      yield* Scope.close(scope, Exit.void)
      yield* go
      for (let i = 0; i < 100; i++) yield* Effect.yieldNow()
      assert.strictEqual(open(), 0)
    })
  )
})

describe("a call that has its result", () => {
  it.scoped("does not wait for its resource, which another batch holds", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const calls = [call("c1", "book", { n: 1 })]
      yield* world.process().run(calls)
      const held = yield* Deferred.make<void>()
      const process = world.process({
        handlers: { book: () => Effect.zipRight(Deferred.succeed(held, undefined), Effect.never) }
      })
      yield* Effect.fork(process.run([call("c2", "book", { n: 3 })], { id: "another" }))
      yield* Deferred.await(held)
      assert.deepStrictEqual(told(yield* process.run(calls)), ["journal"])
    })
  )
})

describe("a retry that the journal stops", () => {
  class Pay extends Tool.Service<Pay>()("pay", {
    description: "Pays",
    input: Schema.Struct({}),
    output: Schema.Number,
    failure: Failed,
    classify: (failure: Failed) => Fault.transient(failure),
    effects: "write",
    policy: { retry: { times: 1, schedule: Schedule.recurs(9) }, circuitBreaker: { trip: { consecutive: 2 } } }
  }) {}

  it.scoped("is no second failure of what the tool depends on", () =>
    Effect.gen(function* () {
      let executions = 0
      const handler = () =>
        Effect.suspend(() =>
          ++executions === 1 ? Effect.fail(new Failed({ tookEffect: "no", transient: true })) : Effect.succeed(1)
        )
      /** The first intent is recorded, the next is not. */
      let intents = 0
      const plan: FaultyJournal.Plan = ({ method, records }) =>
        method === "append" && records.some((record) => record.includes('"_tag":"Started"')) && ++intents === 2
          ? "fail"
          : undefined
      const journal = Layer.provide(
        Journal.layer(),
        Layer.provide(FaultyJournal.layer(plan), Journal.layerStoreMemory())
      )
      const run = (id: string) => ToolRunner.run(Toolbox.make(Pay), [{ id: "c1", name: "pay", input: {} }], { id })
      yield* Effect.gen(function* () {
        assert.deepStrictEqual(told(yield* run("one")), ["ToolFailure"])
        assert.deepStrictEqual(told(yield* run("two")), ["executed"])
      }).pipe(Effect.provide([Pay.layer(handler), ToolRunner.layer, journal]))
    })
  )
})
