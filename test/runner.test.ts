import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { type BatchResult, Fault, Report, Tool, Toolbox, ToolRunner } from "../src/index.ts"

class Down extends Schema.TaggedError<Down>()("Down", { why: Schema.String }) {}

class Good extends Tool.Service<Good>()("good", {
  description: "Answers",
  input: Schema.Struct({ n: Schema.Number }),
  output: Schema.Struct({ twice: Schema.Number }),
  effects: "read"
}) {}

const noJitter = { base: "100 millis", jitter: "none" } as const

class Read extends Tool.Service<Read>()("read", {
  description: "Reads",
  input: Schema.Struct({}),
  output: Schema.Unknown,
  failure: Down,
  effects: "read",
  policy: { timeout: { attempt: "1 second", total: "10 seconds" }, retry: noJitter }
}) {}

class Write extends Tool.Service<Write>()("write", {
  description: "Writes",
  input: Schema.Struct({}),
  output: Schema.Unknown,
  failure: Down,
  effects: "write",
  policy: { timeout: { attempt: "1 second", total: "10 seconds" }, retry: noJitter },
  classify: (failure) =>
    failure.why === "not sent" ? Fault.transient({ tookEffect: "no" }) : Fault.transient({ tookEffect: "maybe" })
}) {}

const toolbox = Toolbox.make(Good, Read, Write)

const good = Good.layer(({ n }) => Effect.succeed({ twice: n * 2 }))
type ReadHandler = Parameters<typeof Read.layer<never>>[0]

const layers = (read: ReadHandler, write: ReadHandler = read) =>
  Layer.mergeAll(good, Read.layer(read), Write.layer(write), ToolRunner.layer)

const call = (name: string, input: unknown = {}, id = `toolu_${name}`) => ({ id, name, input })

const outcome = (batch: BatchResult.BatchResult) =>
  batch.results.map((result) => (result._tag === "Success" ? result.source : result.error._tag))

describe("one bad call beside four good ones", () => {
  const cyclic: Record<string, unknown> = {}
  cyclic["self"] = cyclic
  const cases: Array<[string, ReadHandler, string]> = [
    ["typed failure", () => Effect.fail(new Down({ why: "dns" })), "ToolFailure"],
    ["defect", () => Effect.die(new Error("boom")), "ToolDefect"],
    ["non-Error defect", () => Effect.die({ odd: true }), "ToolDefect"],
    [
      "synchronous throw",
      () => {
        throw new Error("before the first await")
      },
      "ToolDefect"
    ],
    ["rejected Promise", () => Effect.promise(() => Promise.reject(new Error("no"))), "ToolDefect"],
    ["a Promise instead of an Effect", () => Promise.resolve(1) as never, "ToolDefect"],
    ["undefined instead of an Effect", () => undefined as never, "ToolDefect"],
    ["self-interruption", () => Effect.interrupt, "ToolDefect"],
    ["hang", () => Effect.never, "Timeout"],
    ["hang that ignores interruption", () => Effect.uninterruptible(Effect.never), "Timeout"],
    ["BigInt", () => Effect.succeed({ n: 1n }), "InvalidOutput"],
    ["cycle", () => Effect.succeed(cyclic), "InvalidOutput"],
    ["function", () => Effect.succeed(() => 1), "InvalidOutput"],
    [
      "getter that throws",
      () =>
        Effect.succeed({
          get x() {
            throw new Error("hostile")
          }
        }),
      "InvalidOutput"
    ],
    ["undefined", () => Effect.succeed(undefined), "executed"],
    ["lone surrogate", () => Effect.succeed("\uD800 alone"), "executed"],
    ["50 MB of text", () => Effect.succeed("x".repeat(50_000_000)), "executed"]
  ]
  for (const [name, handler, expected] of cases) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.fork(
          ToolRunner.run(toolbox, [
            call("good", { n: 1 }, "a"),
            call("good", { n: 2 }, "b"),
            call("read", {}, "c"),
            call("good", { n: 3 }, "d"),
            call("good", { n: 4 }, "e")
          ])
        )
        yield* TestClock.adjust("10 seconds")
        const batch = yield* Fiber.join(fiber)
        assert.deepStrictEqual(outcome(batch), ["executed", "executed", expected, "executed", "executed"])
        const blocks = Report.toolResults(batch)
        assert.deepStrictEqual(
          blocks.map((block) => block.tool_use_id),
          ["a", "b", "c", "d", "e"]
        )
        const text = blocks[2]?.content
        assert(typeof text === "string" && text.trim() !== "" && text.isWellFormed() && text.length < 110_000)
        assert.strictEqual(blocks[2]?.is_error, expected === "executed" ? undefined : true)
      }).pipe(Effect.provide(layers(handler)))
    )
  }

  const inputs: Array<[string, ReturnType<typeof call>, string, RegExp]> = [
    ["unknown tool", call("Goood"), "UnknownTool", /Did you mean "good"/],
    ["__proto__", call("__proto__"), "UnknownTool", /no tool named "__proto__"/],
    ["constructor", call("constructor"), "UnknownTool", /no tool named/],
    ["input is a number", call("good", 5), "InvalidInput", /Expected an object/],
    ["input is null", call("good", null), "InvalidInput", /Expected an object/],
    ["input is an array", call("good", [1]), "InvalidInput", /Expected an object/],
    ["input fails its schema", call("good", { n: "two" }), "InvalidInput", /n: Expected number/],
    ["malformed JSON text", call("good", '{"n": oops}'), "MalformedInput", /not valid JSON/],
    ["truncated JSON text", call("good", '{"n": 1'), "MalformedInput", /middle of the JSON|not valid JSON/],
    ["JSON text of no object", call("good", "[1]"), "InvalidInput", /Expected an object/]
  ]
  for (const [name, bad, expected, words] of inputs) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const batch = yield* ToolRunner.run(toolbox, [call("good", { n: 1 }, "a"), bad, call("good", { n: 2 }, "b")])
        assert.deepStrictEqual(outcome(batch), ["executed", expected, "executed"])
        assert.match(String(Report.toolResults(batch)[1]?.content), words)
      }).pipe(Effect.provide(layers(() => Effect.void)))
    )
  }

  it.effect("JSON text of an object, and no text at all, are inputs", () =>
    Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [call("good", '{"n": 21}'), call("read", "")])
      assert.deepStrictEqual(outcome(batch), ["executed", "executed"])
      assert.deepStrictEqual(batch.results[0]?._tag === "Success" && batch.results[0].output, { twice: 42 })
    }).pipe(Effect.provide(layers(() => Effect.succeed("ok"))))
  )

  it.effect("an empty batch, duplicate ids, and 10,000 calls", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* ToolRunner.run(toolbox, [])).results, [])
      const twins = yield* ToolRunner.run(toolbox, [call("good", { n: 1 }, "x"), call("good", { n: 2 }, "x")])
      assert.deepStrictEqual(
        twins.succeeded.map((result) => result.output),
        [{ twice: 2 }, { twice: 4 }]
      )
      const many = yield* ToolRunner.run(
        toolbox,
        Array.from({ length: 10_000 }, (_, n) => call("good", { n }, `id-${n}`)),
        { concurrency: 8 }
      )
      assert.strictEqual(many.summary.succeeded, 10_000)
      assert.deepStrictEqual(many.succeeded[9_999]?.output, { twice: 19_998 })
    }).pipe(Effect.provide(layers(() => Effect.void)))
  )
})

describe("deadlines", () => {
  it.effect("an attempt timeout holds to the millisecond against a handler that ignores interruption", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.fork(ToolRunner.run(toolbox, [call("write")]))
      yield* TestClock.adjust("999 millis")
      assert.isTrue((yield* Fiber.poll(fiber))._tag === "None")
      yield* TestClock.adjust("1 millis")
      const batch = yield* Fiber.join(fiber)
      assert.deepStrictEqual(outcome(batch), ["Timeout"])
      assert.strictEqual(Duration.toMillis(batch.duration), 1000)
      assert.match(String(Report.toolResults(batch)[0]?.content), /may have taken effect: find out before/)
    }).pipe(Effect.provide(layers(() => Effect.uninterruptible(Effect.never))))
  )

  it.effect("the total deadline ends the retries with the last error, at once", () =>
    Effect.gen(function* () {
      const calls = yield* Ref.make(0)
      const handler = () =>
        Effect.zipRight(
          Ref.update(calls, (n) => n + 1),
          Effect.fail(new Down({ why: "x" }))
        )
      const toolboxOfOne = Toolbox.make(Slow)
      const fiber = yield* ToolRunner.run(toolboxOfOne, [call("slow")]).pipe(
        Effect.provide(Layer.merge(Slow.layer(handler), ToolRunner.layer)),
        Effect.fork
      )
      yield* TestClock.adjust("1 second")
      const batch = yield* Fiber.join(fiber)
      assert.deepStrictEqual(outcome(batch), ["ToolFailure"])
      // 0, 100, 300 ms; the next delay of 400 would end at 700, past 500.
      assert.strictEqual(yield* Ref.get(calls), 3)
      assert.strictEqual(Duration.toMillis(batch.duration), 300)
    })
  )

  it.effect("progress restarts the idle deadline", () =>
    Effect.gen(function* () {
      const fiber = yield* ToolRunner.run(Toolbox.make(Idle), [call("idle")]).pipe(
        Effect.provide(
          Layer.merge(
            Idle.layer((_, { progress }) =>
              Effect.repeatN(Effect.zipRight(Effect.sleep("300 millis"), progress("on")), 3).pipe(
                Effect.zipRight(Effect.never)
              )
            ),
            ToolRunner.layer
          )
        ),
        Effect.fork
      )
      yield* TestClock.adjust("10 seconds")
      const batch = yield* Fiber.join(fiber)
      const result = batch.results[0]
      assert(result?._tag === "Failure" && result.error._tag === "Timeout" && result.error.kind === "idle")
      assert.strictEqual(Duration.toMillis(batch.duration), 4 * 300 + 400)
    })
  )

  it.effect("at the batch deadline what is ready is returned, and the rest is reported honestly", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.fork(
        ToolRunner.run(toolbox, [call("good", { n: 1 }), call("write"), call("read")], {
          timeout: "500 millis",
          concurrency: 2
        })
      )
      yield* TestClock.adjust("500 millis")
      const batch = yield* Fiber.join(fiber)
      assert.deepStrictEqual(outcome(batch), ["executed", "Timeout", "Timeout"])
      const single = yield* Effect.fork(
        ToolRunner.run(toolbox, [call("write"), call("read")], { timeout: "500 millis", concurrency: 1 })
      )
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(outcome(yield* Fiber.join(single)), ["Timeout", "NotStarted"])
    }).pipe(Effect.provide(layers(() => Effect.never)))
  )

  it.effect("deadlines hold where interruption is masked", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.fork(Effect.uninterruptible(ToolRunner.run(toolbox, [call("write")])))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(outcome(yield* Fiber.join(fiber)), ["Timeout"])
    }).pipe(Effect.provide(layers(() => Effect.never)))
  )
})

class Slow extends Tool.Service<Slow>()("slow", {
  description: "Slow",
  input: Schema.Struct({}),
  output: Schema.Unknown,
  failure: Down,
  effects: "read",
  policy: { timeout: { total: "500 millis" }, retry: { ...noJitter, times: 10 } }
}) {}

class Idle extends Tool.Service<Idle>()("idle", {
  description: "Idle",
  input: Schema.Struct({}),
  output: Schema.Unknown,
  effects: "read",
  policy: { timeout: { idle: "400 millis" }, retry: false }
}) {}

class Stale extends Tool.Service<Stale>()("stale", {
  description: "A rate",
  input: Schema.Struct({}),
  output: Schema.Struct({ rate: Schema.Number }),
  effects: "read",
  policy: { timeout: "500 millis", retry: { times: 0 }, fallback: () => Effect.succeed({ rate: 0.9 }) }
}) {}

class Single extends Tool.Service<Single>()("single", {
  description: "One at a time",
  input: Schema.Struct({}),
  output: Schema.Unknown,
  effects: "read",
  policy: { bulkhead: 1, coalesce: false, timeout: { attempt: "1 second", total: "2500 millis" }, retry: false }
}) {}

describe("retry", () => {
  const failing = (times: number, why: string) =>
    Effect.gen(function* () {
      const seen = yield* Ref.make<ReadonlyArray<{ attempt: number; key: string }>>([])
      const handler: ReadHandler = (_, { attempt, idempotencyKey }) =>
        Effect.flatMap(
          Ref.update(seen, (all) => [...all, { attempt, key: idempotencyKey }]),
          () => (attempt <= times ? Effect.fail(new Down({ why })) : Effect.succeed("ok"))
        )
      return { seen, handler }
    })

  const runWith = (handler: ReadHandler, name: string) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.fork(
        ToolRunner.run(toolbox, [call("good", { n: 1 }), call(name)]).pipe(Effect.provide(layers(handler)))
      )
      yield* TestClock.adjust("10 seconds")
      return yield* Fiber.join(fiber)
    })

  it.effect("only the failed call runs again, with the same idempotency key", () =>
    Effect.gen(function* () {
      const { seen, handler } = yield* failing(2, "dns")
      const batch = yield* runWith(handler, "read")
      assert.deepStrictEqual(
        batch.results.map((result) => result.attempts),
        [1, 3]
      )
      const all = yield* Ref.get(seen)
      assert.deepStrictEqual(
        all.map(({ attempt }) => attempt),
        [1, 2, 3]
      )
      assert.strictEqual(new Set(all.map(({ key }) => key)).size, 1)
      assert.strictEqual(batch.summary.executions, 4)
      assert.strictEqual(batch.summary.executionsIfAllRetried, 6)
      assert.strictEqual(Duration.toMillis(batch.duration), 300)
    })
  )

  it.effect("a write runs again only if it certainly did not take effect", () =>
    Effect.gen(function* () {
      const sent = yield* failing(1, "reset")
      assert.deepStrictEqual(outcome(yield* runWith(sent.handler, "write")), ["executed", "ToolFailure"])
      assert.strictEqual((yield* Ref.get(sent.seen)).length, 1)
      const notSent = yield* failing(1, "not sent")
      assert.deepStrictEqual(outcome(yield* runWith(notSent.handler, "write")), ["executed", "executed"])
      assert.strictEqual((yield* Ref.get(notSent.seen)).length, 2)
    })
  )

  it.effect("a defect is not tried again, unless it is network trouble", () =>
    Effect.gen(function* () {
      const bug = yield* runWith(() => Effect.die(new TypeError("x is undefined")), "read")
      assert.strictEqual(bug.results[1]?.attempts, 1)
      const refused = new TypeError("fetch failed", { cause: { code: "ECONNREFUSED" } })
      const network = yield* runWith(() => Effect.die(refused), "read")
      assert.strictEqual(network.results[1]?.attempts, 3)
      assert.match(String(Report.toolResults(network)[1]?.content), /ECONNREFUSED/)
    })
  )

  it.effect("a secret in an error stays in the log", () =>
    Effect.gen(function* () {
      const text = "connect postgres://admin:s3cret@10.0.0.4/db password=hunter2"
      for (const handler of [
        () => Effect.die(new Error(text)),
        () => Effect.fail(new Down({ why: text }))
      ] satisfies Array<ReadHandler>) {
        const batch = yield* runWith(handler, "write")
        const content = String(Report.toolResults(batch)[1]?.content)
        assert.notMatch(content, /s3cret|hunter2/)
      }
    })
  )
})

describe("fallback and bulkhead", () => {
  it.effect("a fallback answers for a tool that never does, and says so", () =>
    Effect.gen(function* () {
      const fiber = yield* ToolRunner.run(Toolbox.make(Stale), [call("stale")]).pipe(
        Effect.provide(
          Layer.merge(
            Stale.layer(() => Effect.never),
            ToolRunner.layer
          )
        ),
        Effect.fork
      )
      yield* TestClock.adjust("500 millis")
      const batch = yield* Fiber.join(fiber)
      assert.deepStrictEqual(outcome(batch), ["fallback"])
      assert.match(String(Report.toolResults(batch)[0]?.content), /^\[Fallback: .*Timed out.*\]\n\{"rate":0\.9\}$/s)
    })
  )

  it.effect("a handler that ignores interruption keeps its slot until it ends", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const handler = () => Effect.uninterruptible(Effect.as(Deferred.await(gate), "late"))
      const program = Effect.gen(function* () {
        const fiber = yield* Effect.fork(
          ToolRunner.run(Toolbox.make(Single), [call("single", {}, "1"), call("single", {}, "2")])
        )
        yield* TestClock.adjust("2500 millis")
        assert.deepStrictEqual(outcome(yield* Fiber.join(fiber)), ["Timeout", "BulkheadFull"])
        yield* Deferred.succeed(gate, undefined)
        const again = yield* Effect.fork(ToolRunner.run(Toolbox.make(Single), [call("single", {}, "3")]))
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(outcome(yield* Fiber.join(again)), ["executed"])
      })
      yield* Effect.provide(program, Layer.merge(Single.layer(handler), ToolRunner.layer))
    })
  )
})

describe("interruption of the batch", () => {
  it.effect("finished calls keep their results, a started write is unknown, an unstarted call was not started", () =>
    Effect.gen(function* () {
      const seen = yield* Deferred.make<BatchResult.BatchResult>()
      const stopped = yield* Deferred.make<void>()
      const program = Effect.gen(function* () {
        const fiber = yield* Effect.fork(
          ToolRunner.run(toolbox, [call("good", { n: 1 }), call("write"), call("read")], {
            concurrency: 1,
            onInterrupt: (batch) => Effect.asVoid(Deferred.succeed(seen, batch))
          })
        )
        yield* TestClock.adjust("100 millis")
        yield* Fiber.interrupt(fiber)
        const batch = yield* Deferred.await(seen)
        assert.deepStrictEqual(outcome(batch), ["executed", "OutcomeUnknown", "NotStarted"])
        yield* Deferred.await(stopped)
        const texts = Report.toolResults(batch).map((block) => String(block.content))
        assert.match(texts[1] ?? "", /Outcome unknown.*may have taken effect/)
        assert.match(texts[2] ?? "", /Not executed.*had no effect/)
      })
      yield* Effect.provide(
        program,
        layers(() => Effect.onInterrupt(Effect.never, () => Deferred.succeed(stopped, undefined)))
      )
    })
  )
})

describe("dependencies", () => {
  it.effect("a call starts when the last one it depends on has landed, and is handed the outputs", () =>
    Effect.gen(function* () {
      const given = yield* Ref.make<ReadonlyArray<unknown>>([])
      const program = Effect.gen(function* () {
        const fiber = yield* Effect.fork(
          ToolRunner.run(toolbox, [
            { ...call("read", {}, "last"), dependsOn: ["first", "second"] },
            call("good", { n: 1 }, "first"),
            call("good", { n: 2 }, "second")
          ])
        )
        yield* TestClock.adjust("1 millis")
        const batch = yield* Fiber.join(fiber)
        assert.deepStrictEqual(outcome(batch), ["executed", "executed", "executed"])
        assert.deepStrictEqual(yield* Ref.get(given), [{ twice: 2 }, { twice: 4 }])
      })
      yield* Effect.provide(
        program,
        layers((_, { dependencies }) => Ref.set(given, [...dependencies.values()]))
      )
    })
  )

  it.effect("cycles and unknown targets fail those calls and what hangs on them; the rest goes on", () =>
    Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [
        { ...call("good", { n: 1 }, "a"), dependsOn: ["b"] },
        { ...call("good", { n: 1 }, "b"), dependsOn: ["a"] },
        { ...call("good", { n: 1 }, "after"), dependsOn: ["a"] },
        { ...call("good", { n: 1 }, "self"), dependsOn: ["self"] },
        { ...call("good", { n: 1 }, "lost"), dependsOn: ["nowhere"] },
        call("good", { n: 1 }, "fine")
      ])
      assert.deepStrictEqual(outcome(batch), [
        "DependencyCycle",
        "DependencyCycle",
        "DependencyFailed",
        "DependencyCycle",
        "UnresolvedReference",
        "executed"
      ])
    }).pipe(Effect.provide(layers(() => Effect.void)))
  )
})
