import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { BatchEvents, Fault, Tool, Toolbox, ToolError, ToolResult, ToolRunner } from "../src/index.ts"
import { FaultyTool } from "../src/testing/index.ts"

class Down extends Schema.TaggedError<Down>()("Down", { since: Schema.Date }) {}

const policy = { timeout: "1 second", retry: { base: "100 millis", jitter: "none" } } as const

class When extends Tool.Service<When>()("when", {
  description: "A date",
  input: Schema.Struct({}),
  output: Schema.Struct({ at: Schema.Date, left: Schema.OptionFromNullOr(Schema.Number) }),
  failure: Down,
  effects: "read",
  policy
}) {}

class Anything extends Tool.Service<Anything>()("anything", {
  description: "Anything",
  input: Schema.Struct({}),
  output: Schema.Unknown,
  effects: "write",
  policy: { ...policy, bulkhead: 1 }
}) {}

class Stale extends Tool.Service<Stale>()("stale", {
  description: "With a fallback",
  input: Schema.Struct({}),
  output: Schema.Struct({ at: Schema.Date }),
  failure: Down,
  effects: "read",
  policy: { ...policy, retry: false, fallback: () => Effect.succeed({ at: noon }) }
}) {}

const noon = Schema.decodeSync(Schema.Date)("2026-11-24T12:00:00.000Z")
const down = new Down({ since: noon })

const toolbox = Toolbox.make(When, Anything, Stale)
type Tools = When | Anything | Stale
type Result = ToolResult.ToolResult<(typeof toolbox.tools)[number]>

const call = (name: string, id = `toolu_${name}`, more: object = {}) => ({ id, name, input: {}, ...more })

const whenIt = { at: noon, left: Option.some(3) }

const handlers = Layer.mergeAll(
  When.layer(() => Effect.succeed(whenIt)),
  Anything.layer(() => Effect.void),
  Stale.layer(() => Effect.fail(down))
)

const run = (
  calls: ReadonlyArray<ReturnType<typeof call>>,
  layer: Layer.Layer<Tools> = handlers,
  options?: ToolRunner.RunOptions
) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(ToolRunner.run(toolbox, calls, options))
    yield* TestClock.adjust("1 minute")
    return yield* Fiber.join(fiber)
  }).pipe(Effect.provide(Layer.merge(layer, ToolRunner.layer)))

/** Stored as text and read back. */
const stored = (result: Result): Result => {
  const schema = ToolResult.schema(toolbox)
  return Schema.decodeUnknownSync(schema)(JSON.parse(JSON.stringify(Schema.encodeSync(schema)(result))))
}

/** Two results as one may compare them: `undefined` fields and missing ones are the same. */
const plain = (result: Result) => {
  const defined = (u: object): object =>
    Object.fromEntries(Object.entries(u).filter(([, value]) => value !== undefined))
  return result._tag === "Success"
    ? { ...defined(result), call: defined(result.call), duration: Duration.toMillis(result.duration) }
    : {
        ...defined(result),
        call: defined(result.call),
        fault: defined({ ...result.fault, retryAfter: result.fault.retryAfter && String(result.fault.retryAfter) }),
        error: { ...defined(result.error), _tag: result.error._tag },
        duration: Duration.toMillis(result.duration)
      }
}

const failing = (error: ToolError.ToolError<Down>, name = "when"): Result => ({
  _tag: "Failure",
  call: call(name),
  error: error as ToolError.ToolError<never>,
  fault: Fault.transient({ retryAfter: "1500 millis" }),
  attempts: 3,
  duration: Duration.millis(1234.5)
})

const errors: ReadonlyArray<ToolError.ToolError<Down>> = [
  new ToolError.UnknownTool({ name: "wen", nearest: ["when"] }),
  new ToolError.MalformedInput({ reason: "no", truncated: true }),
  new ToolError.InvalidInput({ issues: [{ path: ["a", 0], message: "wrong" }] }),
  new ToolError.UnresolvedReference({ reference: "x", reason: "no call has that id" }),
  new ToolError.DependencyCycle({ cycle: ["a", "b"] }),
  new ToolError.ToolDefect({ correlationId: "e-1", name: "TypeError", code: undefined, detail: "at x" }),
  new ToolError.InvalidOutput({ correlationId: "e-1", issues: [] }),
  new ToolError.Timeout({ kind: "idle", after: Duration.seconds(2) }),
  new ToolError.CircuitOpen({ breaker: "b", mode: "Open", lastFailure: undefined, retryAfter: undefined }),
  new ToolError.CircuitOpen({ breaker: "b", mode: "Open", lastFailure: undefined, retryAfter: Duration.seconds(3) }),
  new ToolError.BulkheadFull({ capacity: 3 }),
  new ToolError.RateLimited({ retryAfter: Duration.infinity }),
  new ToolError.BudgetExhausted({ budget: "b" }),
  new ToolError.DependencyFailed({ dependency: "a", root: "b" }),
  new ToolError.NotStarted({ reason: "deadline" }),
  new ToolError.OutcomeUnknown(),
  ToolError.toolFailure(down)
]

describe("results are stored and read back", () => {
  for (const error of errors) {
    it(`a failure with ${error._tag}`, () => {
      const result = failing(error)
      const read = stored(result)
      assert.deepStrictEqual(plain(read), plain(result))
      assert(read._tag === "Failure")
      if (error._tag !== "ToolFailure") assert.strictEqual(read.error.constructor, error.constructor)
    })
  }

  it("a typed failure comes back as its class, with its fields decoded", () => {
    const read = stored(failing(ToolError.toolFailure(down)))
    assert(read._tag === "Failure" && read.error._tag === "ToolFailure")
    assert.instanceOf(read.error.failure, Down)
    assert.deepStrictEqual(read.error.failure.since, noon)
  })

  it("a call to a tool nobody knows", () => {
    const result = failing(new ToolError.UnknownTool({ name: "wen", nearest: ["when"] }), "wen")
    assert.deepStrictEqual(plain(stored(result)), plain(result))
  })

  it.effect("what a batch gave: outputs are decoded, a fallback keeps what it stands in for", () =>
    Effect.gen(function* () {
      const batch = yield* run([
        call("when"),
        call("stale"),
        call("anything"),
        call("nobody"),
        call("when", "last", { dependsOn: ["toolu_nobody"] })
      ])
      assert.deepStrictEqual(batch.results.map(stored).map(plain), batch.results.map(plain))
      const [first, second] = batch.results.map(stored)
      assert(first?._tag === "Success" && ToolResult.isOf(When)(first) && first._tag === "Success")
      assert.deepStrictEqual(first.output, whenIt)
      assert.deepStrictEqual(first.encoded, { at: noon.toISOString(), left: 3 })
      assert(second?._tag === "Success" && second.source === "fallback" && second.replaces?._tag === "ToolFailure")
      assert.instanceOf(second.replaces.failure, Down)
    })
  )

  it("what is no result of the toolbox is refused", () => {
    const decode = Schema.decodeUnknownEither(ToolResult.schema(toolbox))
    const success = { _tag: "Success", attempts: 1, duration: [0, 0], encoded: 1, source: "executed" }
    for (const bad of [
      null,
      5,
      {},
      { ...success, call: call("nobody"), output: 1 },
      { ...success, call: call("when"), output: { at: "no date", left: null } },
      { ...success, call: call("anything"), source: "invented" }
    ]) {
      assert.isTrue(Either.isLeft(decode(bad)), JSON.stringify(bad))
    }
  })
})

describe("reading results", () => {
  it.effect("isOf tells whose result it is and narrows it", () =>
    Effect.gen(function* () {
      const { results } = yield* run([call("when"), call("stale"), call("nobody")])
      assert.deepStrictEqual(results.map(ToolResult.isOf(When)), [true, false, false])
      const dates = results.flatMap((result) =>
        ToolResult.isOf(When)(result) && ToolResult.isSuccess(result) ? [result.output.at] : []
      )
      assert.deepStrictEqual(dates, [noon])
    })
  )

  it.effect("toEither gives the output or the error", () =>
    Effect.gen(function* () {
      const { results } = yield* run([call("when"), call("nobody")])
      const [right, left] = results.map((result) => ToolResult.toEither(result))
      assert(right !== undefined && Either.isRight(right) && left !== undefined && Either.isLeft(left))
      assert.deepStrictEqual(right.right, whenIt)
      assert.strictEqual(left.left._tag, "UnknownTool")
    })
  )
})

describe("events", () => {
  const flaky = Layer.unwrapEffect(
    Effect.map(
      FaultyTool.flaky(
        1,
        () => down,
        (_, { progress }: Tool.Call) => Effect.as(progress("nearly there"), whenIt)
      ),
      (handler) => Layer.merge(handlers, When.layer(handler))
    )
  )

  /** Everything published while `effect` runs, by a listener that was there from the start. */
  const listening = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const { stream } = yield* BatchEvents.BatchEvents
      const seen: Array<BatchEvents.BatchEvent> = []
      const subscribed = yield* Deferred.make<void>()
      yield* stream.pipe(
        Stream.onStart(Deferred.succeed(subscribed, undefined)),
        Stream.runForEach((event) => Effect.sync(() => seen.push(event))),
        Effect.forkScoped
      )
      yield* Deferred.await(subscribed)
      yield* TestClock.adjust("1 millis")
      yield* effect
      yield* TestClock.adjust("1 millis")
      return seen
    }).pipe(Effect.scoped, Effect.provide(BatchEvents.layer))

  it.effect("tell in order how a call failed once and then succeeded", () =>
    Effect.gen(function* () {
      const seen = yield* listening(run([call("when")], flaky, { id: "b1" }))
      assert.deepStrictEqual(
        seen.map((event) => [
          event._tag,
          event._tag === "Finished" ? event.result._tag : "attempt" in event ? event.attempt : undefined
        ]),
        [
          ["Submitted", undefined],
          ["AttemptStarted", 1],
          ["AttemptFailed", 1],
          ["Retrying", 2],
          ["AttemptStarted", 2],
          ["Progress", 2],
          ["AttemptSucceeded", 2],
          ["Finished", "Success"]
        ]
      )
      for (const event of seen) {
        assert(event._tag !== "CircuitChanged")
        assert.deepStrictEqual([event.batchId, event.index, event.call.id], ["b1", 0, "toolu_when"])
      }
      const [, , failed, retrying, , progress] = seen
      assert(failed?._tag === "AttemptFailed" && failed.error._tag === "ToolFailure")
      assert(retrying?._tag === "Retrying" && Duration.toMillis(retrying.delay) === 100)
      assert(progress?._tag === "Progress" && progress.note === "nearly there")
    })
  )

  it.effect("say of every call, even one that never began, that it is finished, once", () =>
    Effect.gen(function* () {
      const calls = [call("when", "a"), call("nobody", "b"), call("when", "c", { dependsOn: ["b"] })]
      const seen = yield* listening(run(calls, handlers))
      const finished = seen.flatMap((event) => (event._tag === "Finished" ? [event.call.id] : []))
      assert.deepStrictEqual(finished.toSorted(), ["a", "b", "c"])
    })
  )

  it.effect("reach every listener", () =>
    Effect.gen(function* () {
      const { publish, stream } = yield* BatchEvents.BatchEvents
      const fibers = yield* Effect.replicateEffect(Effect.fork(Stream.runCollect(Stream.take(stream, 1))), 3)
      yield* TestClock.adjust("1 millis")
      yield* publish({ _tag: "Submitted", at: 0, index: 0, batchId: "b", call: call("when") })
      const all = yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(
        all.map((events) => Chunk.toReadonlyArray(events).map((event) => event._tag)),
        [["Submitted"], ["Submitted"], ["Submitted"]]
      )
    }).pipe(Effect.provide(BatchEvents.layer))
  )

  it.effect("are published by nobody where the service is not provided", () =>
    Effect.gen(function* () {
      const pubsub = yield* PubSub.unbounded<BatchEvents.BatchEvent>()
      const service: Context.Tag.Service<BatchEvents.BatchEvents> = {
        publish: (event) => Effect.asVoid(PubSub.publish(pubsub, event)),
        stream: Stream.fromPubSub(pubsub)
      }
      const queue = yield* PubSub.subscribe(pubsub)
      const silent = yield* run([call("when")], flaky)
      assert.strictEqual(silent.summary.executions, 2)
      assert.isTrue(yield* queue.isEmpty)
      yield* Effect.provideService(run([call("when")], flaky), BatchEvents.BatchEvents, service)
      assert.isFalse(yield* queue.isEmpty)
    }).pipe(Effect.scoped)
  )
})
