import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import {
  BatchEvents,
  CircuitBreaker,
  type Policy,
  Tool,
  type ToolCall,
  type ToolResult,
  ToolRunner
} from "../src/index.ts"
import { FaultyTool } from "../src/testing/index.ts"
import { call, calls, down, type Handler, type Input, isDone, make, type Setup, within } from "./policies/world.ts"
import { flaky, slow, soon } from "./telemetry/handlers.ts"
import { listening } from "./telemetry/listening.ts"

type Run = readonly [calls: ReadonlyArray<ToolCall.ToolCall>, options?: ToolRunner.RunOptions]

/** What is told of a batch that is run to its end. */
const play = (handler: Handler, setup: Setup, ...[calls, options]: Run) =>
  Effect.gen(function* () {
    const { layer, toolbox } = make(handler, setup)
    const listener = listening()
    yield* ToolRunner.run(toolbox, calls, options).pipe(
      Effect.provide(Layer.merge(layer, listener.layer)),
      within("1 hour")
    )
    return listener.lines()
  })

/** What is told of a batch that is interrupted after a while. */
const interrupt = (millis: number, handler: Handler, setup: Setup, ...[calls, options]: Run) =>
  Effect.gen(function* () {
    const { layer, toolbox } = make(handler, setup)
    const listener = listening()
    const running = yield* ToolRunner.run(toolbox, calls, options).pipe(
      Effect.provide(Layer.merge(layer, listener.layer)),
      Effect.fork
    )
    yield* TestClock.adjust(millis)
    const stopping = yield* Effect.fork(Fiber.interrupt(running))
    yield* TestClock.adjust("1 hour")
    yield* Fiber.join(stopping)
    return listener.lines()
  })

describe("the events of a call", () => {
  it.effect("tell its way from submission to its result", () =>
    Effect.gen(function* () {
      const handler: Handler = (_, { progress }) =>
        Effect.zipRight(Effect.sleep("40 millis"), progress("half")).pipe(
          Effect.zipRight(Effect.sleep("60 millis")),
          Effect.as("done")
        )
      assert.deepStrictEqual(yield* play(handler, {}, [call("a")]), [
        "0 a submitted",
        "0 a 1 started",
        "40 a 1 says half",
        "100 a 1 succeeded",
        "100 a finished: executed"
      ])
    })
  )

  it.effect("are dated by the clock that deadlines go by", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_750_000_000_000)
      assert.deepStrictEqual(yield* play(slow(5), { policy: { timeout: "3 millis" } }, [call("a")]), [
        "1750000000000 a submitted",
        "1750000000000 a 1 started",
        "1750000000003 a 1 failed: Timeout",
        "1750000000003 a finished: Timeout"
      ])
    })
  )

  it.effect("tell of a failure, of the wait after it and of the next attempt", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* play(flaky(5), { policy: { retry: soon } }, [call("a")]), [
        "0 a submitted",
        "0 a 1 started",
        "0 a 1 failed: ToolFailure",
        "0 a 2 in 10",
        "10 a 2 started",
        "15 a 2 succeeded",
        "15 a finished: executed"
      ])
    })
  )

  it.effect("end with the deadline of a handler that goes on for long", () =>
    Effect.gen(function* () {
      const policy = { timeout: "50 millis", retry: { ...soon, times: 1 } } as const
      const deaf: Handler = () => Effect.uninterruptible(Effect.as(Effect.sleep("10 seconds"), "late"))
      assert.deepStrictEqual(yield* play(deaf, { policy }, [call("a")]), [
        "0 a submitted",
        "0 a 1 started",
        "50 a 1 failed: Timeout",
        "50 a 2 in 10",
        "60 a 2 started",
        "110 a 2 failed: Timeout",
        "110 a finished: Timeout"
      ])
    })
  )

  it.effect("are two where nothing was run", () =>
    Effect.gen(function* () {
      const lines = yield* play(slow(1), {}, [
        call("unknown", { name: "nowhere" }),
        { id: "malformed", name: "ask", input: "{" },
        { id: "invalid", name: "ask", input: { n: "one" } },
        call("cyclic", { dependsOn: ["cyclic"] })
      ])
      for (const [id, error] of [
        ["unknown", "UnknownTool"],
        ["malformed", "MalformedInput"],
        ["invalid", "InvalidInput"],
        ["cyclic", "DependencyCycle"]
      ]) {
        const own = lines.filter((told) => told.startsWith(`0 ${id} `) && !told.includes("waits"))
        assert.deepStrictEqual(own, [`0 ${id} submitted`, `0 ${id} finished: ${error}`])
      }
    })
  )

  it.effect("are two where the answer is known: from the cache, or from before", () =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(slow(1), { policy: { cache: { ttl: "1 minute", capacity: 9 } } })
      const first = listening()
      const second = listening()
      const known: ToolResult.Success = {
        _tag: "Success",
        call: call("c"),
        output: 1,
        encoded: 1,
        attempts: 1,
        duration: Duration.zero,
        source: "executed"
      }
      yield* Effect.gen(function* () {
        yield* Effect.provide(ToolRunner.run(toolbox, [call("a")]), first.layer)
        const recall = ({ id }: ToolCall.ToolCall) => (id === "c" ? known : undefined)
        yield* Effect.provide(ToolRunner.run(toolbox, [call("b"), call("c", { n: 1 })], { recall }), second.layer)
      }).pipe(Effect.provide(layer), within("1 second"))
      assert.lengthOf(first.lines(), 4)
      assert.deepStrictEqual(second.of("b"), ["1 b submitted", "1 b finished: cache"])
      assert.deepStrictEqual(second.of("c"), ["1 c submitted", "1 c finished: journal"])
    })
  )

  it.effect("name the tool that answers instead", () =>
    Effect.gen(function* () {
      class Instead extends Tool.Service<Instead>()("instead", {
        description: "Answers instead",
        input: Schema.Struct({}),
        output: Schema.String,
        effects: "read"
      }) {}
      const { layer, toolbox } = make<Instead>(() => down(), { policy: { fallback: { tool: Instead } } })
      const { events, layer: listener } = listening()
      yield* ToolRunner.run(toolbox, [call("a")]).pipe(
        Effect.provide(
          Layer.mergeAll(
            layer,
            listener,
            Instead.layer(() => Effect.succeed("instead"))
          )
        )
      )
      const told = events.flatMap((event) =>
        event._tag === "CircuitChanged" ? [] : [[event.call.name, event._tag, event.index]]
      )
      assert.deepStrictEqual(told, [
        ["ask", "Submitted", 0],
        ["ask", "AttemptStarted", 0],
        ["ask", "AttemptFailed", 0],
        ["instead", "AttemptStarted", 0],
        ["instead", "AttemptSucceeded", 0],
        ["ask", "Finished", 0]
      ])
    })
  )
})

describe("what a call waits for is told", () => {
  it.effect("calls it needs: those that have not landed", () =>
    Effect.gen(function* () {
      const lines = yield* play(({ n = 0 }) => Effect.sleep(Duration.millis(n)), {}, [
        call("a", { n: 30 }),
        call("b", { n: 60 }),
        call("c", { n: 1, dependsOn: ["a", "b"] }),
        call("d", { n: 2, dependsOn: ["c"] })
      ])
      assert.deepStrictEqual(
        lines.filter((told) => told.includes(" c ")),
        [
          "0 c submitted",
          "0 c waits for dependency 0,1",
          "60 c 1 started",
          "61 c 1 succeeded",
          "61 c finished: executed"
        ]
      )
      assert.deepStrictEqual(
        lines.filter((told) => told.includes(" d ")),
        ["0 d submitted", "0 d waits for dependency 2", "61 d 1 started", "63 d 1 succeeded", "63 d finished: executed"]
      )
    })
  )

  it.effect("an identical call that runs already", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* play(slow(10), {}, [call("a"), call("b")]), [
        "0 a submitted",
        "0 b submitted",
        "0 a 1 started",
        "0 b waits for identical 0",
        "10 a 1 succeeded",
        "10 a finished: executed",
        "10 b finished: coalesced"
      ])
    })
  )

  it.effect("the call before it that uses the same resource", () =>
    Effect.gen(function* () {
      const setup = { effects: "write", resource: ({ key }: Input) => key } as const
      const lines = yield* play(slow(10), setup, [
        call("a", { key: "x" }),
        call("b", { key: "y" }),
        call("c", { key: "x" })
      ])
      assert.deepStrictEqual(
        lines.filter((told) => told.includes("waits")),
        ["0 c waits for resource 0"]
      )
      assert.include(lines, "10 c 1 started")
    })
  )

  it.effect("a call of another batch that uses the same resource", () =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(slow(10), { effects: "write", resource: () => "x" })
      const { layer: listener, of } = listening()
      const run = (id: string) => ToolRunner.run(toolbox, [call(id)])
      yield* Effect.all([run("a"), run("b")], { concurrency: "unbounded" }).pipe(
        Effect.provide(Layer.merge(layer, listener)),
        within("1 second")
      )
      assert.lengthOf(of("a"), 4)
      assert.deepStrictEqual(of("b"), [
        "0 b submitted",
        "0 b waits for Resource",
        "10 b 1 started",
        "20 b 1 succeeded",
        "20 b finished: executed"
      ])
    })
  )

  it.effect("the end of the turn, and then what it needs besides", () =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(slow(10))
      const { layer: listener, of } = listening()
      yield* Effect.gen(function* () {
        const batch = yield* ToolRunner.open(toolbox)
        yield* batch.submit(call("held"), { hold: true })
        yield* batch.submit(call("early", { dependsOn: ["late"] }))
        yield* TestClock.adjust("5 millis")
        yield* batch.submit(call("late", { n: 1 }))
        yield* TestClock.adjust("2 millis")
        yield* batch.seal
        yield* TestClock.adjust("1 second")
        yield* batch.await
      }).pipe(Effect.scoped, Effect.provide(Layer.merge(layer, listener)))
      assert.deepStrictEqual(of("held").slice(0, 3), ["0 held submitted", "0 held waits for Turn", "7 held 1 started"])
      assert.deepStrictEqual(of("early").slice(0, 2), ["0 early submitted", "0 early waits for Turn"])
      assert.include(of("early"), "15 early 1 started")
    })
  )

  it.effect("a place among those the batch runs at once", () =>
    Effect.gen(function* () {
      const lines = yield* play(slow(10), {}, calls(3), { concurrency: 1 })
      assert.deepStrictEqual(
        lines.filter((told) => told.includes("waits") || told.includes("started")),
        ["0 c1 1 started", "0 c2 waits for Batch", "0 c3 waits for Batch", "10 c2 1 started", "20 c3 1 started"]
      )
    })
  )

  it.effect("a slot of its bulkhead", () =>
    Effect.gen(function* () {
      const lines = yield* play(slow(10), { policy: { bulkhead: { limit: 1, queue: 1 } } }, calls(3))
      assert.deepStrictEqual(
        lines.filter((told) => !told.includes("submitted") && !told.includes("c1")),
        [
          "0 c2 waits for Bulkhead",
          "0 c3 finished: BulkheadFull",
          "10 c2 1 started",
          "20 c2 1 succeeded",
          "20 c2 finished: executed"
        ]
      )
    })
  )

  it.effect("its moment, and how long that takes", () =>
    Effect.gen(function* () {
      const lines = yield* play(slow(1), { policy: { rateLimit: { limit: 1, per: "1 second" } } }, calls(3))
      assert.deepStrictEqual(
        lines.filter((told) => told.includes("waits") || told.includes("started")),
        [
          "0 c1 1 started",
          "0 c2 waits for RateLimit 1000",
          "0 c3 waits for RateLimit 2000",
          "1000 c2 1 started",
          "2000 c3 1 started"
        ]
      )
    })
  )

  const rejected: Policy.RetryPolicy = { ...soon, times: 3, rejected: true }

  it.effect("its moment also where it was turned away and asks again: that is no retry", () =>
    Effect.gen(function* () {
      const rateLimit = { limit: 1, per: "1 second", onLimit: "fail" } as const
      const lines = yield* play(slow(1), { policy: { retry: rejected, rateLimit } }, calls(2))
      assert.deepStrictEqual(
        lines.filter((told) => told.includes("c2")),
        [
          "0 c2 submitted",
          "0 c2 waits for RateLimit 1000",
          "1000 c2 1 started",
          "1001 c2 1 succeeded",
          "1001 c2 finished: executed"
        ]
      )
    })
  )

  it.effect("the next moment that an open circuit lets something through", () =>
    Effect.gen(function* () {
      const circuitBreaker = { trip: { consecutive: 1 }, openFor: "5 seconds" } as const
      assert.deepStrictEqual(yield* play(flaky(1), { policy: { retry: rejected, circuitBreaker } }, [call("a")]), [
        "0 a submitted",
        "0 a 1 started",
        "0 circuit ask Closed > Open",
        "0 a 1 failed: ToolFailure",
        "0 a 2 in 10",
        "10 a waits for CircuitBreaker 4990",
        "5000 circuit ask Open > HalfOpen",
        "5000 a 2 started",
        "5001 circuit ask HalfOpen > Closed",
        "5001 a 2 succeeded",
        "5001 a finished: executed"
      ])
    })
  )
})

describe("every call finishes once", () => {
  it.effect("where the batch is interrupted: before, while and after it ran", () =>
    Effect.gen(function* () {
      const handler: Handler = ({ n = 0 }) => Effect.sleep(Duration.millis(n))
      const lines = yield* interrupt(
        50,
        handler,
        {},
        [call("done", { n: 10 }), call("running", { n: 100 }), call("needs", { dependsOn: ["running"] }), ...calls(1)],
        { concurrency: 2, maxExecutions: 2 }
      )
      assert.deepStrictEqual(
        lines.filter((told) => told.includes("finished") || told.includes("abandoned")),
        [
          "10 done finished: executed",
          "10 c1 finished: BudgetExhausted",
          "50 running 1 abandoned",
          "50 running finished: OutcomeUnknown",
          "50 needs finished: NotStarted"
        ]
      )
    })
  )

  for (const [name, handler] of [
    ["ignore the interruption", FaultyTool.deaf],
    ["take a while to clean up", () => Effect.onInterrupt(Effect.never, () => Effect.sleep("500 millis"))]
  ] satisfies ReadonlyArray<[string, Handler]>) {
    it.effect(`where handlers ${name}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* interrupt(50, handler, {}, [call("a")]), [
          "0 a submitted",
          "0 a 1 started",
          "50 a 1 abandoned",
          "50 a finished: OutcomeUnknown"
        ])
      })
    )
  }

  it.effect("where it is interrupted in the wait before a retry", () =>
    Effect.gen(function* () {
      const setup = { policy: { retry: { ...soon, base: "1 second" } } } as const
      assert.deepStrictEqual(yield* interrupt(50, () => down(), setup, [call("a")]), [
        "0 a submitted",
        "0 a 1 started",
        "0 a 1 failed: ToolFailure",
        "0 a 2 in 1000",
        "50 a finished: ToolFailure"
      ])
    })
  )

  it.effect("at the deadline of the batch", () =>
    Effect.gen(function* () {
      const lines = yield* play(slow(1000), {}, calls(2), { timeout: "50 millis", concurrency: 1 })
      assert.deepStrictEqual(
        lines.filter((told) => told.startsWith("50")),
        ["50 c1 1 failed: Timeout", "50 c1 finished: Timeout", "50 c2 finished: NotStarted"]
      )
    })
  )

  it.effect("whatever becomes of them, and it is the last that is heard of them", () =>
    Effect.gen(function* () {
      const setup = { policy: { retry: soon, bulkhead: 3, timeout: "30 millis" } } as const
      const handler: Handler = ({ n = 0 }, { attempt }) =>
        n % 3 === 1 && attempt < 3 ? down() : Effect.sleep(Duration.millis(n % 3 === 0 ? n : 40 - n))
      const many = Array.from({ length: 24 }, (_, n) =>
        call(`c${n}`, n % 4 === 3 ? { n, dependsOn: [`c${n - 1}`] } : { n })
      )
      const lines = yield* play(handler, setup, many)
      for (const { id } of many) {
        const own = lines.filter((told) => told.includes(` ${id} `))
        assert.strictEqual(
          own.findIndex((told) => told.includes("submitted")),
          0
        )
        assert.strictEqual(
          own.findIndex((told) => told.includes("finished")),
          own.length - 1
        )
        const times = own.map((told) => Number.parseInt(told, 10))
        assert.deepStrictEqual(
          times,
          times.toSorted((a, b) => a - b)
        )
      }
    })
  )
})

describe("a change of a circuit", () => {
  const policy = { trip: { consecutive: 1 }, openFor: "5 seconds" } as const
  const opened = "0 circuit payments Closed > Open"

  const fail = Effect.exit(CircuitBreaker.execute(Effect.fail("down"), { key: "payments", policy }))

  it.effect("is told to whoever causes it", () =>
    Effect.gen(function* () {
      const [other, own] = [listening(), listening()]
      yield* Effect.gen(function* () {
        yield* Effect.provide(Effect.void, other.layer)
        yield* Effect.provide(fail, own.layer)
      }).pipe(Effect.provide(CircuitBreaker.layerMemory))
      assert.deepStrictEqual(own.lines(), [opened])
      assert.deepStrictEqual(other.lines(), [])
    })
  )

  it.effect("is told where the breakers were made, whoever causes it", () =>
    Effect.gen(function* () {
      const listener = listening()
      yield* Effect.gen(function* () {
        yield* fail
        yield* TestClock.adjust("5 seconds")
        const breaker = yield* Effect.flatMap(CircuitBreaker.CircuitBreaker, ({ get }) => get("payments"))
        yield* Effect.scoped(breaker.isolate)
      }).pipe(Effect.provide(Layer.provide(CircuitBreaker.layerMemory, listener.layer)))
      assert.deepStrictEqual(listener.lines(), [
        opened,
        "5000 circuit payments Open > Isolated",
        "5000 circuit payments Isolated > Closed"
      ])
      const [first] = listener.events
      assert(first?._tag === "CircuitChanged")
      assert.deepInclude(first, { reason: "consecutive", lastFailure: "Error: down" })
    })
  )

  it.effect("is told once where both are the same, and once to each where they are not", () =>
    Effect.gen(function* () {
      const [both, around, within] = [listening(), listening(), listening()]
      yield* fail.pipe(Effect.provide(CircuitBreaker.layerMemory.pipe(Layer.provideMerge(both.layer))))
      assert.deepStrictEqual(both.lines(), [opened])
      yield* fail.pipe(
        Effect.provide(within.layer),
        Effect.provide(Layer.provide(CircuitBreaker.layerMemory, around.layer))
      )
      assert.deepStrictEqual([around.lines(), within.lines()], [[opened], [opened]])
    })
  )

  it.effect("is told in a batch, among what its calls tell, once for all of them", () =>
    Effect.gen(function* () {
      const setup = { policy: { circuitBreaker: { name: "payments", ...policy } } } as const
      const lines = yield* play(() => Effect.zipRight(Effect.sleep("10 millis"), down()), setup, calls(3))
      assert.deepStrictEqual(
        lines.filter((told) => told.includes("circuit")),
        ["10 circuit payments Closed > Open"]
      )
      assert.isBelow(
        lines.findIndex((told) => told.includes("circuit")),
        lines.findIndex((told) => told.includes("finished"))
      )
    })
  )
})

describe("BatchEvents.layer", () => {
  const built = Effect.gen(function* () {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(BatchEvents.layer, scope)
    return { events: Context.get(context, BatchEvents.BatchEvents), scope }
  })

  /** Subscribes, and handles events as `handle` says. */
  const listen = (
    events: BatchEvents.BatchEvents["Type"],
    handle: (event: BatchEvents.BatchEvent) => Effect.Effect<void>
  ) =>
    Effect.zipLeft(
      Effect.fork(Stream.runForEach(events.stream, handle)),
      // It subscribes in its first turn.
      Effect.repeatN(Effect.yieldNow(), 10)
    )

  it.effect("loses the oldest events of a listener that is too slow, and calls never wait for it", () =>
    Effect.gen(function* () {
      const kept = 65_536
      const { events, scope } = yield* built
      const { layer, toolbox } = make(() => Effect.succeed("done"))
      const gate = yield* Effect.makeLatch(false)
      const heard: Array<BatchEvents.BatchEvent> = []
      const slowly = yield* listen(events, (event) => gate.whenOpen(Effect.sync(() => void heard.push(event))))
      const prompt: Array<BatchEvents.BatchEvent> = []
      const quickly = yield* listen(events, (event) => Effect.sync(() => void prompt.push(event)))
      const earlier = (at: number) =>
        ({ _tag: "Submitted", at, batchId: "b", index: at, call: call("earlier") }) as const
      yield* events.publish(earlier(0))
      // Now it has that one in hand, and is far behind soon.
      yield* Effect.repeatN(Effect.yieldNow(), 10)
      yield* Effect.forEach(
        Array.from({ length: kept }, (_, n) => earlier(n + 1)),
        events.publish,
        { discard: true }
      )
      const batch = yield* ToolRunner.run(toolbox, calls(100)).pipe(
        Effect.provide(layer),
        Effect.provideService(BatchEvents.BatchEvents, events)
      )
      assert.lengthOf(batch.succeeded, 100)
      yield* gate.open
      yield* TestClock.adjust("1 second")
      yield* Effect.iterate(0, {
        while: (turns) => turns < 10_000 && heard.at(-1)?._tag !== "Finished",
        body: (turns) => Effect.as(Effect.yieldNow(), turns + 1)
      })
      assert.lengthOf(heard, 1 + kept)
      assert.deepStrictEqual(heard.slice(-400), prompt.slice(-400))
      // What it had in hand, and then the newest.
      assert.deepStrictEqual([heard[0]?.at, heard[1]?.at], [0, 401])
      yield* Fiber.interruptAll([slowly, quickly])
      yield* Scope.close(scope, Exit.void)
    })
  )

  it.effect("tells a listener what happens from its subscription on", () =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(slow(10))
      const { events, scope } = yield* built
      const running = yield* ToolRunner.run(toolbox, [call("a"), call("b", { n: 1, dependsOn: ["a"] })]).pipe(
        Effect.provide(layer),
        Effect.provideService(BatchEvents.BatchEvents, events),
        Effect.fork
      )
      yield* TestClock.adjust("15 millis")
      const late = listening()
      const listener = yield* listen(events, late.service.publish)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(running)
      assert.deepStrictEqual(late.lines(), ["20 b 1 succeeded", "20 b finished: executed"])
      yield* Scope.close(scope, Exit.void)
      yield* Effect.repeatN(Effect.yieldNow(), 10)
      yield* isDone(listener)
    })
  )
})
