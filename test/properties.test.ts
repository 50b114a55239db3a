import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { Agent, type BatchResult, Model, Report, Tool, Toolbox, type ToolCall, ToolRunner } from "../src/index.ts"
import * as Assemble from "../src/internal/assemble.ts"
import * as WireIds from "../src/internal/wireIds.ts"
import * as FaultyTool from "../src/testing/FaultyTool.ts"
import * as MessagesRules from "../src/testing/MessagesRules.ts"

const secret = "s3cret"
const leaky = `connect postgres://admin:${secret}@10.0.0.4/db password=${secret} Authorization: Bearer ${secret}-abcdef`

class Leaky extends Schema.TaggedError<Leaky>()("Leaky", { why: Schema.String, password: Schema.String }) {}

const cyclic: Record<string, unknown> = {}
cyclic["self"] = cyclic

const explosive = {
  get boom(): never {
    throw new Error(leaky)
  }
}

type Behaviour = Tool.Handler<unknown, unknown, unknown>

const answers = (output: unknown): Behaviour => FaultyTool.slow("1 millis", () => Effect.succeed(output))

const behaviours: Readonly<Record<string, Behaviour>> = {
  "typed failure": () => Effect.fail(new Leaky({ why: leaky, password: secret })),
  "late typed failure": FaultyTool.slow("300 millis", () => Effect.fail(new Leaky({ why: "late", password: secret }))),
  "failure of undefined": () => Effect.fail(undefined),
  "failure that throws when it is read": () => Effect.fail(explosive),
  "failure with half a character": () => Effect.fail({ _tag: "Half\uD800", message: "\uDC00" }),
  defect: FaultyTool.dying(new Error(leaky)),
  "defect that is no Error": FaultyTool.dying({ token: secret, toString: undefined }),
  "defect of nothing": FaultyTool.dying(undefined),
  "defect that throws when it is read": FaultyTool.dying(explosive),
  "synchronous throw": () => {
    throw new Error(leaky)
  },
  "rejected promise": () => Effect.promise(() => Promise.reject(new Error(leaky))),
  "self-interruption": () => Effect.interrupt,
  "a promise instead of an effect": () => Promise.resolve(1) as never,
  hang: FaultyTool.hanging,
  "deaf hang": FaultyTool.deaf,
  BigInt: answers({ n: 1n }),
  cycle: answers(cyclic),
  nothing: answers(undefined),
  null: answers(null),
  function: answers(() => secret),
  symbol: answers(Symbol.iterator),
  "getter that throws": answers(explosive),
  "toJSON that throws": answers({ toJSON: () => BigInt(secret) }),
  "half a character": answers("\uD800 alone \uDFFF"),
  "half a character deep down": answers({ "\uD800": ["\uDC00"] }),
  "empty text": answers(""),
  "blank text": answers(" \n\t"),
  "big text": answers("big \u{1F600} ".repeat(500)),
  "no content": answers(Tool.content()),
  "content of empty text": answers(Tool.content(Tool.text(""), Tool.text("  "))),
  "content of a sound and an odd image": answers(
    Tool.content(
      { type: "audio", source: { type: "base64", media_type: "audio/wav", data: "AAAA" } },
      Tool.image({ mediaType: "image/tiff", base64: "AAAA" }),
      Tool.image({ mediaType: "image/png", base64: "" }),
      { type: "image" },
      { type: "\uD800", nested: ["\uDC00"] },
      { type: "" }
    )
  ),
  "content that is fine": answers(
    Tool.content(Tool.text("a\uD800b"), Tool.image({ mediaType: "image/png", base64: "AAAA" }), {
      type: "search_result",
      source: "policy.md",
      title: "Policy",
      content: [{ type: "text", text: "30 days" }]
    })
  ),
  "content that is no JSON": answers(Tool.content({ type: "image", source: { type: "base64", data: 1n } })),
  "flaky, then good": (_, { attempt }) =>
    attempt <= 2 ? Effect.fail(new Leaky({ why: "flaky", password: secret })) : Effect.succeed("good at last")
}

const kinds = Object.keys(behaviours)

class Healthy extends Tool.Service<Healthy>()("healthy", {
  description: "Answers",
  input: Schema.Struct({ n: Schema.Number }),
  output: Schema.Struct({ twice: Schema.Number }),
  effects: "read"
}) {}

const hostileOptions = {
  description: "Does its worst",
  input: Schema.Struct({ kind: Schema.Literal("typed failure", ...kinds) }),
  output: Schema.Unknown,
  failure: Schema.Unknown
}
const policy = { timeout: { attempt: "1 second", total: "5 seconds" }, retry: { base: "100 millis" } } as const

class HostileRead extends Tool.Service<HostileRead>()("hostile_read", { ...hostileOptions, effects: "read", policy }) {}

class HostileIdempotent extends Tool.Service<HostileIdempotent>()("hostile_idempotent", {
  ...hostileOptions,
  effects: "idempotent",
  policy: { ...policy, bulkhead: 2 }
}) {}

class HostileWrite extends Tool.Service<HostileWrite>()("hostile_write", {
  ...hostileOptions,
  effects: "write",
  policy
}) {}

/** Everything it answers with breaks its own output schema, or is an empty object. */
class HostileOutput extends Tool.Service<HostileOutput>()("hostile_output", {
  ...hostileOptions,
  output: Schema.Struct({ strict: Schema.Number }),
  effects: "read",
  policy
}) {}

const toolbox = Toolbox.withPolicy(Toolbox.make(Healthy, HostileRead, HostileIdempotent, HostileWrite, HostileOutput), {
  maxOutputBytes: 2000
})

const misbehave: Tool.Handler<{ readonly kind: string }, never, unknown> = (input, call) =>
  // The point of the exercise: what is answered has nothing to do with the type.
  (behaviours[input.kind] ?? FaultyTool.dying())(input as never, call) as Effect.Effect<never, unknown>

const layers = Layer.mergeAll(
  Healthy.layer(({ n }) => Effect.succeed({ twice: n * 2 })),
  HostileRead.layer(misbehave),
  HostileIdempotent.layer(misbehave),
  HostileWrite.layer(misbehave),
  HostileOutput.layer(misbehave),
  ToolRunner.layer,
  Logger.remove(Logger.defaultLogger)
)

const { constant, constantFrom, oneof, record } = FastCheck

const hostileNames = ["hostile_read", "hostile_idempotent", "hostile_write", "hostile_output"]

/** What a call is for: a healthy one knows what it must be answered with. */
interface Planned {
  readonly name: string
  readonly input: unknown
  readonly healthy: number | undefined
}

const n = FastCheck.integer({ min: -1_000_000, max: 1_000_000 })
const healthy = n.map((n): Planned => ({ name: "healthy", input: { n }, healthy: n }))
const healthyAsText = n.map((n): Planned => ({ name: "healthy", input: JSON.stringify({ n }), healthy: n }))
const misbehaving = record({ name: constantFrom(...hostileNames), kind: constantFrom(...kinds) }).map(
  ({ kind, name }): Planned => ({ name, input: { kind }, healthy: undefined })
)
const anyName = constantFrom(
  "healthy",
  ...hostileNames,
  "helthy",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty"
)
const brokenText = constantFrom(
  "{",
  '{"n": 1',
  '{"n": oops}',
  "[1]",
  "null",
  '"text"',
  "}{",
  '{"n": "\\uD800"}',
  "\uD800"
)
const anyInput = oneof(
  FastCheck.jsonValue(),
  FastCheck.json(),
  brokenText,
  constantFrom<unknown>(undefined, null, 5, [1], { n: "two" }, { kind: "unheard of" }, { n: {} }),
  constant(JSON.parse('{"__proto__": {"n": 1}, "n": []}'))
)
// An input that happens to fit is served, which is fine; here the call is one nobody expects anything of.
const misaddressed = record({ name: anyName, input: anyInput }).map(({ input, name }): Planned => ({
  name,
  input,
  healthy: undefined
}))

const planned = oneof(
  { weight: 2, arbitrary: healthy },
  { weight: 1, arbitrary: healthyAsText },
  { weight: 5, arbitrary: misbehaving },
  { weight: 2, arbitrary: misaddressed }
)

interface PlannedCall extends Planned {
  readonly id: string
  readonly dependsOn: ReadonlyArray<string> | undefined
}

/** Few ids, so that many collide. */
const anyId = constantFrom("", " ", "a", "b", "c", "d", "e", "f", "g", "h", "toolu_1", "toolu_salvo_0", "odd id!")
const ownId = FastCheck.uuid().map((uuid) => `toolu_${uuid}`)

const plannedCall = record({
  plan: planned,
  id: oneof(anyId, ownId),
  dependsOn: FastCheck.option(FastCheck.array(anyId, { maxLength: 3 }), { nil: undefined, freq: 3 })
}).map(({ dependsOn, id, plan: { healthy, input, name } }): PlannedCall => ({ name, input, healthy, id, dependsOn }))

const calls = FastCheck.array(plannedCall, { maxLength: 10 })
const concurrency = oneof(constant("unbounded" as const), FastCheck.integer({ min: 1, max: 4 }))

const isIndependent = (call: PlannedCall) => (call.dependsOn ?? []).length === 0

const toCall = ({ dependsOn, id, input, name }: PlannedCall): ToolCall.ToolCall => ({ id, name, input, dependsOn })

const contentText = ({ content }: Report.ToolResultBlock) =>
  typeof content === "string" ? content : JSON.stringify(content)

/** What holds of the answers to any batch at all. */
const assertAnswered = (
  plans: ReadonlyArray<PlannedCall>,
  given: ReadonlyArray<ToolCall.ToolCall>,
  batch: BatchResult.BatchResult
) => {
  assert.strictEqual(batch.results.length, given.length)
  batch.results.forEach((result, i) => assert.strictEqual(result.call, given[i]))
  const blocks = Report.toolResults(batch)
  assert.deepStrictEqual(
    blocks.map((block) => block.tool_use_id),
    given.map(({ id }) => id)
  )
  batch.results.forEach((result, i) => {
    const block = blocks[i]
    const plan = plans[i]
    assert(block !== undefined && plan !== undefined)
    assert.strictEqual(block.is_error, result._tag === "Failure" ? true : undefined)
    const text = contentText(block)
    assert.notInclude(text, secret)
    assert.notStrictEqual(text.trim(), "")
    assert.isTrue(JSON.stringify(block).isWellFormed() && text.isWellFormed())
    if (plan.name === "hostile_write") assert.isAtMost(result.attempts, 1)
    if (plan.healthy !== undefined && isIndependent(plan)) {
      assert(result._tag === "Success", `a healthy call failed: ${text}`)
      assert.deepStrictEqual(result.output, { twice: plan.healthy * 2 })
      assert.strictEqual(block.content, JSON.stringify({ twice: plan.healthy * 2 }))
      // Two of the same run once.
      assert.strictEqual(result.attempts, result.source === "coalesced" ? 0 : 1)
    }
  })
}

/** The body a client would send next. */
const requestOf = (messages: ReadonlyArray<Model.Message>, system?: string) => ({
  model: "claude-haiku-5-5",
  max_tokens: 4096,
  tools: Toolbox.describe(toolbox),
  messages,
  ...(system === undefined ? {} : { system })
})

const assertAccepted = (messages: ReadonlyArray<Model.Message>, system?: string) =>
  assert.isUndefined(MessagesRules.check(requestOf(messages, system)))

const isObject = (u: unknown) => typeof u === "object" && u !== null && !Array.isArray(u)

/** A turn as the assistant says it; what is no object is wrapped as Anthropic advises. */
const turnOf = (plans: ReadonlyArray<PlannedCall>): Model.Turn => ({
  content: plans.map(({ id, input, name }) => ({
    type: "tool_use",
    id,
    name,
    input: isObject(input) ? input : { INVALID_JSON: JSON.stringify(input)?.toWellFormed() ?? "" }
  })),
  calls: plans.map(toCall),
  stopReason: "tool_use",
  usage: { inputTokens: 0, outputTokens: 0 }
})

/** Longer than ten calls one after the other can take, each up to its total deadline. */
const settled = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(effect)
    yield* TestClock.adjust("2 minutes")
    return yield* Fiber.join(fiber)
  })

/** The events of a streamed turn, its inputs as the raw text the model wrote. */
const eventsOf = (plans: ReadonlyArray<PlannedCall>): ReadonlyArray<unknown> => [
  { type: "message_start", message: { usage: { input_tokens: 1, output_tokens: 1 } } },
  ...plans.flatMap(({ id, input, name }, index) => [
    { type: "content_block_start", index, content_block: { type: "tool_use", id, name, input: {} } },
    {
      type: "content_block_delta",
      index,
      delta: {
        type: "input_json_delta",
        partial_json: typeof input === "string" ? input : (JSON.stringify(input) ?? "")
      }
    },
    { type: "content_block_stop", index }
  ]),
  { type: "message_delta", delta: { stop_reason: plans.length > 0 ? "tool_use" : "end_turn" }, usage: {} },
  { type: "message_stop" }
]

/** Says `turns` as a stream of raw events, after checking that the API would have taken the request. */
const modelSaying = (...turns: ReadonlyArray<ReadonlyArray<PlannedCall>>) =>
  Layer.effect(
    Model.Model,
    Effect.map(Ref.make(0), (asked) => ({
      streamTurn: ({ messages, system }) =>
        Stream.unwrap(
          Effect.map(
            Ref.getAndUpdate(asked, (n) => n + 1),
            (turn) => {
              assertAccepted(messages, system)
              return Stream.fromIterable(eventsOf(turns[turn] ?? [])).pipe(
                Stream.mapAccum(Assemble.empty, Assemble.step),
                Stream.flattenIterables
              )
            }
          )
        )
    }))
  )

// Concurrent, because most of a run is waiting for `TestClock` to settle.
describe.concurrent("whatever the calls of a turn are and do", () => {
  it.effect.prop(
    "each gets one result, in order, and no healthy call is touched by the others",
    { plans: calls, concurrency },
    ({ concurrency, plans }) =>
      Effect.gen(function* () {
        const given = plans.map(toCall)
        const batch = yield* settled(ToolRunner.run(toolbox, given, { concurrency }))
        assertAnswered(plans, given, batch)
      }).pipe(Effect.provide(layers)),
    { timeout: 60_000, fastCheck: { numRuns: 200 } }
  )

  it.effect.prop(
    "the answers make a conversation that the API accepts",
    { plans: FastCheck.array(plannedCall, { minLength: 1, maxLength: 10 }), concurrency },
    ({ concurrency, plans }) =>
      Effect.gen(function* () {
        const turn = WireIds.unique(turnOf(plans), [])
        const batch = yield* settled(ToolRunner.run(toolbox, turn.calls, { concurrency }))
        assertAnswered(plans, turn.calls, batch)
        assertAccepted([
          { role: "user", content: "Do your worst." },
          { role: "assistant", content: turn.content },
          { role: "user", content: Report.toolResults(batch) }
        ])
      }).pipe(Effect.provide(layers)),
    { timeout: 60_000, fastCheck: { numRuns: 150 } }
  )

  it.effect.prop(
    "the agent goes on, turn after turn, with a conversation that the API accepts",
    { first: calls, second: calls, concurrency },
    ({ concurrency, first, second }) =>
      Effect.gen(function* () {
        const result = yield* settled(
          Agent.run({ prompt: "Do your worst.", toolbox, concurrency, timeout: "5 minutes" })
        )
        assert.strictEqual(result.stop, "end_turn")
        // Nothing of the wire names dependencies.
        const said = (first.length === 0 ? [] : [first, second]).filter((plans) => plans.length > 0)
        const batches = result.exchanges.flatMap(({ batch }) => batch ?? [])
        assert.strictEqual(batches.length, said.length)
        batches.forEach((batch, i) => {
          const plans = (said[i] ?? []).map((plan) => Object.assign({}, plan, { dependsOn: undefined }))
          assertAnswered(plans, result.exchanges[i]?.turn.calls ?? [], batch)
        })
        assertAccepted([...result.messages, { role: "user", content: "And now?" }])
      }).pipe(Effect.provide(layers), Effect.provide(modelSaying(first, second))),
    { timeout: 60_000, fastCheck: { numRuns: 150 } }
  )
})

describe.concurrent("whatever blocks a tool answers with", () => {
  const text = oneof(FastCheck.string(), constantFrom("", " ", "\uD800", "plain", "x".repeat(2000)))
  const mediaType = constantFrom("image/png", "image/webp", "image/tiff", "application/pdf", "text/plain", "")
  const data = constantFrom("AAAA", "AA==", "", "not base64!", "AAA")
  const source = oneof(
    record({ type: constant("base64"), media_type: mediaType, data }),
    record({ type: constant("base64"), data }),
    record({ type: constant("url"), url: constantFrom("https://example.com/a.png", "") }),
    record({ type: constant("text"), media_type: mediaType, data: text }),
    record({ type: constant("content"), content: FastCheck.jsonValue() }),
    record({ type: constant("file"), file_id: constantFrom("file_1", "") }),
    FastCheck.jsonValue()
  )
  const image = record({ type: constantFrom("image", "document"), source })
  const extended = record({ type: constantFrom("image", "document"), source, extra: FastCheck.jsonValue() })
  const unsupported = record({
    type: oneof(constantFrom("audio", "video", "resource", "tool_result", "thinking", "tool_use", ""), text),
    extra: FastCheck.jsonValue()
  })
  const incomplete = record({ type: constantFrom("image", "document", "search_result", "text") })
  const searchResult = record({
    type: constant("search_result"),
    source: text,
    title: text,
    content: FastCheck.array(record({ type: constantFrom("text", "image"), text }), { maxLength: 2 })
  })
  const block = oneof(
    record({ type: constant("text"), text }),
    record({ type: constant("text"), text: constant(5) }),
    image,
    extended,
    searchResult,
    incomplete,
    unsupported
  )

  class Rich extends Tool.Service<Rich>()("rich", {
    description: "Answers with blocks",
    input: Schema.Struct({}),
    output: Tool.Content,
    effects: "read"
  }) {}

  it.effect.prop(
    "the tool has succeeded, and the API accepts what the model is shown",
    { blocks: FastCheck.array(block, { maxLength: 5 }) },
    ({ blocks }) =>
      Effect.gen(function* () {
        const call = { id: "toolu_1", name: "rich", input: {} }
        const batch = yield* ToolRunner.run(Toolbox.make(Rich), [call])
        assert.strictEqual(batch.summary.succeeded, 1)
        assertAccepted([
          { role: "user", content: "Show me." },
          { role: "assistant", content: [{ type: "tool_use", ...call }] },
          { role: "user", content: Report.toolResults(batch) }
        ])
      }).pipe(
        Effect.provide(
          Layer.mergeAll(
            Rich.layer(() => Effect.succeed(Tool.content(...blocks))),
            ToolRunner.layer
          )
        )
      ),
    { timeout: 60_000, fastCheck: { numRuns: 150 } }
  )
})
