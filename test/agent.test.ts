import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Anthropic from "../src/adapters/Anthropic.ts"
import { Agent, Model, Tool, Toolbox, ToolRunner } from "../src/index.ts"
import * as FaultyTool from "../src/testing/FaultyTool.ts"
import * as MessagesRules from "../src/testing/MessagesRules.ts"
import * as MessagesServer from "../src/testing/MessagesServer.ts"
import * as ScriptedModel from "../src/testing/ScriptedModel.ts"

const { reply, text, thinking, toolUse, toolUseRaw } = MessagesServer

class Add extends Tool.Service<Add>()("add", {
  description: "Adds two numbers",
  input: Schema.Struct({ a: Schema.Number, b: Schema.Number }),
  output: Schema.Number,
  effects: "read"
}) {}

class Echo extends Tool.Service<Echo>()("echo", {
  description: "Says it again",
  input: Schema.Struct({ words: Schema.String }),
  output: Schema.String,
  effects: "read"
}) {}

class Refund extends Tool.Service<Refund>()("refund", {
  description: "Pays money back",
  input: Schema.Struct({}),
  output: Schema.String,
  effects: "write"
}) {}

const toolbox = Toolbox.make(Add, Echo, Refund)

const layersWith = (refund: Tool.Handler<object, string, never>) =>
  Layer.mergeAll(
    Add.layer(({ a, b }) => Effect.succeed(a + b)),
    Echo.layer(({ words }) => Effect.succeed(words)),
    Refund.layer(refund),
    ToolRunner.layer
  )

const layers = layersWith(() => Effect.succeed("refunded"))

const soon = Schedule.intersect(Schedule.spaced("5 millis"), Schedule.recurs(3))

/** Lets `use` talk to a server that plays `script`; in the end the server must have had nothing to object to. */
const against = <A, E>(
  script: MessagesServer.Script,
  use: Effect.Effect<A, E, Model.Model | Layer.Layer.Success<typeof layers>>,
  idleTimeout: Duration.DurationInput = "30 seconds"
) =>
  Effect.gen(function* () {
    const server = yield* MessagesServer.MessagesServer
    const result = yield* use.pipe(
      Effect.provide(layers),
      Effect.provide(Anthropic.layer({ apiKey: Redacted.make("key"), baseURL: server.url, idleTimeout })),
      Effect.either
    )
    assert.deepStrictEqual(yield* server.rejections, [])
    return { result, requests: yield* server.requests }
  }).pipe(
    Effect.provide(MessagesServer.layer(script).pipe(Layer.provide(NodeHttpServer.layer(createServer, { port: 0 }))))
  )

/** Plays these replies one after the other, whatever is asked. */
const inTurn =
  (...replies: ReadonlyArray<MessagesServer.Reply>): MessagesServer.Script =>
  ({ requestNumber }) =>
    Effect.succeed(replies[requestNumber - 1] ?? reply({ content: [text("(the script has ended)")] }))

const run = (options: Partial<Agent.Options<typeof Add | typeof Echo | typeof Refund>> = {}) =>
  Agent.run({ prompt: "Go.", toolbox, modelRetry: soon, ...options })

type Ended = Effect.Effect.Success<ReturnType<typeof run>>

const right = (result: { readonly _tag: "Right"; readonly right: Ended } | { readonly _tag: "Left" }): Ended => {
  assert(result._tag === "Right", "the agent failed")
  return result.right
}

const done = reply({ content: [text("Done.")] })
const addOnce = reply({ content: [toolUse("add", { a: 1, b: 2 })] })

const roles = (messages: ReadonlyArray<Model.Message>) => messages.map(({ role }) => role)

const resultsIn = (message: Model.Message | undefined): ReadonlyArray<Model.Block> =>
  typeof message?.content === "string" ? [] : (message?.content ?? [])

const outcomes = (result: Ended) =>
  result.exchanges.map(({ batch }) =>
    batch?.results.map((one) => (one._tag === "Success" ? one.encoded : one.error._tag))
  )

describe("an agent on Anthropic's client, over HTTP", () => {
  it.live("runs the three calls of a turn and answers them in one user message", () =>
    Effect.gen(function* () {
      const events = yield* Ref.make<ReadonlyArray<Model.TurnEvent>>([])
      const script: MessagesServer.Script = ({ lastToolResults, turn }) =>
        Effect.succeed(
          turn === 0
            ? reply({
                content: [
                  text("Let me see."),
                  toolUse("add", { a: 1, b: 2 }, { id: "toolu_1" }),
                  toolUse("echo", { words: "hi \u{1F600}" }, { id: "toolu_2" }),
                  toolUse("refund", {}, { id: "toolu_3" })
                ],
                usage: { input_tokens: 10, output_tokens: 5 }
              })
            : reply({
                content: [text(lastToolResults.map(({ text }) => text).join(", "))],
                usage: { input_tokens: 20, output_tokens: 7 }
              })
        )
      const { requests, result } = yield* against(
        script,
        run({ onEvent: (event) => Ref.update(events, (all) => [...all, event]) })
      )
      const ended = right(result)
      assert.strictEqual(ended.stop, "end_turn")
      assert.strictEqual(ended.answer, "3, hi \u{1F600}, refunded")
      assert.deepStrictEqual(ended.usage, { inputTokens: 30, outputTokens: 12 })
      assert.deepStrictEqual(roles(ended.messages), ["user", "assistant", "user", "assistant"])
      assert.deepStrictEqual(resultsIn(ended.messages[2]), [
        { type: "tool_result", tool_use_id: "toolu_1", content: "3" },
        { type: "tool_result", tool_use_id: "toolu_2", content: "hi \u{1F600}" },
        { type: "tool_result", tool_use_id: "toolu_3", content: "refunded" }
      ])
      assert.strictEqual(requests.length, 2)
      assert.deepStrictEqual(
        (yield* Ref.get(events)).flatMap((event) => (event._tag === "BlockCompleted" ? (event.call?.name ?? "-") : [])),
        ["-", "add", "echo", "refund", "-"]
      )
    })
  )

  it.live("sends thinking back as it came", () =>
    Effect.gen(function* () {
      const content = [
        thinking("One and two \u{1F914}"),
        { type: "redacted_thinking", data: "cmVkYWN0ZWQ=" },
        text("Hm."),
        toolUse("add", { a: 1, b: 2 })
      ]
      const { requests, result } = yield* against(inTurn(reply({ content }), addOnce, done), run())
      const ended = right(result)
      assert.strictEqual(ended.stop, "end_turn")
      assert.strictEqual(requests.length, 3)
      const [thought, redacted] = resultsIn(ended.messages[1])
      assert.deepInclude(thought, { type: "thinking", thinking: "One and two \u{1F914}" })
      assert.deepStrictEqual(redacted, { type: "redacted_thinking", data: "cmVkYWN0ZWQ=" })
    })
  )

  it.live("an input of broken JSON is answered as an error, and the other calls run", () =>
    Effect.gen(function* () {
      const content = [
        toolUse("add", { a: 1, b: 2 }),
        toolUseRaw("add", '{"a": 1, "b": oops}'),
        toolUseRaw("add", '{"a": 1, "b'),
        toolUseRaw("add", "[1, 2]"),
        toolUseRaw("echo", '{"words": "half \\ud83d"}'),
        toolUse("nothing_like_it", {}),
        toolUse("echo", { words: "fine" })
      ]
      const { result } = yield* against(inTurn(reply({ content }), done), run())
      const ended = right(result)
      assert.strictEqual(ended.stop, "end_turn")
      assert.deepStrictEqual(outcomes(ended)[0], [
        3,
        "MalformedInput",
        "MalformedInput",
        "InvalidInput",
        "half \uFFFD",
        "UnknownTool",
        "fine"
      ])
      assert.deepStrictEqual(
        resultsIn(ended.messages[2]).map((block) => block["is_error"]),
        [undefined, true, true, true, undefined, true, undefined]
      )
    })
  )

  it.live("half a character in the answer's text does not spoil the conversation", () =>
    Effect.gen(function* () {
      const conversation = yield* Agent.conversation()
      const { result } = yield* against(
        inTurn(reply({ content: [text("a\uD83D b")] }), done),
        Effect.zipRight(run({ conversation }), run({ conversation }))
      )
      assert.strictEqual(right(result).stop, "end_turn")
    })
  )

  it.live("blank, odd and colliding ids of a gateway are made right", () =>
    Effect.gen(function* () {
      const content = ["", "same", "same", "not an id!"].map((id, a) => toolUse("add", { a, b: 0 }, { id }))
      const { result } = yield* against(inTurn(reply({ content }), reply({ content }), done), run())
      const ended = right(result)
      assert.strictEqual(ended.stop, "end_turn")
      assert.deepStrictEqual(outcomes(ended).slice(0, 2), [
        [0, 1, 2, 3],
        [0, 1, 2, 3]
      ])
      const ids = ended.exchanges.flatMap(({ turn }) => turn.calls.map(({ id }) => id))
      assert.strictEqual(new Set(ids).size, 8)
      assert.strictEqual(ids[1], "same")
    })
  )

  it.live("names that no tool can have are answered, and do not spoil the conversation", () =>
    Effect.gen(function* () {
      const content = ["", "math.add", "add"].map((name) => toolUse(name, { a: 1, b: 0 }))
      const { result } = yield* against(inTurn(reply({ content }), done), run())
      const ended = right(result)
      assert.strictEqual(ended.stop, "end_turn")
      const results = ended.exchanges[0]?.batch?.results.map(({ _tag, call }) => [call.name, _tag])
      assert.deepStrictEqual(results, [
        ["", "Failure"],
        ["math.add", "Failure"],
        ["add", "Success"]
      ])
    })
  )

  it.live("a reply that is cut while calling tools runs nothing and is asked again with twice the room", () =>
    Effect.gen(function* () {
      const refunds = yield* Ref.make(0)
      const cut = reply({
        content: [toolUse("refund", {}), toolUseRaw("echo", '{"words": "unfini')],
        stopReason: "max_tokens"
      })
      const { requests, result } = yield* against(
        inTurn(cut, cut, addOnce, done),
        run({ maxTokens: 100 }).pipe(
          Effect.provide(
            layersWith(() =>
              Effect.as(
                Ref.update(refunds, (n) => n + 1),
                "refunded"
              )
            )
          )
        )
      )
      const ended = right(result)
      assert.strictEqual(ended.stop, "end_turn")
      assert.strictEqual(yield* Ref.get(refunds), 0)
      assert.deepStrictEqual(outcomes(ended), [undefined, undefined, [3], undefined])
      assert.deepStrictEqual(
        requests.map(({ body }) => body !== undefined && Reflect.get(Object(body), "max_tokens")),
        [100, 200, 400, 400]
      )
      assert.deepStrictEqual(roles(ended.messages), ["user", "assistant", "user", "assistant"])
    })
  )

  it.live("gives up on a cut reply at the limit, and the conversation can go on", () =>
    Effect.gen(function* () {
      const conversation = yield* Agent.conversation()
      const cut = reply({ content: [toolUse("refund", {})], stopReason: "max_tokens" })
      const { requests, result } = yield* against(
        inTurn(cut, cut, done),
        Effect.gen(function* () {
          const first = yield* run({ conversation, maxTokens: 100, maxTokensLimit: 200 })
          assert.strictEqual(first.stop, "max_tokens")
          return yield* run({ conversation })
        })
      )
      assert.strictEqual(right(result).stop, "end_turn")
      assert.strictEqual(requests.length, 3)
    })
  )

  it.live("a paused turn is sent back as it is", () =>
    Effect.gen(function* () {
      const paused = reply({
        content: [
          text("Searching."),
          { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: { query: "sum" } }
        ],
        stopReason: "pause_turn"
      })
      const { requests, result } = yield* against(inTurn(paused, addOnce, done), run())
      const ended = right(result)
      assert.strictEqual(ended.stop, "end_turn")
      assert.strictEqual(requests.length, 3)
      assert.deepStrictEqual(roles(ended.messages), ["user", "assistant", "assistant", "user", "assistant"])
    })
  )

  const ends: ReadonlyArray<[string, MessagesServer.ReplyOptions, Agent.Stop]> = [
    ["end_turn", { content: [text("Done.")] }, "end_turn"],
    ["stop_sequence", { content: [text("Done.")], stopReason: "stop_sequence" }, "end_turn"],
    ["a refusal", { content: [text("I will not")], stopReason: "refusal" }, "refusal"],
    ["a refusal in the middle of a call", { content: [toolUse("refund", {})], stopReason: "refusal" }, "refusal"],
    ["a full context window", { content: [text("I")], stopReason: "model_context_window_exceeded" }, "context_window"],
    ["no stop reason", { content: [toolUse("refund", {})], stopReason: null }, "incomplete"],
    ["an unknown stop reason", { content: [text("?")], stopReason: "tea_time" }, "incomplete"],
    ["a text that is cut", { content: [text("Do")], stopReason: "max_tokens" }, "max_tokens"],
    ["thinking that is cut", { content: [thinking("Hm, so I")], stopReason: "max_tokens" }, "max_tokens"],
    ["nothing but thinking", { content: [thinking("Hm."), text("")], stopReason: "end_turn" }, "end_turn"],
    [
      "thinking and a call that must not run",
      { content: [thinking("Hm."), toolUse("refund", {})], stopReason: "end_turn" },
      "end_turn"
    ],
    ["no content", { content: [], stopReason: "end_turn" }, "end_turn"],
    ["a blank pause", { content: [text("")], stopReason: "pause_turn" }, "incomplete"]
  ]
  for (const [name, options, stop] of ends) {
    it.live(`ends with ${stop} on ${name}, having run nothing, and the conversation can go on`, () =>
      Effect.gen(function* () {
        const conversation = yield* Agent.conversation()
        const { requests, result } = yield* against(
          inTurn(reply(options), addOnce, done),
          Effect.gen(function* () {
            const first = yield* run({ conversation })
            assert.strictEqual(first.stop, stop)
            assert.deepStrictEqual(outcomes(first), [undefined])
            return yield* run({ conversation })
          })
        )
        assert.strictEqual(right(result).stop, "end_turn")
        assert.strictEqual(requests.length, 3)
      })
    )
  }

  it.live("out of turns leaves a conversation that goes on", () =>
    Effect.gen(function* () {
      const conversation = yield* Agent.conversation()
      const { result } = yield* against(
        inTurn(addOnce, addOnce, addOnce, done),
        Effect.gen(function* () {
          const first = yield* run({ conversation, maxTurns: 2 })
          assert.strictEqual(first.stop, "out_of_turns")
          assert.strictEqual(first.exchanges.length, 2)
          return yield* run({ conversation, prompt: "Go on." })
        })
      )
      const ended = right(result)
      assert.strictEqual(ended.stop, "end_turn")
      assert.strictEqual(ended.messages.length, 9)
      assert.deepStrictEqual(ended.messages, yield* Ref.get(conversation))
    })
  )

  it.live("asks an overloaded API again by its own schedule", () =>
    Effect.gen(function* () {
      const overloaded = MessagesServer.error({ status: 529, type: "overloaded_error", message: "Overloaded" })
      const { requests, result } = yield* against(
        inTurn(overloaded, addOnce, overloaded, done),
        run({ modelRetry: undefined })
      )
      assert.strictEqual(right(result).stop, "end_turn")
      assert.strictEqual(requests.length, 4)
    })
  )

  it.live("waits as long as a rate limit asks", () =>
    Effect.gen(function* () {
      const limited = MessagesServer.error({
        status: 429,
        type: "rate_limit_error",
        message: "Slow down",
        retryAfter: "1500 millis"
      })
      const [took, { requests, result }] = yield* Effect.timed(
        against(inTurn(limited, done), run({ modelRetry: undefined }))
      )
      assert.strictEqual(right(result).stop, "end_turn")
      assert.strictEqual(requests.length, 2)
      assert.isAtLeast(Duration.toMillis(took), 1490)
    })
  )

  const refusals: ReadonlyArray<[string, Parameters<typeof MessagesServer.error>[0], Model.ModelError["reason"]]> = [
    ["a bad request", { status: 400, type: "invalid_request_error", message: "no" }, "refused"],
    ["a wrong key", { status: 401, type: "authentication_error", message: "no" }, "refused"],
    [
      "a spend limit",
      { status: 429, type: "rate_limit_error", message: "no", errorCode: "enforced_spend_limit_reached" },
      "rate_limited"
    ],
    [
      "x-should-retry: false",
      { status: 529, type: "overloaded_error", message: "no", shouldRetry: false },
      "overloaded"
    ]
  ]
  for (const [name, error, reason] of refusals) {
    it.live(`${name} is not asked again and surfaces as ModelError`, () =>
      Effect.gen(function* () {
        const conversation = yield* Agent.conversation()
        const { requests, result } = yield* against(inTurn(addOnce, MessagesServer.error(error)), run({ conversation }))
        assert(result._tag === "Left")
        assert.instanceOf(result.left, Model.ModelError)
        assert.strictEqual(result.left.reason, reason)
        assert.strictEqual(result.left.status, error.status)
        assert.isFalse(result.left.retryable)
        assert.strictEqual(requests.length, 2)
        // What was done before is kept.
        assert.deepStrictEqual(roles(yield* Ref.get(conversation)), ["user", "assistant", "user"])
      })
    )
  }

  it.live("gives up on an API that stays overloaded, after as many retries as it is allowed", () =>
    Effect.gen(function* () {
      const overloaded = MessagesServer.error({ status: 529, type: "overloaded_error", message: "Overloaded" })
      const { requests, result } = yield* against(() => Effect.succeed(overloaded), run())
      assert(result._tag === "Left" && result.left.reason === "overloaded" && result.left.retryable)
      assert.strictEqual(requests.length, 4)
    })
  )

  const faults: ReadonlyArray<[string, (after: number) => MessagesServer.StreamFault, Model.ModelError["reason"]]> = [
    ["is cut without a word", MessagesServer.cutAfter, "cut"],
    ["loses its connection", MessagesServer.resetAfter, "connection"],
    ["ends in an overloaded_error", MessagesServer.overloadedAfter, "overloaded"],
    ["falls silent", MessagesServer.stallAfter, "idle"]
  ]
  for (const [name, fault, reason] of faults) {
    const silence = reason === "idle" ? "500 millis" : undefined
    it.live(`a stream that ${name} is asked for again, and none of its calls has run`, () =>
      Effect.gen(function* () {
        const content = [toolUse("add", { a: 1, b: 2 }), toolUse("refund", {}), text("and")]
        const script: MessagesServer.Script = ({ requestNumber }) =>
          Effect.succeed(
            requestNumber === 4
              ? reply({ content })
              : requestNumber > 4
                ? done
                : // Before the first block, in the middle of a call, and when all of them are there.
                  reply({ content, stopReason: "tool_use", fault: fault([1, 4, 14][requestNumber - 1] ?? 1) })
          )
        const { requests, result } = yield* against(script, run(), silence)
        const ended = right(result)
        assert.strictEqual(ended.stop, "end_turn")
        assert.deepStrictEqual(outcomes(ended), [[3, "refunded"], undefined])
        assert.strictEqual(requests.length, 5)
      })
    )

    it.live(`a stream that ${name} is a ModelError of reason ${reason}`, () =>
      Effect.gen(function* () {
        const { result } = yield* against(
          () => Effect.succeed(reply({ content: [text("Hello"), toolUse("refund", {})], fault: fault(4) })),
          run({ modelRetry: Schedule.stop }),
          silence
        )
        assert(result._tag === "Left")
        assert.strictEqual(result.left.reason, reason)
        assert.isTrue(result.left.retryable)
      })
    )
  }

  it.live("a server that never answers is idle too", () =>
    Effect.gen(function* () {
      const { requests, result } = yield* against(
        ({ requestNumber }) => (requestNumber === 1 ? Effect.never : Effect.succeed(done)),
        run(),
        "500 millis"
      )
      assert.strictEqual(right(result).stop, "end_turn")
      assert.strictEqual(requests.length, 2)
    })
  )

  it.live("its own timeout ends a stream that has fallen silent", () =>
    Effect.gen(function* () {
      const { result } = yield* against(
        () => Effect.succeed(reply({ content: [text("Hello")], fault: MessagesServer.stallAfter(3) })),
        run({ timeout: "100 millis" })
      )
      const ended = right(result)
      assert.strictEqual(ended.stop, "out_of_time")
      assertGoesOn(ended.messages)
    })
  )

  it.live("a stream that is slow but never silent is not idle", () =>
    Effect.gen(function* () {
      const content = [text("one two three four"), text("five six seven eight")]
      const { requests, result } = yield* against(
        () => Effect.succeed(reply({ content, chunkDelay: "60 millis" })),
        run(),
        "500 millis"
      )
      assert.strictEqual(right(result).answer, "one two three fourfive six seven eight")
      assert.strictEqual(requests.length, 1)
    })
  )
})

/** Whether the API takes the conversation once the user has said something more. */
const assertGoesOn = (messages: ReadonlyArray<Model.Message>) =>
  assert.isUndefined(
    MessagesRules.check({
      model: "claude-haiku-5-5",
      max_tokens: 4096,
      tools: Toolbox.describe(toolbox),
      messages: [...messages, { role: "user", content: "And now?" }]
    })
  )

const call = (name: string, input: unknown, id = `toolu_${name}`) => ({ id, name, input })

describe("an agent that is stopped", () => {
  it.effect("in the middle of a batch keeps what was done and says what is not known", () =>
    Effect.gen(function* () {
      const conversation = yield* Agent.conversation()
      const heard = yield* Ref.make<ReadonlyArray<Agent.Exchange>>([])
      const fiber = yield* run({
        conversation,
        concurrency: 2,
        onExchange: (exchange) => Ref.update(heard, (all) => [...all, exchange])
      }).pipe(
        Effect.provide(layersWith(FaultyTool.hanging)),
        Effect.provide(
          ScriptedModel.layerTurns({
            text: "Refunding.",
            calls: [
              call("add", { a: 1, b: 2 }),
              call("refund", {}, "toolu_r1"),
              call("refund", {}, "toolu_r2"),
              call("echo", { words: "hi" })
            ]
          })
        ),
        Effect.fork
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      const messages = yield* Ref.get(conversation)
      assertGoesOn(messages)
      assert.deepStrictEqual(roles(messages), ["user", "assistant", "user"])
      const [added, first, second, echoed] = resultsIn(messages[2])
      assert.deepStrictEqual(added, { type: "tool_result", tool_use_id: "toolu_add", content: "3" })
      for (const refunded of [first, second]) {
        assert.match(String(refunded?.["content"]), /^Outcome unknown: .* may have taken effect/)
        assert.strictEqual(refunded?.["is_error"], true)
      }
      assert.match(String(echoed?.["content"]), /^Not executed: .*interrupted before this call began.*no effect/)
      assert.deepStrictEqual(
        (yield* Ref.get(heard)).map(({ batch }) => batch?.summary.succeeded),
        [1]
      )
    })
  )

  it.effect("while the model speaks keeps the conversation as it was", () =>
    Effect.gen(function* () {
      const conversation = yield* Agent.conversation()
      const started = yield* Deferred.make<void>()
      const fiber = yield* run({ conversation }).pipe(
        Effect.provide(layers),
        Effect.provide(
          ScriptedModel.layer((_, turn) =>
            turn === 0
              ? Effect.succeed({ calls: [call("add", { a: 1, b: 2 })] })
              : Effect.zipRight(Deferred.succeed(started, undefined), Effect.never)
          )
        ),
        Effect.fork
      )
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      const messages = yield* Ref.get(conversation)
      assert.deepStrictEqual(roles(messages), ["user", "assistant", "user"])
      assertGoesOn(messages)
    })
  )

  it.effect("by its timeout in the middle of a batch reports every call", () =>
    Effect.gen(function* () {
      const conversation = yield* Agent.conversation()
      const fiber = yield* run({ conversation, timeout: "10 seconds" }).pipe(
        Effect.provide(layersWith(FaultyTool.deaf)),
        Effect.provide(ScriptedModel.layerTurns({ calls: [call("refund", {}), call("add", { a: 1, b: 2 })] })),
        Effect.fork
      )
      yield* TestClock.adjust("10 seconds")
      const ended = yield* Fiber.join(fiber)
      assert.strictEqual(ended.stop, "out_of_time")
      assert.deepStrictEqual(outcomes(ended), [["Timeout", 3]])
      assertGoesOn(ended.messages)
      assert.match(String(resultsIn(ended.messages[2])[0]?.["content"]), /may have taken effect/)
    })
  )

  it.effect("by its timeout while the model says nothing", () =>
    Effect.gen(function* () {
      const fiber = yield* run({ timeout: "10 seconds" }).pipe(
        Effect.provide(layers),
        Effect.provide(ScriptedModel.layer(() => Effect.never)),
        Effect.fork
      )
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None")
      yield* TestClock.adjust("1 millis")
      const ended = yield* Fiber.join(fiber)
      assert.strictEqual(ended.stop, "out_of_time")
      assert.deepStrictEqual(ended.exchanges, [])
      assertGoesOn(ended.messages)
    })
  )

  it.effect("by its timeout while it waits to ask the model again", () =>
    Effect.gen(function* () {
      const busy = new Model.ModelError({
        reason: "rate_limited",
        detail: "busy",
        status: 429,
        retryable: true,
        retryAfter: Duration.seconds(30)
      })
      const fiber = yield* run({ timeout: "10 seconds", modelRetry: undefined }).pipe(
        Effect.provide(layers),
        Effect.provide(ScriptedModel.layer(() => Effect.fail(busy))),
        Effect.fork
      )
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).stop, "out_of_time")
    })
  )

  it.effect("by its token budget begins no further turn", () =>
    Effect.gen(function* () {
      const asked = yield* Ref.make(0)
      const turn = (n: number): Model.Turn => ({
        content: [{ type: "tool_use", id: `toolu_${n}`, name: "add", input: { a: 1, b: 2 } }],
        calls: [call("add", { a: 1, b: 2 }, `toolu_${n}`)],
        stopReason: "tool_use",
        usage: { inputTokens: 40, outputTokens: 10 }
      })
      const model = Layer.succeed(Model.Model, {
        streamTurn: () =>
          Stream.fromEffect(
            Effect.map(
              Ref.updateAndGet(asked, (n) => n + 1),
              (n): Model.TurnEvent => ({ _tag: "TurnCompleted", turn: turn(n) })
            )
          )
      })
      const ended = yield* run({ tokenBudget: 100 }).pipe(Effect.provide(layers), Effect.provide(model))
      assert.strictEqual(ended.stop, "out_of_tokens")
      assert.strictEqual(yield* Ref.get(asked), 2)
      assert.deepStrictEqual(ended.usage, { inputTokens: 80, outputTokens: 20 })
      assert.deepStrictEqual(outcomes(ended), [[3], [3]])
      assertGoesOn(ended.messages)
    })
  )

  it.effect("by a model that does not come back keeps all that was done", () =>
    Effect.gen(function* () {
      const conversation = yield* Agent.conversation()
      const down = new Model.ModelError({
        reason: "connection",
        detail: "gone",
        status: undefined,
        retryable: true,
        retryAfter: undefined
      })
      const fiber = yield* run({ conversation, modelRetry: undefined }).pipe(
        Effect.provide(layers),
        Effect.provide(
          ScriptedModel.layer((_, turn) =>
            turn === 0 ? Effect.succeed({ calls: [call("refund", {})] }) : Effect.fail(down)
          )
        ),
        Effect.flip,
        Effect.fork
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(fiber), down)
      const messages = yield* Ref.get(conversation)
      assert.deepStrictEqual(roles(messages), ["user", "assistant", "user"])
      assertGoesOn(messages)
    })
  )
})
