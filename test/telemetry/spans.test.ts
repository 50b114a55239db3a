import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { Telemetry, Tool, Toolbox, type ToolCall, ToolRunner } from "../../src/index.ts"
import { FaultyTool } from "../../src/testing/index.ts"
import { call, calls, down, type Handler, make, type Setup, within } from "../policies/world.ts"
import { type Recorded, tracing } from "./tracing.ts"

const slow =
  (millis: number): Handler =>
  () =>
    Effect.as(Effect.sleep(Duration.millis(millis)), "done")

const soon = { base: "10 millis", jitter: "none", budget: false } as const

/** What is traced of a batch that is run to its end. */
const trace = (
  handler: Handler,
  setup: Setup,
  calls: ReadonlyArray<ToolCall.ToolCall>,
  contents: Layer.Layer<never> = Layer.empty
) =>
  Effect.gen(function* () {
    const { layer, toolbox } = make(handler, setup)
    const traced = tracing()
    const batch = yield* ToolRunner.run(toolbox, calls).pipe(
      Effect.provide(Layer.mergeAll(layer, contents, traced.layer)),
      within("1 hour")
    )
    assert.isTrue(
      traced.spans.every(({ ends }) => ends === 1),
      "Every span ends once"
    )
    return { ...traced, batch }
  })

/** Everything an exporter could read in these spans. */
const readable = (spans: ReadonlyArray<Recorded>): string =>
  spans.map(({ exit, name, said }) => JSON.stringify([name, said, exit])).join("\n")

describe("the span of a call", () => {
  it.effect("says which tool it is, and holds an attempt that holds what the handler traces", () =>
    Effect.gen(function* () {
      const handler: Handler = () => Effect.as(Effect.withSpan(Effect.sleep("100 millis"), "query"), "done")
      const { only, tree } = yield* trace(handler, {}, [call("toolu_1")])
      assert.deepStrictEqual(tree(), [" > execute_tool ask", "execute_tool ask > attempt", "attempt > query"])
      const span = only("execute_tool ask")
      assert.strictEqual(span.kind, "internal")
      assert.deepStrictEqual(span.said, {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "ask",
        "gen_ai.tool.call.id": "toolu_1",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": "Asks",
        "salvo.tool.effects": "read",
        "salvo.attempts": 1,
        "salvo.source": "executed"
      })
      assert.deepInclude(only("attempt").said, { "salvo.attempt": 1, "salvo.source": "executed" })
      assert.deepStrictEqual(
        [span.time, only("attempt").time],
        [
          [0, 100],
          [0, 100]
        ]
      )
    })
  )

  it.effect("begins when the call is ready, and the attempt when its time has come", () =>
    Effect.gen(function* () {
      const { all, of } = yield* trace(slow(10), { policy: { bulkhead: 1 } }, [
        ...calls(2),
        call("last", { n: 3, dependsOn: ["c1"] })
      ])
      assert.deepStrictEqual(
        ["c1", "c2", "last"].map((id) => of(id)?.time),
        [
          [0, 10],
          [0, 20],
          [10, 30]
        ]
      )
      assert.deepStrictEqual(
        all("attempt").map(({ time }) => time),
        [
          [0, 10],
          [10, 20],
          [20, 30]
        ]
      )
    })
  )

  it.effect("has a child for each attempt: failed, repeated, hedged", () =>
    Effect.gen(function* () {
      const handler: Handler = (_, { attempt }) =>
        attempt === 1 ? down() : Effect.as(Effect.sleep(attempt === 2 ? "1 second" : "1 millis"), "done")
      const setup = { policy: { retry: soon, hedge: { delay: "50 millis" } } } as const
      const { all, only } = yield* trace(handler, setup, [call("a")])
      const [failed, slower, faster] = all("attempt").map(({ said }) => said)
      assert.deepInclude(failed, {
        "salvo.attempt": 1,
        "salvo.source": "executed",
        "error.type": "ToolFailure",
        "salvo.fault.owner": "tool",
        "salvo.failure": "Down"
      })
      assert.deepInclude(slower, { "salvo.attempt": 2, "salvo.source": "executed" })
      assert.deepInclude(faster, { "salvo.attempt": 3, "salvo.source": "hedge" })
      assert.notProperty(slower, "error.type")
      assert.notProperty(faster, "error.type")
      assert.deepStrictEqual(
        all("attempt").map(({ time }) => time),
        [
          [0, 0],
          [10, 61],
          [60, 61]
        ]
      )
      assert.deepInclude(only("execute_tool ask").said, { "salvo.attempts": 3, "salvo.source": "hedge" })
    })
  )

  it.effect("is below the span in which the batch was run, beside those of the other calls", () =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(({ n }) => Effect.as(Effect.withSpan(Effect.void, `query ${n}`), "done"))
      const { layer: tracer, spans } = tracing()
      yield* ToolRunner.run(toolbox, calls(3)).pipe(Effect.withSpan("mine"), Effect.provide(Layer.merge(layer, tracer)))
      const pathOf = (span: Recorded): string =>
        Option.match(span.parent, {
          onNone: () => span.name,
          onSome: (parent) => `${pathOf(parent as Recorded)}/${span.attributes.get("gen_ai.tool.call.id") ?? span.name}`
        })
      assert.deepStrictEqual(
        spans.filter(({ name }) => name.startsWith("query")).map(pathOf),
        [0, 1, 2].map((n) => `mine/c${n + 1}/attempt/query ${n}`)
      )
    })
  )

  it.effect("links to those of the calls it depends on", () =>
    Effect.gen(function* () {
      const { of } = yield* trace(slow(10), {}, [...calls(2), call("last", { n: 9, dependsOn: ["c1", "c2"] })])
      assert.deepStrictEqual(
        of("last")?.links.map(({ span }) => span.spanId),
        ["c1", "c2"].map((id) => of(id)?.spanId)
      )
      assert.deepStrictEqual(of("c1")?.links, [])
    })
  )

  it.effect("tells where an answer came from that no handler gave", () =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(slow(10), { policy: { cache: { ttl: "1 hour" } } })
      const { layer: tracer, of, spans } = tracing()
      yield* Effect.gen(function* () {
        yield* ToolRunner.run(toolbox, [call("first"), call("same")])
        yield* ToolRunner.run(toolbox, [call("cached")])
      }).pipe(Effect.provide(Layer.merge(layer, tracer)), within("1 second"))
      assert.deepStrictEqual(
        ["first", "same", "cached"].map((id) => [of(id)?.said["salvo.source"], of(id)?.said["salvo.attempts"]]),
        [
          ["executed", 1],
          ["coalesced", 0],
          ["cache", 0]
        ]
      )
      assert.lengthOf(spans, 4)
    })
  )
})

describe("a call that fails", () => {
  const fault = (error: string, owner: string) => ({ "error.type": error, "salvo.fault.owner": owner })

  const refused: ReadonlyArray<readonly [string, string, ToolCall.ToolCall]> = [
    ["MalformedInput", "model", { id: "a", name: "ask", input: "{" }],
    ["InvalidInput", "model", { id: "a", name: "ask", input: { n: "one" } }],
    ["DependencyCycle", "model", call("a", { dependsOn: ["a"] })],
    ["UnresolvedReference", "model", call("a", { dependsOn: ["nobody"] })]
  ]
  for (const [error, owner, refusal] of refused) {
    it.effect(`has a span without length where it was refused: ${error}`, () =>
      Effect.gen(function* () {
        const { only, spans } = yield* trace(slow(1), {}, [refusal])
        assert.lengthOf(spans, 1)
        const span = only("execute_tool ask")
        assert.deepInclude(span.said, { ...fault(error, owner), "salvo.attempts": 0, "gen_ai.tool.call.id": "a" })
        assert.deepStrictEqual(span.time, [0, 0])
        assert.include(span.exit, error)
      })
    )
  }

  it.effect("says whose fault it was where others pay for it", () =>
    Effect.gen(function* () {
      const policy = { circuitBreaker: { trip: { consecutive: 1 } }, bulkhead: 1 } as const
      const { of } = yield* trace(() => down(), { policy }, [
        call("failed"),
        call("turned_away", { n: 1 }),
        call("skipped", { n: 2, dependsOn: ["failed"] })
      ])
      assert.deepInclude(of("failed")?.said, { ...fault("ToolFailure", "tool"), "salvo.failure": "Down" })
      assert.deepInclude(of("turned_away")?.said, fault("CircuitOpen", "runner"))
      assert.deepInclude(of("skipped")?.said, fault("DependencyFailed", "dependency"))
    })
  )

  it.effect("is named after no name that the model made up", () =>
    Effect.gen(function* () {
      const { only, spans } = yield* trace(slow(1), {}, [call("a", { name: `delete_${"x".repeat(5000)}` })])
      assert.lengthOf(spans, 1)
      const { said } = only("execute_tool")
      assert.deepInclude(said, fault("UnknownTool", "model"))
      assert.match(String(said["gen_ai.tool.name"]), /^delete_x+…$/)
      assert.isBelow(String(said["gen_ai.tool.name"]).length, 200)
    })
  )

  it.effect("leads to the log of a crash", () =>
    Effect.gen(function* () {
      const logged: Array<unknown> = []
      const logger = Logger.make(
        ({ annotations }) => void logged.push(Option.getOrNull(HashMap.get(annotations, "correlationId")))
      )
      const { only } = yield* trace(FaultyTool.dying(new Error("postgres://app:hunter2@db")), {}, [call("a")]).pipe(
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
      const { said } = only("execute_tool ask")
      assert.deepInclude(said, fault("ToolDefect", "tool"))
      assert.isString(said["salvo.correlation_id"])
      assert.deepStrictEqual(logged, [said["salvo.correlation_id"]])
      assert.strictEqual(only("attempt").said["salvo.correlation_id"], said["salvo.correlation_id"])
    })
  )

  it.effect("tells nothing of what went wrong but its name", () =>
    Effect.gen(function* () {
      const private_ = "the balance of Ada is 17"
      for (const handler of [
        () => down(private_),
        FaultyTool.dying(new Error(private_)),
        () => Effect.fail(Object.assign(new Error(private_), { _tag: private_.length }) as never),
        () => Effect.succeed(Symbol.for(private_))
      ] satisfies ReadonlyArray<Handler>) {
        const { spans } = yield* trace(handler, { policy: { retry: { ...soon, times: 1 } } }, [call("a")])
        assert.isAbove(spans.length, 1)
        assert.notInclude(readable(spans), "Ada")
      }
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger)))
  )

  it.effect("ends once where its batch is interrupted, as does what ran for it", () =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(slow(1000))
      const { layer: tracer, of, only, spans } = tracing()
      const running = yield* ToolRunner.run(toolbox, [call("runs"), call("waits", { n: 1, dependsOn: ["runs"] })]).pipe(
        Effect.provide(Layer.merge(layer, tracer)),
        Effect.fork
      )
      yield* TestClock.adjust("50 millis")
      yield* Fiber.interrupt(running)
      yield* TestClock.adjust("1 hour")
      assert.deepInclude(of("runs")?.said, fault("OutcomeUnknown", "run"))
      assert.deepStrictEqual(of("runs")?.time, [0, 50])
      assert.isTrue(spans.every(({ ends }) => ends === 1))
      assert.strictEqual(only("attempt").time[1], 50)
    })
  )
})

describe("where no tracer listens", () => {
  const seen =
    (handler: (name: string | undefined) => void): Handler =>
    () =>
      Effect.map(Effect.option(Effect.currentSpan), (span) => handler(Option.getOrUndefined(span)?.name))

  it.effect("there are no spans", () =>
    Effect.gen(function* () {
      const names: Array<string | undefined> = []
      const { layer, toolbox } = make(seen((name) => names.push(name)))
      const run = Effect.provide(ToolRunner.run(toolbox, [call("a")]), layer)
      yield* run
      yield* Effect.withSpan(run, "mine")
      assert.deepStrictEqual(names, [undefined, "mine"])
    })
  )

  it.effect("there are none either where tracing is turned off", () =>
    Effect.gen(function* () {
      const { layer, toolbox } = make(slow(0))
      const { layer: tracer, spans } = tracing()
      yield* ToolRunner.run(toolbox, [call("a"), call("b", { name: "nowhere" })]).pipe(
        Effect.withTracerEnabled(false),
        Effect.provide(Layer.merge(layer, tracer)),
        within("1 second")
      )
      assert.deepStrictEqual(spans, [])
    })
  )
})

describe("inputs and outputs", () => {
  const args = "gen_ai.tool.call.arguments"
  const result = "gen_ai.tool.call.result"
  const Any = Schema.Struct({}, Schema.Record({ key: Schema.String, value: Schema.Unknown }))

  class Echo extends Tool.Service<Echo>()("echo", {
    description: "Answers with its input",
    input: Any,
    output: Schema.Unknown,
    effects: "read"
  }) {}

  /** The arguments and result in the span of a call to `Echo`. */
  const echoed = (input: unknown, contents: Layer.Layer<never>) =>
    Effect.gen(function* () {
      const { layer: tracer, of } = tracing()
      const batch = yield* ToolRunner.run(Toolbox.make(Echo), [{ id: "a", name: "echo", input }]).pipe(
        Effect.provide(Layer.mergeAll(Echo.layer(Effect.succeed), ToolRunner.layer, tracer, contents))
      )
      const { [args]: given, [result]: answered } = of("a")?.said ?? {}
      return { batch, given, answered }
    })

  it.effect("are in no span that nobody asked for them", () =>
    Effect.gen(function* () {
      const { spans } = yield* trace(() => Effect.succeed("a private answer"), {}, [
        call("a", { key: "a private key" })
      ])
      assert.notInclude(readable(spans), "private")
      assert.deepStrictEqual(
        yield* Effect.map(echoed({ a: 1 }, Layer.empty), ({ answered, given }) => [given, answered]),
        [undefined, undefined]
      )
    })
  )

  it.effect("are JSON where they are asked for, together or one of them", () =>
    Effect.gen(function* () {
      const input = { city: "Oslo", days: [1, 2] }
      const json = '{"city":"Oslo","days":[1,2]}'
      for (const [contents, given, answered] of [
        [{}, json, json],
        [{ outputs: false }, json, undefined],
        [{ inputs: false }, undefined, json]
      ] as const) {
        assert.deepInclude(yield* echoed(input, Telemetry.layerContents(contents)), { given, answered })
      }
    })
  )

  it.effect("are cut at their length", () =>
    Effect.gen(function* () {
      const long = { text: "x".repeat(100_000) }
      const { answered, given } = yield* echoed(long, Telemetry.layerContents())
      assert.strictEqual(given, `{"text":"${"x".repeat(4096 - 9)}…`)
      assert.strictEqual(answered, given)
      const cut = yield* echoed(long, Telemetry.layerContents({ maxLength: 20 }))
      assert.strictEqual(cut.given, '{"text":"xxxxxxxxxxx…')
    })
  )

  const secrets: ReadonlyArray<readonly [string, unknown]> = [
    ["a name", { password: "hunter2" }],
    ["a name, deep inside", { user: [{ apiKey: { value: "hunter2", kind: "x" } }] }],
    ["a header", { headers: { Cookie: "hunter2", Authorization: "hunter2" } }],
    ["a URL", { url: "postgres://app:hunter2@db/orders" }],
    ["a JSON text in the JSON", { body: JSON.stringify({ client_secret: "hunter2" }) }],
    ["a token", { text: "use sk-ant-hunter2hunter2hunter2" }]
  ]
  for (const [name, input] of secrets) {
    it.effect(`hide what looks like a secret: ${name}`, () =>
      Effect.gen(function* () {
        const { answered, given } = yield* echoed(input, Telemetry.layerContents())
        assert.include(given, "[hidden]")
        assert.notInclude(`${given} ${answered}`, "hunter2")
      })
    )
  }

  it.effect("hide a secret that the cut goes through", () =>
    Effect.gen(function* () {
      const input = { url: "postgres://app:hunter2hunter2@db/orders" }
      for (let maxLength = 10; maxLength < 60; maxLength++) {
        const { given } = yield* echoed(input, Telemetry.layerContents({ maxLength }))
        assert.notInclude(given, "hunt", `cut after ${maxLength}`)
      }
    })
  )

  it.effect("change nothing where they cannot be written as JSON", () =>
    Effect.gen(function* () {
      const cyclic: Record<string, unknown> = { n: 1n }
      cyclic["self"] = cyclic
      const { batch: expected } = yield* echoed(cyclic, Layer.empty)
      const { batch, given } = yield* echoed(cyclic, Telemetry.layerContents())
      assert.deepStrictEqual(
        batch.results.map(({ _tag, attempts }) => [_tag, attempts]),
        expected.results.map(({ _tag, attempts }) => [_tag, attempts])
      )
      assert.strictEqual(given, "(not JSON)")
    })
  )

  it.effect("show what a model wrote that is no JSON", () =>
    Effect.gen(function* () {
      const { given } = yield* echoed('{"city": "Os', Telemetry.layerContents())
      assert.strictEqual(given, '{"city": "Os')
    })
  )
})
