import { assert, describe, it } from "@effect/vitest"
import * as MessagesRules from "../src/testing/MessagesRules.ts"

type Json = Readonly<Record<string, unknown>>

const user = (content: unknown): Json => ({ role: "user", content })
const assistant = (content: unknown): Json => ({ role: "assistant", content })
const call = (id: string, more: Json = {}): Json => ({ type: "tool_use", id, name: "add", input: { a: 1 }, ...more })
const result = (id: string, more: Json = {}): Json => ({ type: "tool_result", tool_use_id: id, content: "3", ...more })
const text = (text: string): Json => ({ type: "text", text })

const tool: Json = { name: "add", input_schema: { type: "object", properties: { a: { type: "number" } } } }

const body = (messages: ReadonlyArray<Json>, more: Json = {}): Json => ({
  model: "claude-haiku-5-5",
  max_tokens: 1024,
  messages,
  ...more
})

const asking = (more: Json): Json => body([user("hi")], more)

/** A conversation in which one call is answered with `answer`. */
const answering = (...answer: ReadonlyArray<Json>): Json =>
  body([user("hi"), assistant([text("Let me see."), call("toolu_1")]), user(answer)])

const image = (source: Json): Json => ({ type: "image", source })
const png = { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" }
const serverCall: Json = { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: {} }

const accepted: ReadonlyArray<readonly [string, Json, MessagesRules.Memory?]> = [
  ["a plain question", asking({ system: "Be brief.", tools: [tool], tool_choice: { type: "auto" }, stream: true })],
  ["text blocks", body([user([text("hi")])])],
  ["one result per call", answering(result("toolu_1"))],
  ["a result without content", answering({ type: "tool_result", tool_use_id: "toolu_1" })],
  ["text after the results", answering(result("toolu_1"), text("Go on."))],
  ["an error in words", answering(result("toolu_1", { is_error: true, content: [text("no such file")] }))],
  ["images", answering(result("toolu_1", { content: [text("see"), image(png)] }))],
  ["an image by url", answering(result("toolu_1", { content: [image({ type: "url", url: "https://x.y/z.png" })] }))],
  [
    "documents, search results, tool references and browser state",
    answering(
      result("toolu_1", {
        content: [
          { type: "document", source: { type: "text", media_type: "text/plain", data: "x" }, title: "t" },
          { type: "search_result", source: "https://x.y", title: "t", content: [text("found")] },
          { type: "tool_reference", tool_name: "add" },
          { type: "browser_state", tabs: [{ tab_id: "1", title: "t", url: "u" }] }
        ]
      })
    )
  ],
  [
    "results split over two user messages, which are merged",
    body([user("hi"), assistant([call("a"), call("b")]), user([result("b")]), user([result("a")])])
  ],
  [
    "calls split over two assistant messages, which are merged",
    body([user("hi"), assistant([call("a")]), assistant([call("b")]), user([result("a"), result("b")])])
  ],
  ["a system message in between", body([user("hi"), assistant("Yes?"), { role: "system", content: "x" }, user("Go.")])],
  [
    "server tools, answered in place",
    body([user("hi"), assistant([serverCall, serverResult("srvtoolu_1")]), user("?")])
  ],
  ["surrogate pairs", asking({ system: "\u{1F600}" })],
  ["text that talks about surrogates", asking({ system: "\\ud83d" })],
  ["thinking nobody remembers", body([user("hi"), assistant([thinking("t", "s"), text("Hm.")]), user("?")])],
  [
    "thinking as it was sent",
    body([user("hi"), assistant([thinking("t", "s"), text("Hm.")]), user("?")]),
    { thinking: () => "t" }
  ],
  ["a paused turn sent back", body([user("hi"), assistant([text("Wait.")])]), { paused: () => true }],
  ["prefill for a model that takes it", body([user("hi"), assistant("{")], { model: "claude-sonnet-4-5" })],
  ["an Anthropic tool", asking({ tools: [{ type: "bash_20250124", name: "bash" }] })],
  ["a toolset name that is echoed", toolset("browser")],
  ["no thread", asking({ thread: null })]
]

function thinking(thinking: string, signature: string): Json {
  return { type: "thinking", thinking, signature }
}

function serverResult(id: string): Json {
  return { type: "web_search_tool_result", tool_use_id: id, content: [] }
}

function toolset(echoed: string | null): Json {
  return body([
    user("hi"),
    assistant([call("a", { toolset_name: "browser" })]),
    user([result("a", { toolset_name: echoed })])
  ])
}

const orphan = "`tool_use` ids were found without `tool_result` blocks immediately after: "

const refused: ReadonlyArray<readonly [rule: string, body: unknown, message: string, memory?: MessagesRules.Memory]> = [
  ["an object", [], "Input should be a valid dictionary"],
  ["model", { max_tokens: 1, messages: [user("hi")] }, "model: Field required"],
  ["max_tokens", { model: "m", messages: [user("hi")] }, "max_tokens: Field required"],
  ["messages", { model: "m", max_tokens: 1 }, "messages: Field required"],
  ["model is a string", asking({ model: 5 }), "model: Input should be a valid string"],
  ["max_tokens is positive", asking({ max_tokens: 0 }), "max_tokens: Input should be greater than or equal to 1"],
  ["max_tokens is an integer", asking({ max_tokens: 1.5 }), "max_tokens: Input should be a valid integer"],
  ["at least one message", body([]), "messages: at least one message is required"],
  ["messages is a list", asking({ messages: "hi" }), "messages: Input should be a valid list"],
  ["known roles", body([{ role: "tool", content: "x" }]), "messages.0.role: Input should be 'user', 'assistant' or 's"],
  ["user first", body([assistant("hi"), user("hi")]), 'messages: first message must use the "user" role'],
  ["no other message fields", body([{ ...user("hi"), id: "msg_1" }]), "messages.0.id: Extra inputs are not permitted"],
  ["no temperature", asking({ temperature: 1 }), "temperature: Extra inputs are not permitted"],
  ["no top_p", asking({ top_p: 1 }), "top_p: Extra inputs are not permitted"],
  ["no top_k", asking({ top_k: 1 }), "top_k: Extra inputs are not permitted"],
  ["nothing inherited is a field", JSON.parse('{"toString":1}'), "model: Field required"],
  ["content", body([{ role: "user" }]), "messages.0.content: Field required"],
  ["non-empty content", body([user("")]), "messages.0: all messages must have non-empty content"],
  ["at least one block", body([user([])]), "messages.0: all messages must have non-empty content"],
  ["non-empty text", body([user([text("")])]), "messages: text content blocks must be non-empty"],
  ["visible text", body([user([text(" \n")])]), "messages: text content blocks must contain non-whitespace text"],
  ["non-empty system text", asking({ system: [text("")] }), "system: text content blocks must be non-empty"],
  ["system messages are text", body([user("hi"), { role: "system", content: [image(png)] }]), "Input tag 'image'"],
  ["known blocks", body([user([{ type: "audio" }])]), "messages.0.content.0: Input tag 'audio' found using 'type'"],
  ["blocks have a type", body([user([{ text: "hi" }])]), "messages.0.content.0.type: Field required"],
  [
    "no other block fields",
    body([user([{ ...text("hi"), _tag: "x" }])]),
    "messages.0.content.0.text._tag: Extra inputs"
  ],
  [
    "every call answered",
    body([user("hi"), assistant([call("a"), call("b")]), user([result("b")])]),
    `${orphan}a. Each`
  ],
  [
    "calls answered at once",
    body([user("hi"), assistant([call("a")]), user("?"), user("!")]),
    `messages.1: ${orphan}a.`
  ],
  [
    "calls at the end answered",
    body([user("hi"), assistant([call("a"), call("b")])]),
    `messages.1: ${orphan}a, b. Each`
  ],
  ["results first", answering(text("Here:"), result("toolu_1")), `messages.1: ${orphan}toolu_1. Each`],
  [
    "no message between",
    body([user("hi"), assistant([call("a")]), { role: "system", content: "x" }, user([result("a")])]),
    `messages.1: ${orphan}a.`
  ],
  [
    "one result per call",
    answering(result("toolu_1"), result("toolu_1")),
    "messages.2.content.1: each tool_use must have a single result. Found multiple `tool_result` blocks with id: toolu_1"
  ],
  [
    "one result per call, merged",
    body([user("hi"), assistant([call("a")]), user([result("a")]), user([result("a")])]),
    "messages.3.content.0: each tool_use must have a single result."
  ],
  [
    "no result without a call",
    body([user([result("toolu_9")])]),
    "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_9. Each `tool_result`"
  ],
  [
    "no late result",
    body([user("hi"), assistant([call("a")]), user([result("a")]), assistant("Ok."), user([result("a")])]),
    "messages.4.content.0: unexpected `tool_use_id`"
  ],
  [
    "unique ids in a turn",
    body([user("hi"), assistant([call("a"), call("a")]), user([result("a")])]),
    "1.content.1: `tool_use` ids must be unique"
  ],
  [
    "unique ids in the conversation",
    body([user("hi"), assistant([call("a")]), user([result("a")]), assistant([call("a")]), user([result("a")])]),
    "messages.3.content.0: `tool_use` ids must be unique"
  ],
  [
    "plain ids",
    body([user("hi"), assistant([call("a b")]), user([result("a b")])]),
    "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
  ],
  [
    "input is an object",
    body([user("hi"), assistant([call("a", { input: "{" })]), user([result("a")])]),
    "tool_use.input: Input should be a valid dictionary"
  ],
  [
    "calls are the assistant's",
    body([user([call("a")])]),
    "messages.0.content.0: `tool_use` blocks can only be in `assistant`"
  ],
  [
    "results are the user's",
    body([user("hi"), assistant([result("a")])]),
    "`tool_result` blocks can only be in `user`"
  ],
  [
    "no empty result text",
    answering(result("toolu_1", { content: [text("")] })),
    "messages: text content blocks must be non-empty"
  ],
  ["no empty result", answering(result("toolu_1", { content: "" })), "messages: text content blocks must be non-empty"],
  [
    "errors say something",
    answering(result("toolu_1", { is_error: true, content: "" })),
    "content cannot be empty if `is_error` is true"
  ],
  [
    "errors have content",
    answering({ type: "tool_result", tool_use_id: "toolu_1", is_error: true }),
    "content cannot be empty if `is_error`"
  ],
  [
    "errors are text",
    answering(result("toolu_1", { is_error: true, content: [image(png)] })),
    'all content must be type "text" if `is_error` is true'
  ],
  [
    "is_error is a boolean",
    answering(result("toolu_1", { is_error: "yes" })),
    "tool_result.is_error: Input should be a valid boolean"
  ],
  [
    "results are blocks",
    answering(result("toolu_1", { content: { ok: true } })),
    "tool_result.content: Input should be a valid list"
  ],
  [
    "results hold known blocks",
    answering(result("toolu_1", { content: [{ type: "audio" }] })),
    "tool_result.content.0: Input tag 'audio'"
  ],
  [
    "no other result fields",
    answering(result("toolu_1", { _tag: "x" })),
    "tool_result._tag: Extra inputs are not permitted"
  ],
  [
    "known image types",
    answering(result("toolu_1", { content: [image({ ...png, media_type: "image/tiff" })] })),
    "image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
  ],
  [
    "base64",
    answering(result("toolu_1", { content: [image({ ...png, data: "data:image/png" })] })),
    "image.source.base64.data: invalid base64 data"
  ],
  [
    "known image sources",
    answering(result("toolu_1", { content: [image({ type: "path" })] })),
    "image.source: Input tag 'path'"
  ],
  [
    "search results have a title",
    answering(result("toolu_1", { content: [{ type: "search_result", source: "s", content: [] }] })),
    "search_result.title: Field required"
  ],
  ["toolset names echoed", toolset(null), "must match the `toolset_name`"],
  [
    "programmatic calls answered with results only",
    body([
      user("hi"),
      assistant([call("a", { caller: { type: "code_execution_20260120", tool_id: "srvtoolu_1" } })]),
      user([result("a"), text("Go on.")])
    ]),
    "may only contain `tool_result` blocks"
  ],
  [
    "server results have a call",
    body([user("hi"), assistant([serverResult("srvtoolu_2")]), user("?")]),
    "Each `web_search_tool_result` block must have a corresponding `server_tool_use` block before it."
  ],
  [
    "tool names",
    asking({ tools: [{ ...tool, name: "files.read" }] }),
    "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"
  ],
  [
    "short tool names",
    asking({ tools: [{ ...tool, name: "a".repeat(65) }] }),
    "tools.0.custom.name: String should match"
  ],
  ["unique tool names", asking({ tools: [tool, tool] }), "tools: Tool names must be unique."],
  ["input_schema", asking({ tools: [{ name: "add" }] }), "tools.0.custom.input_schema: Field required"],
  [
    "schema has a type",
    asking({ tools: [{ name: "add", input_schema: { $ref: "#/$defs/A" } }] }),
    "input_schema.type: Field required"
  ],
  [
    "schema is an object's",
    asking({ tools: [{ name: "add", input_schema: { type: "array" } }] }),
    "input_schema.type: Input should be 'object'"
  ],
  [
    "no root anyOf",
    asking({ tools: [{ name: "add", input_schema: { type: "object", anyOf: [] } }] }),
    "does not support oneOf, allOf, or anyOf"
  ],
  [
    "property names",
    asking({ tools: [{ name: "add", input_schema: { type: "object", properties: { "a b": {} } } }] }),
    "Property keys should match"
  ],
  [
    "no other tool fields",
    asking({ tools: [{ ...tool, output_schema: {} }] }),
    "tools.0.custom.output_schema: Extra inputs are not permitted"
  ],
  [
    "a tool to choose",
    asking({ tool_choice: { type: "any" } }),
    "tool_choice: may only be specified while providing tools"
  ],
  [
    "the tool to choose",
    asking({ tools: [tool], tool_choice: { type: "tool", name: "sub" } }),
    "Tool 'sub' not found in provided tools"
  ],
  [
    "no forced tool while thinking",
    asking({
      tools: [tool],
      max_tokens: 4096,
      tool_choice: { type: "any" },
      thinking: { type: "enabled", budget_tokens: 1024 }
    }),
    "Thinking may not be enabled when tool_choice forces tool use."
  ],
  [
    "room to think",
    asking({ thinking: { type: "enabled", budget_tokens: 1024 } }),
    "`max_tokens` must be greater than"
  ],
  [
    "no lone high surrogate",
    asking({ system: "a\ud83d" }),
    "The request body is not valid JSON: no low surrogate in string: line 1 column 103 (char 102)"
  ],
  ["no lone low surrogate", asking({ system: "\ude00" }), "not valid JSON: invalid high surrogate in string"],
  [
    "no lone surrogate in an input",
    body([user("hi"), assistant([call("a", { input: { x: ["\ud83d!"] } })]), user([result("a")])]),
    "no low surrogate in string"
  ],
  ["no lone surrogate in a key", asking({ metadata: { "\ud83d": 1 } }), "no low surrogate in string"],
  [
    "known signatures",
    body([user("hi"), assistant([thinking("t", "s"), text("Hm.")]), user("?")]),
    "messages.1.content.0: Invalid `signature` in `thinking` block",
    { thinking: () => undefined }
  ],
  [
    "unmodified thinking",
    body([user("hi"), assistant([thinking("T", "s"), text("Hm.")]), user("?")]),
    "blocks in the latest assistant message cannot be modified",
    { thinking: () => "t" }
  ],
  [
    "known redacted thinking",
    body([user("hi"), assistant([{ type: "redacted_thinking", data: "x" }, text("Hm.")]), user("?")]),
    "cannot be modified",
    { redacted: () => false }
  ],
  [
    "thinking is not the last",
    body([user("hi"), assistant([thinking("t", "s")]), user("?")]),
    "The final block in an assistant message cannot be `thinking`."
  ],
  [
    "no prefill",
    body([user("hi"), assistant("{")]),
    "This model does not support assistant message prefill. The conversation must end with a user message."
  ],
  [
    "no prefill of a turn that was not paused",
    body([user("hi"), assistant("{")]),
    "does not support assistant message prefill",
    { paused: () => false }
  ]
]

describe("The Messages API takes", () => {
  for (const [name, request, memory] of accepted) {
    it(name, () => assert.isUndefined(MessagesRules.check(request, memory)))
  }
})

describe("The Messages API asks for", () => {
  for (const [name, request, message, memory] of refused) {
    it(name, () => {
      const rejection = MessagesRules.check(request, memory)
      assert.strictEqual(rejection?.status, 400)
      assert.strictEqual(rejection?.type, "invalid_request_error")
      assert.include(rejection?.message ?? "", message)
    })
  }

  it("no thread, with a code a client can act on", () => {
    const rejection = MessagesRules.check(asking({ thread: { type: "create" } }))
    assert.strictEqual(rejection?.errorCode, "thread_unsupported_request")
  })

  it("no recursion: a body may be nested deeper than the call stack", () => {
    let deep: unknown = "x"
    for (let level = 0; level < 50_000; level++) deep = [deep]
    assert.isUndefined(MessagesRules.check(asking({ metadata: { deep } })))
  })
})
