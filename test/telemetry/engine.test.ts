import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as MetricState from "effect/MetricState"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Supervisor from "effect/Supervisor"
import * as TestClock from "effect/TestClock"
import {
  Agent,
  BatchEvents,
  CircuitBreaker,
  Journal,
  Telemetry,
  Tool,
  Toolbox,
  type ToolCall,
  ToolRunner
} from "../../src/index.ts"
import { ScriptedModel } from "../../src/testing/index.ts"
import { call, calls, down, type Handler, make, type Setup, within } from "../policies/world.ts"
import { flaky, slow, soon } from "./handlers.ts"
import { listening } from "./listening.ts"
import { tracing } from "./tracing.ts"

const waits = (lines: ReadonlyArray<string>) => lines.filter((told) => told.includes("waits"))

const play = (handler: Handler, setup: Setup, calls: ReadonlyArray<ToolCall.ToolCall>) =>
  Effect.gen(function* () {
    const { layer, toolbox } = make(handler, setup)
    const listener = listening()
    yield* ToolRunner.run(toolbox, calls).pipe(Effect.provide(Layer.merge(layer, listener.layer)), within("1 hour"))
    return listener.lines()
  })

const interrupt = (millis: number, handler: Handler, setup: Setup, calls: ReadonlyArray<ToolCall.ToolCall>) =>
  Effect.gen(function* () {
    const { layer, toolbox } = make(handler, setup)
    const listener = listening()
    const running = yield* Effect.fork(
      Effect.provide(ToolRunner.run(toolbox, calls), Layer.merge(layer, listener.layer))
    )
    yield* TestClock.adjust(millis)
    const stopping = yield* Effect.fork(Fiber.interrupt(running))
    yield* TestClock.adjust("1 hour")
    yield* Fiber.join(stopping)
    return listener.lines()
  })

describe("what a call waits for is told", () => {
  it.effect("where it names a call that comes after it", () =>
    Effect.gen(function* () {
      const all = [call("a", { dependsOn: ["b"] }), call("b", { n: 1 })]
      assert.deepStrictEqual(waits(yield* play(slow(10), {}, all)), ["0 a waits for dependency 1"])
    })
  )

  it.effect("once where it names a call twice", () =>
    Effect.gen(function* () {
      const all = [call("a"), call("b", { n: 1, dependsOn: ["a", "a"] })]
      assert.deepStrictEqual(waits(yield* play(slow(10), {}, all)), ["0 b waits for dependency 0"])
    })
  )

  it.effect("when the call it names has come, in a turn that is still streaming", () =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(slow(10))
      const { layer: listener, lines } = listening()
      yield* Effect.gen(function* () {
        const batch = yield* ToolRunner.open(toolbox)
        yield* batch.submit(call("early", { dependsOn: ["late"] }))
        yield* TestClock.adjust("5 millis")
        yield* batch.submit(call("late", { n: 1 }))
        yield* batch.submit(call("held", { n: 2, dependsOn: ["late"] }), { hold: true })
        yield* TestClock.adjust("5 millis")
        yield* batch.seal
        yield* TestClock.adjust("1 second")
        yield* batch.await
      }).pipe(Effect.scoped, Effect.provide(Layer.merge(layer, listener)))
      assert.deepStrictEqual(waits(lines()), [
        "0 early waits for Turn",
        "5 early waits for dependency 1",
        "5 held waits for dependency 1",
        "5 held waits for Turn",
        // The turn is complete, but the other call is not.
        "10 held waits for dependency 1"
      ])
    })
  )

  it.effect("but not the end of the turn, where all of it is there", () =>
    Effect.gen(function* () {
      const options = { description: "", input: Schema.Struct({}), output: Schema.Void, effects: "write" } as const
      class First extends Tool.Service<First>()("first", options) {}
      class Then extends Tool.Service<Then>()("then", { ...options, after: [First] }) {}
      const { layer, lines } = listening()
      const both = [
        { id: "then", name: "then", input: {} },
        { id: "first", name: "first", input: {} }
      ]
      yield* ToolRunner.run(Toolbox.make(First, Then), both).pipe(
        Effect.provide(
          Layer.mergeAll(
            First.layer(() => Effect.sleep("5 millis")),
            Then.layer(() => Effect.void)
          )
        ),
        Effect.provide(Layer.merge(layer, ToolRunner.layer)),
        within("1 second")
      )
      assert.deepStrictEqual(waits(lines()), ["0 then waits for dependency 1"])
    })
  )
})

describe("the last that is heard of a call is its result", () => {
  const hedge = { hedge: { delay: "50 millis" } } as const

  it.effect("after a hedge was faster", () =>
    Effect.gen(function* () {
      const handler: Handler = (_, { attempt }) => slow(attempt === 1 ? 1000 : 10)({}, {} as never)
      assert.deepStrictEqual(yield* play(handler, { policy: hedge }, [call("a")]), [
        "0 a submitted",
        "0 a 1 started",
        "50 a 2 started as a hedge",
        "60 a 2 succeeded",
        "60 a 1 abandoned",
        "60 a finished: hedge"
      ])
    })
  )

  it.effect("after an interruption in its second attempt", () =>
    Effect.gen(function* () {
      const lines = yield* interrupt(50, flaky(1000), { policy: { retry: soon } }, [call("a")])
      assert.deepStrictEqual(lines.slice(-2), ["50 a 2 abandoned", "50 a finished: OutcomeUnknown"])
    })
  )

  it.effect("after an interruption of both of its executions", () =>
    Effect.gen(function* () {
      const lines = yield* interrupt(100, slow(1000), { policy: hedge }, [call("a")])
      assert.sameMembers(lines.slice(-3, -1), ["100 a 1 abandoned", "100 a 2 abandoned"])
      assert.strictEqual(lines.at(-1), "100 a finished: OutcomeUnknown")
    })
  )

  it.effect("once, also where the batch is interrupted while that is told", () =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(() => Effect.succeed("done"))
      const { lines, service } = listening()
      const publish = (event: BatchEvents.BatchEvent) =>
        Effect.zipRight(service.publish(event), event._tag === "Finished" ? Effect.sleep("1 second") : Effect.void)
      const running = yield* ToolRunner.run(toolbox, [call("a")]).pipe(
        Effect.provide(layer),
        Effect.provideService(BatchEvents.BatchEvents, { publish, stream: Stream.empty }),
        Effect.fork
      )
      yield* TestClock.adjust("10 millis")
      const stopping = yield* Effect.fork(Fiber.interrupt(running))
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(stopping)
      assert.lengthOf(
        lines().filter((told) => told.includes("finished")),
        1
      )
    })
  )
})

describe("where nobody listens", () => {
  class Counting extends Supervisor.AbstractSupervisor<void> {
    started = 0
    override get value() {
      return Effect.void
    }
    override onStart() {
      this.started++
    }
  }

  it.effect("a batch takes no fiber more for its events", () =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(() => Effect.succeed("done"))
      const all = [...calls(10), call("last", { n: 99, dependsOn: ["c1"] }), call("wrong", { name: "nowhere" })]
      const fibers = Effect.gen(function* () {
        const counting = new Counting()
        yield* Effect.supervised(ToolRunner.run(toolbox, all, { concurrency: 3 }), counting)
        return counting.started
      })
      const [without, within] = yield* Effect.all([fibers, Effect.provide(fibers, BatchEvents.layer)]).pipe(
        Effect.provide(layer)
      )
      assert.strictEqual(within, without)
    })
  )

  it.effect("any more, since the events are over, calls go on", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const events = Context.get(yield* Layer.buildWithScope(BatchEvents.layer, scope), BatchEvents.BatchEvents)
      const { layer, toolbox } = make(() => Effect.succeed("done"))
      const run = ToolRunner.run(toolbox, [call("a")]).pipe(
        Effect.provide(layer),
        Effect.provideService(BatchEvents.BatchEvents, events)
      )
      // It is busy with what it has heard, and not waiting for more.
      const busy = yield* Effect.fork(Stream.runForEach(events.stream, () => Effect.never))
      yield* Effect.repeatN(Effect.yieldNow(), 10)
      yield* run
      yield* Effect.repeatN(Effect.yieldNow(), 10)
      yield* Scope.close(scope, Exit.void)
      const batch = yield* run
      yield* Fiber.interrupt(busy)
      assert.lengthOf(batch.succeeded, 1)
    })
  )
})

describe("the span", () => {
  it.effect("of an attempt says that its time was up", () =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(slow(1000), { policy: { timeout: "50 millis", retry: { ...soon, times: 1 } } })
      const { all, layer: tracer } = tracing()
      yield* ToolRunner.run(toolbox, [call("a")]).pipe(Effect.provide(Layer.merge(layer, tracer)), within("1 hour"))
      assert.deepStrictEqual(
        all("attempt").map(({ ends, said, time }) => [said["error.type"], time, ends]),
        [
          ["Timeout", [0, 50], 1],
          ["Timeout", [60, 110], 1]
        ]
      )
    })
  )

  it.effect("of an attempt ends with its time, however long its handler goes on", () =>
    Effect.gen(function* () {
      const deaf: Handler = () => Effect.uninterruptible(Effect.as(Effect.sleep("1 minute"), "late"))
      const { layer, toolbox } = make(deaf, { policy: { timeout: "50 millis" } })
      const { layer: tracer, only } = tracing()
      yield* ToolRunner.run(toolbox, [call("a")]).pipe(Effect.provide(Layer.merge(layer, tracer)), within("1 hour"))
      assert.deepStrictEqual([only("attempt").time, only("attempt").ends], [[0, 50], 1])
    })
  )

  it.effect("of an attempt names the tool that is asked instead", () =>
    Effect.gen(function* () {
      class Instead extends Tool.Service<Instead>()("instead", {
        description: "Answers instead",
        input: Schema.Struct({}),
        output: Schema.String,
        effects: "read"
      }) {}
      const { layer, toolbox } = make<Instead>(() => down(), { policy: { fallback: { tool: Instead } } })
      const { all, layer: tracer } = tracing()
      yield* ToolRunner.run(toolbox, [call("a")]).pipe(
        Effect.provide(
          Layer.mergeAll(
            layer,
            tracer,
            Instead.layer(() => Effect.succeed("instead"))
          )
        )
      )
      assert.deepStrictEqual(
        all("attempt").map(({ said }) => said["gen_ai.tool.name"]),
        ["ask", "instead"]
      )
    })
  )

  const options = { description: "", input: Schema.Struct({ n: Schema.Number }), effects: "read" } as const
  class Next extends Tool.Service<Next>()("next", { ...options, output: Schema.Number }) {}
  class Last extends Tool.Service<Last>()("last", { ...options, output: Schema.Number, after: [Next] }) {}
  const both = Layer.merge(
    Next.layer(({ n }) => Effect.succeed(n + 1)),
    Last.layer(({ n }) => Effect.succeed(n))
  )
  const referring = [
    { id: "a", name: "next", input: { n: 1 } },
    { id: "b", name: "next", input: { n: { $ref: "#1" } } },
    { id: "c", name: "last", input: { n: 0 } }
  ]

  it.effect("of a call links to all it waited for, however they are named", () =>
    Effect.gen(function* () {
      const { layer: tracer, of } = tracing()
      yield* ToolRunner.run(Toolbox.withReferences(Toolbox.make(Next, Last)), referring).pipe(
        Effect.provide(Layer.mergeAll(both, ToolRunner.layer, tracer))
      )
      const linked = (id: string) => of(id)?.links.map(({ span }) => span.spanId)
      assert.deepStrictEqual([linked("b"), linked("c")], [[of("a")?.spanId], [of("a")?.spanId, of("b")?.spanId]])
    })
  )

  it.effect("of a call shows what its references pointed to", () =>
    Effect.gen(function* () {
      const { layer: tracer, of } = tracing()
      yield* ToolRunner.run(Toolbox.withReferences(Toolbox.make(Next, Last)), referring).pipe(
        Effect.provide(Layer.mergeAll(both, ToolRunner.layer, tracer, Telemetry.layerContents()))
      )
      assert.strictEqual(of("b")?.said["gen_ai.tool.call.arguments"], '{"n":2}')
    })
  )

  it.effect("of a call that was refused or skipped describes its tool, where there is one", () =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(() => down())
      const { layer: tracer, of } = tracing()
      yield* ToolRunner.run(toolbox, [call("a"), call("b", { dependsOn: ["a"] }), call("c", { name: "nowhere" })]).pipe(
        Effect.provide(Layer.merge(layer, tracer))
      )
      assert.deepStrictEqual(
        ["a", "b", "c"].map((id) => of(id)?.said["gen_ai.tool.description"]),
        ["Asks", "Asks", undefined]
      )
    })
  )

  it.effect("of an agent and of its requests name the conversation, where it has an id", () =>
    Effect.gen(function* () {
      const { layer: tracer, spans } = tracing()
      yield* Agent.run({ prompt: "Hello.", toolbox: Toolbox.make(), id: "c-17" }).pipe(
        Effect.provide(Layer.mergeAll(ScriptedModel.layerTurns({ text: "Hello." }), ToolRunner.layer, tracer)),
        Effect.provide(Journal.layerMemory())
      )
      assert.deepStrictEqual(
        spans.map(({ name, said }) => [name, said["gen_ai.conversation.id"]]),
        [
          ["invoke_agent", "c-17"],
          ["chat", "c-17"]
        ]
      )
    })
  )
})

describe("the metrics", () => {
  const counted = (name: string, labels: Readonly<Record<string, string>>) =>
    Effect.map(Metric.snapshot, (pairs) => {
      const found = pairs.find(
        ({ metricKey }) =>
          metricKey.name === name &&
          metricKey.tags.length === Object.keys(labels).length &&
          metricKey.tags.every(({ key, value }) => labels[key] === value)
      )?.metricState
      if (found === undefined) return 0
      return MetricState.isCounterState(found)
        ? Number(found.count)
        : MetricState.isGaugeState(found)
          ? Number(found.value)
          : 0
    })

  it.effect("name the tool of a call whose input is no JSON", () =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(slow(1))
      const count = counted("salvo_calls_total", { outcome: "MalformedInput", owner: "model", tool: "ask" })
      const before = yield* count
      yield* Effect.provide(ToolRunner.run(toolbox, [{ id: "a", name: "ask", input: "{" }]), layer)
      assert.strictEqual((yield* count) - before, 1)
    })
  )

  it.effect("count a failure that was an identical call's as coalesced", () =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(() => Effect.zipRight(Effect.sleep("10 millis"), down()))
      const before = yield* counted("salvo_coalesced_total", { tool: "ask" })
      yield* ToolRunner.run(toolbox, [call("a"), call("b"), call("c")]).pipe(Effect.provide(layer), within("1 second"))
      assert.strictEqual(yield* counted("salvo_coalesced_total", { tool: "ask" }), before + 2)
    })
  )

  it.effect("tell the state of a breaker once, whatever labels there are around the calls that change it", () =>
    Effect.gen(function* () {
      const policy = { trip: { consecutive: 1 }, openFor: "5 seconds" } as const
      const through = (effect: Effect.Effect<void, string>, tenant: string) =>
        Effect.exit(CircuitBreaker.execute(effect, { key: "tagged", policy })).pipe(Effect.tagMetrics({ tenant }))
      yield* Effect.gen(function* () {
        yield* through(Effect.fail("down"), "acme")
        yield* TestClock.adjust("5 seconds")
        yield* through(Effect.void, "globex")
      }).pipe(Effect.provide(CircuitBreaker.layerMemory))
      const states = (yield* Metric.snapshot).flatMap(({ metricKey, metricState }) =>
        metricKey.name === "salvo_circuit_breaker_state" && metricKey.tags.some(({ value }) => value === "tagged")
          ? [MetricState.isGaugeState(metricState) ? metricState.value : undefined]
          : []
      )
      assert.deepStrictEqual(states, [0])
    })
  )
})
