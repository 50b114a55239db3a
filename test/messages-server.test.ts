import { createServer } from "node:http"
import Anthropic, {
  APIConnectionError,
  APIError,
  BadRequestError,
  ContentTooLargeError,
  InternalServerError,
  OverloadedError,
  RateLimitError
} from "@anthropic-ai/sdk"
import type { HttpServerRequest } from "@effect/platform/HttpServerRequest"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { fromRequest } from "../src/testing/internal/requestSocket.ts"
import * as MessagesServer from "../src/testing/MessagesServer.ts"

const question: Anthropic.MessageCreateParamsNonStreaming = {
  model: "claude-haiku-5-5",
  max_tokens: 1024,
  messages: [{ role: "user", content: "hi" }]
}

interface Running {
  readonly server: Context.Tag.Service<typeof MessagesServer.MessagesServer>
  readonly client: Anthropic
}

const serve = <E>(script: MessagesServer.Script<E>): Effect.Effect<Running, unknown, Scope.Scope> =>
  Layer.build(MessagesServer.layer(script).pipe(Layer.provide(NodeHttpServer.layer(createServer, { port: 0 })))).pipe(
    Effect.map((context) => {
      const server = Context.get(context, MessagesServer.MessagesServer)
      return { server, client: new Anthropic({ apiKey: "embedded", baseURL: server.url, maxRetries: 0 }) }
    })
  )

const replying = (options: MessagesServer.ReplyOptions) => serve(() => Effect.succeed(MessagesServer.reply(options)))

const attempt = <A>(promise: () => PromiseLike<A>) =>
  Effect.tryPromise({ try: async () => promise(), catch: (error) => error })

/** Reads the raw stream until it ends, breaks, or is idle: the events that came, and how it ended. */
const readRaw = (client: Anthropic, params: Anthropic.MessageCreateParamsNonStreaming = question) =>
  Effect.gen(function* () {
    const events: Array<Anthropic.RawMessageStreamEvent> = []
    const done = yield* Deferred.make<"ended", unknown>()
    const controller = new AbortController()
    yield* Effect.addFinalizer(() => Effect.sync(() => controller.abort()))
    const stream = yield* attempt(() =>
      client.messages.create({ ...params, stream: true }, { signal: controller.signal })
    )
    yield* attempt(async () => {
      for await (const event of stream) events.push(event)
    }).pipe(Effect.as("ended" as const), Effect.intoDeferred(done), Effect.forkScoped)
    const end = yield* Deferred.await(done).pipe(
      Effect.timeoutTo({ duration: "500 millis", onSuccess: (end): string => end, onTimeout: () => "stalled" }),
      Effect.catchAll((error) => Effect.succeed(error))
    )
    return { types: events.map(({ type }) => type), events, end }
  })

const everyBlock: ReadonlyArray<MessagesServer.Block> = [
  MessagesServer.thinking("Two and one: \u{1F914} three."),
  { type: "redacted_thinking", data: "cmVkYWN0ZWQ=" },
  MessagesServer.text("Let me add \u{1F600} them."),
  { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: { query: "sum" } },
  { type: "web_search_tool_result", tool_use_id: "srvtoolu_1", content: [] },
  MessagesServer.toolUse("add", { a: 1, b: "\u{1F600} quite a long text" }),
  MessagesServer.toolUse("now")
]

const plain = (u: unknown): unknown => JSON.parse(JSON.stringify(u))

describe("MessagesServer", () => {
  it.scopedLive("streams every kind of block so that the client reads the message that was scripted", () =>
    Effect.gen(function* () {
      const { client } = yield* replying({ content: everyBlock, usage: { input_tokens: 7, output_tokens: 9 } })
      const streamed = yield* attempt(() => client.messages.stream(question).finalMessage())
      const whole = yield* attempt(() => client.messages.create(question))
      for (const message of [streamed, whole]) {
        assert.strictEqual(message.stop_reason, "tool_use")
        assert.strictEqual(message.usage.input_tokens, 7)
        assert.strictEqual(message.usage.output_tokens, 9)
        const [thinking, redacted, said, search, found, add, now] = message.content
        assert.deepInclude(plain(thinking), { type: "thinking", thinking: "Two and one: \u{1F914} three." })
        assert.deepEqual(plain(redacted), { type: "redacted_thinking", data: "cmVkYWN0ZWQ=" })
        assert.deepEqual(plain(said), { type: "text", text: "Let me add \u{1F600} them.", citations: null })
        assert.deepInclude(plain(search), { type: "server_tool_use", input: { query: "sum" } })
        assert.deepInclude(plain(found), { type: "web_search_tool_result", tool_use_id: "srvtoolu_1" })
        assert.deepInclude(plain(add), { name: "add", input: { a: 1, b: "\u{1F600} quite a long text" } })
        assert.deepInclude(plain(now), { name: "now", input: {} })
      }
      const ids = [streamed, whole].flatMap(({ content }) =>
        content.flatMap((block) => (block.type === "tool_use" ? [block.id] : []))
      )
      assert.strictEqual(new Set(ids).size, 4)
      for (const id of ids) assert.match(id, /^toolu_[a-zA-Z0-9_]+$/)
    })
  )

  it.scopedLive("sends the events of the API in order, with pings and an unknown one among them", () =>
    Effect.gen(function* () {
      const { client, server } = yield* replying({ content: [MessagesServer.toolUse("add", { a: 1 })] })
      const { events, end } = yield* readRaw(client)
      assert.strictEqual(end, "ended")
      const types: ReadonlyArray<string> = events.map(({ type }) => type)
      assert.deepEqual(types, [
        "message_start",
        "content_block_start",
        ...Array.from({ length: 4 }, () => "content_block_delta"),
        "content_block_stop",
        "salvo_unknown_event",
        "message_delta",
        "message_stop"
      ])
      const json = events.flatMap((event) =>
        event.type === "content_block_delta" && event.delta.type === "input_json_delta"
          ? [event.delta.partial_json]
          : []
      )
      assert.strictEqual(json[0], "")
      assert.strictEqual(json.join(""), '{"a":1}')
      const raw = yield* attempt(async () => {
        const response = await fetch(`${server.url}/v1/messages?beta=true`, {
          method: "POST",
          headers: { authorization: "Bearer x", "anthropic-version": "2026-10-21" },
          body: JSON.stringify({ ...question, stream: true })
        })
        return response.text()
      })
      assert.include(raw, 'event: ping\ndata: {"type":"ping"}\n\n')
      assert.isTrue(raw.startsWith("event: message_start\ndata: {"))
    })
  )

  it.scopedLive("flushes event by event: what was sent before a pause arrives before it", () =>
    Effect.gen(function* () {
      const { client } = yield* replying({
        content: [MessagesServer.text("one"), MessagesServer.text("two")],
        delayBetweenBlocks: "1 minute"
      })
      const { types, end } = yield* readRaw(client)
      assert.strictEqual(end, "stalled")
      assert.strictEqual(types.at(-1), "content_block_stop")
      assert.strictEqual(types.filter((type) => type === "content_block_start").length, 1)
    })
  )

  it.scopedLive("lets a script react to the tool results, and refuses what breaks the rules on the way", () =>
    Effect.gen(function* () {
      const { client, server } = yield* serve(({ lastToolResults, turn, requestNumber }) =>
        Effect.succeed(
          MessagesServer.reply(
            turn === 0
              ? { content: [MessagesServer.toolUse("add", { a: 1 }, { id: "toolu_a" }), MessagesServer.toolUse("add")] }
              : { content: [MessagesServer.text(JSON.stringify({ requestNumber, lastToolResults }))] }
          )
        )
      )
      const first = yield* attempt(() => client.messages.stream(question).finalMessage())
      const ids = first.content.flatMap((block) => (block.type === "tool_use" ? [block.id] : []))
      const next = (results: ReadonlyArray<Anthropic.ToolResultBlockParam>) => ({
        ...question,
        messages: [
          ...question.messages,
          { role: "assistant" as const, content: first.content },
          { role: "user" as const, content: [...results] }
        ]
      })
      const failed: Anthropic.ToolResultBlockParam = {
        type: "tool_result",
        tool_use_id: "toolu_a",
        is_error: true,
        content: [{ type: "text", text: "no" }]
      }
      const other: Anthropic.ToolResultBlockParam = { type: "tool_result", tool_use_id: ids[1] ?? "", content: "3" }
      const refusal = yield* Effect.flip(attempt(() => client.messages.create(next([failed]))))
      assert.instanceOf(refusal, BadRequestError)
      assert.include(
        refusal.message,
        `messages.1: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${ids[1]}.`
      )
      const last = yield* attempt(() => client.messages.create(next([failed, other])))
      assert.deepInclude(plain(last.content[0]), {
        text: JSON.stringify({
          requestNumber: 3,
          lastToolResults: [
            { tool_use_id: "toolu_a", is_error: true, text: "no" },
            { tool_use_id: ids[1], is_error: false, text: "3" }
          ]
        })
      })
      const requests = yield* server.requests
      const rejections = yield* server.rejections
      assert.deepEqual(
        requests.map(({ rejection }) => rejection?.status),
        [undefined, 400, undefined]
      )
      assert.deepEqual(
        rejections.map(({ requestNumber, body }) => [requestNumber, body]),
        [[2, plain(next([failed]))]]
      )
      assert.strictEqual(requests[0]?.headers["authorization"], "Bearer embedded")
    })
  )

  it.scopedLive("holds the client to the thinking it has sent", () =>
    Effect.gen(function* () {
      const { client } = yield* replying({ content: [MessagesServer.thinking("Hm."), MessagesServer.text("Yes.")] })
      const { content } = yield* attempt(() => client.messages.stream(question).finalMessage())
      const echo = (content: Anthropic.MessageParam["content"]) =>
        attempt(() =>
          client.messages.create({
            ...question,
            messages: [...question.messages, { role: "assistant", content }, { role: "user", content: "Sure?" }]
          })
        )
      yield* echo(content)
      const modified = yield* Effect.flip(
        echo(content.map((block) => (block.type === "thinking" ? Object.assign({}, block, { thinking: "" }) : block)))
      )
      assert.include(String(modified), "cannot be modified")
      const foreign = yield* Effect.flip(
        echo([
          { type: "thinking", thinking: "Hm.", signature: "mine" },
          { type: "text", text: "Yes." }
        ])
      )
      assert.include(String(foreign), "Invalid `signature` in `thinking` block")
    })
  )

  it.scopedLive("takes a paused turn back, and no other", () =>
    Effect.gen(function* () {
      const { client } = yield* serve(({ turn }) =>
        Effect.succeed(
          MessagesServer.reply(
            turn === 0
              ? {
                  content: [MessagesServer.text("Searching."), everyBlock[3] ?? { type: "x" }],
                  stopReason: "pause_turn"
                }
              : { content: [MessagesServer.text("Done.")] }
          )
        )
      )
      const paused = yield* attempt(() => client.messages.stream(question).finalMessage())
      assert.strictEqual(paused.stop_reason, "pause_turn")
      const resume = (content: Anthropic.MessageParam["content"]) =>
        attempt(() =>
          client.messages.create({ ...question, messages: [...question.messages, { role: "assistant", content }] })
        )
      const done = yield* resume(paused.content)
      assert.strictEqual(done.stop_reason, "end_turn")
      const refusal = yield* Effect.flip(resume(done.content))
      assert.include(String(refusal), "does not support assistant message prefill")
    })
  )

  it.scopedLive("sends malformed and cut tool input as it is, beside a call that is fine", () =>
    Effect.gen(function* () {
      const { client } = yield* replying({
        content: [MessagesServer.toolUseRaw("add", '{"a": 1, "b": tr'), MessagesServer.toolUse("add", { a: 2 })],
        stopReason: "max_tokens"
      })
      const { events } = yield* readRaw(client)
      const input = (at: number) =>
        events
          .flatMap((event) =>
            event.type === "content_block_delta" && event.index === at && event.delta.type === "input_json_delta"
              ? [event.delta.partial_json]
              : []
          )
          .join("")
      assert.strictEqual(input(0), '{"a": 1, "b": tr')
      assert.strictEqual(input(1), '{"a":2}')
      const delta = events.find((event) => event.type === "message_delta")
      assert.strictEqual(delta?.delta.stop_reason, "max_tokens")
      const whole = yield* attempt(() => client.messages.create(question))
      assert.deepInclude(plain(whole.content[0]), { input: '{"a": 1, "b": tr' })
      assert.deepInclude(plain(whole.content[1]), { input: { a: 2 } })
    })
  )

  describe("breaks a stream", () => {
    const content = [MessagesServer.text("one two three"), MessagesServer.toolUse("add", { a: 1 })]
    const firstThree = ["message_start", "content_block_start", "content_block_delta"]

    it.scopedLive("cut: the body just ends", () =>
      Effect.gen(function* () {
        const { client } = yield* replying({ content, fault: MessagesServer.cutAfter(3) })
        const { types, end } = yield* readRaw(client)
        assert.deepEqual(types, firstThree)
        assert.strictEqual(end, "ended")
        const error = yield* Effect.flip(attempt(() => client.messages.stream(question).finalMessage()))
        assert.include(String(error), "stream ended without producing a Message")
      })
    )

    it.scopedLive("cut: never as late as message_stop", () =>
      Effect.gen(function* () {
        const { client } = yield* replying({ content, fault: MessagesServer.cutAfter(Number.POSITIVE_INFINITY) })
        const { types, end } = yield* readRaw(client)
        assert.strictEqual(types.at(-1), "message_delta")
        assert.strictEqual(end, "ended")
      })
    )

    it.scopedLive("reset: the connection is gone, after the events before it", () =>
      Effect.gen(function* () {
        const { client } = yield* replying({ content, fault: MessagesServer.resetAfter(3) })
        const { types, end } = yield* readRaw(client)
        assert.deepEqual(types, firstThree)
        assert.instanceOf(end, TypeError)
        assert.propertyVal(end.cause, "code", "UND_ERR_SOCKET")
      })
    )

    it.scopedLive("overloaded: an error after HTTP 200", () =>
      Effect.gen(function* () {
        const { client } = yield* replying({ content, fault: MessagesServer.overloadedAfter(3) })
        const { types, end } = yield* readRaw(client)
        assert.deepEqual(types, firstThree)
        assert.instanceOf(end, APIError)
        assert.strictEqual(end.type, "overloaded_error")
        assert.isUndefined(end.status)
      })
    )

    it.scopedLive("stall: nothing more, and the server still closes", () =>
      Effect.gen(function* () {
        const seen = yield* Effect.scoped(
          Effect.gen(function* () {
            const { client } = yield* replying({ content, fault: MessagesServer.stallAfter(3) })
            // A second one nobody reads: only the server can end it.
            yield* Effect.fork(Effect.ignore(attempt(() => client.messages.stream(question).finalMessage())))
            return yield* readRaw(client)
          })
        ).pipe(Effect.timeout("5 seconds"))
        assert.deepEqual(seen.types, firstThree)
        assert.strictEqual(seen.end, "stalled")
      })
    )

    it.scopedLive("and breaks a reply that was not asked to stream alike", () =>
      Effect.gen(function* () {
        const failing = (fault: MessagesServer.StreamFault) =>
          Effect.scoped(
            Effect.flatMap(replying({ content, fault }), ({ client }) =>
              attempt(() => client.messages.create(question)).pipe(
                Effect.flip,
                Effect.timeoutTo({ duration: "500 millis", onSuccess: (e): unknown => e, onTimeout: () => "stalled" })
              )
            )
          )
        assert.instanceOf(yield* failing(MessagesServer.cutAfter(0)), SyntaxError)
        assert.instanceOf(yield* failing(MessagesServer.resetAfter(0)), APIConnectionError)
        assert.instanceOf(yield* failing(MessagesServer.overloadedAfter(0)), OverloadedError)
        assert.strictEqual(yield* failing(MessagesServer.stallAfter(0)), "stalled")
      })
    )
  })

  it.scopedLive("answers with the errors a script asks for", () =>
    Effect.gen(function* () {
      const { client } = yield* serve(({ requestNumber }) =>
        Effect.succeed(
          MessagesServer.error({
            status: 429,
            type: "rate_limit_error",
            message: "Slow down.",
            retryAfter: requestNumber === 1 ? "3 seconds" : "250 millis",
            errorCode: "enforced_spend_limit_reached",
            shouldRetry: false
          })
        )
      )
      const limited = yield* Effect.flip(attempt(() => client.messages.create(question)))
      assert.instanceOf(limited, RateLimitError)
      assert.strictEqual(limited.headers.get("retry-after"), "3")
      assert.strictEqual(limited.headers.get("x-should-retry"), "false")
      assert.strictEqual(limited.errorCode, "enforced_spend_limit_reached")
      assert.strictEqual(limited.requestID, "req_000001")
      const again = yield* Effect.flip(attempt(() => client.messages.create(question)))
      assert.instanceOf(again, RateLimitError)
      assert.strictEqual(again.headers.get("retry-after-ms"), "250")
    })
  )

  it.scopedLive.each([
    ["fails", () => Effect.fail("no idea")],
    ["dies", () => Effect.die(new Error("no idea"))],
    [
      "throws",
      () => {
        throw new Error("no idea")
      }
    ],
    ["answers what is no JSON", () => Effect.succeed(MessagesServer.reply({ content: [{ type: "text", text: 1n }] }))]
  ] satisfies ReadonlyArray<readonly [string, MessagesServer.Script<string>]>)(
    "is HTTP 500 where the script %s",
    ([, script]) =>
      Effect.gen(function* () {
        const { client } = yield* serve<string>(script)
        const error = yield* Effect.flip(attempt(() => client.messages.create({ ...question, stream: true })))
        assert.instanceOf(error, InternalServerError)
        assert.strictEqual(error.type, "api_error")
      })
  )

  it.scopedLive("interrupts the script when the client hangs up", () =>
    Effect.gen(function* () {
      const interrupted = yield* Deferred.make<void>()
      const started = yield* Deferred.make<void>()
      const { client } = yield* serve(() =>
        Deferred.succeed(started, undefined).pipe(
          Effect.zipRight(Effect.never),
          Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
        )
      )
      const controller = new AbortController()
      yield* Effect.fork(Effect.ignore(attempt(() => client.messages.create(question, { signal: controller.signal }))))
      yield* Deferred.await(started)
      controller.abort()
      yield* Deferred.await(interrupted).pipe(Effect.timeout("5 seconds"))
    })
  )

  it.scopedLive("refuses message threads so that the SDK's runner falls back to full histories", () =>
    Effect.gen(function* () {
      const { client, server } = yield* serve(({ turn }) =>
        Effect.succeed(
          MessagesServer.reply({
            content: turn === 0 ? [MessagesServer.toolUse("add", { a: 1 })] : [MessagesServer.text("Done.")]
          })
        )
      )
      const final = yield* attempt(() =>
        client.beta.messages.toolRunner({
          ...question,
          messages: [{ role: "user", content: "hi" }],
          tools: [
            {
              name: "add",
              input_schema: { type: "object" },
              run: () => "3",
              parse: (u: unknown) => u
            }
          ]
        })
      )
      assert.strictEqual(final.stop_reason, "end_turn")
      const requests = yield* server.requests
      assert.deepEqual(
        requests.map(({ rejection }) => rejection?.errorCode),
        ["thread_unsupported_request", undefined, undefined]
      )
    })
  )

  it.scopedLive("asks for a key, a version and the right address", () =>
    Effect.gen(function* () {
      const { server } = yield* replying({ content: [MessagesServer.text("hi")] })
      const ask = (path: string, headers: Record<string, string>, init: RequestInit = {}) =>
        attempt(async () => {
          const response = await fetch(`${server.url}${path}`, {
            method: "POST",
            body: JSON.stringify(question),
            headers,
            ...init
          })
          return [response.status, JSON.parse(await response.text()).error?.type]
        })
      const version = { "anthropic-version": "2026-10-21" }
      const head = { ...version, "x-api-key": "k" }
      assert.deepEqual(yield* ask("/v1/messages", head), [200, undefined])
      assert.deepEqual(yield* ask("/v1/messages?beta=true", { ...version, authorization: "Bearer k" }), [
        200,
        undefined
      ])
      assert.deepEqual(yield* ask("/v1/messages", version), [401, "authentication_error"])
      assert.deepEqual(yield* ask("/v1/messages", { "x-api-key": "k" }), [400, "invalid_request_error"])
      assert.deepEqual(yield* ask("/v1/complete", head), [404, "not_found_error"])
      assert.deepEqual(yield* ask("/v1/messages", head, { body: "{" }), [400, "invalid_request_error"])
      assert.deepEqual(yield* ask("/v1/messages", head, { method: "PUT" }), [405, "invalid_request_error"])
      assert.strictEqual((yield* server.rejections).length, 5)
    })
  )

  it.scopedLive("reads bodies of tens of megabytes, and refuses those over the API's limit", () =>
    Effect.gen(function* () {
      const { client } = yield* replying({ content: [MessagesServer.text("hi")] })
      const megabytes = (n: number) =>
        attempt(() =>
          client.messages.create({ ...question, messages: [{ role: "user", content: "x".repeat(n * 1024 * 1024) }] })
        )
      assert.strictEqual((yield* megabytes(20)).stop_reason, "end_turn")
      assert.instanceOf(yield* Effect.flip(megabytes(33)), ContentTooLargeError)
    })
  )

  it("finds no socket where the platform is not Node", () => {
    const request: Pick<HttpServerRequest, "source"> = { source: new Request("http://x.y") }
    assert.isUndefined(fromRequest(request))
  })
})
