/** The tool runner of Anthropic's SDK, over a stub of `fetch`. It streams where tools go wrong, as JSON can be cut then. */
import Anthropic from "@anthropic-ai/sdk"
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod"
import { type Answer, type Call, type Model, outputText } from "../work/peer.ts"
import { servePeer } from "../work/serve.ts"
import { input } from "./schema.ts"

const model = "claude-haiku-4-5"

const message = (content: ReadonlyArray<unknown>, stop_reason: string | null) => ({
  id: "msg_1",
  type: "message",
  role: "assistant",
  model,
  content,
  stop_reason,
  stop_sequence: null,
  usage: { input_tokens: 1, output_tokens: 1 }
})

const done = [{ type: "text", text: "Done." }]

const stopReason = (calls: ReadonlyArray<Call>) => (calls.length === 0 ? "end_turn" : "tool_use")

/** Bodies of replies that are asked for again and again: writing them is not the client's work. */
const written = new WeakMap<ReadonlyArray<Call>, string>()

const whole = (calls: ReadonlyArray<Call>): Response => {
  const write = () => {
    const blocks = calls.map(({ id, input, name }) => ({ type: "tool_use", id, name, input: JSON.parse(input) }))
    return JSON.stringify(message(calls.length === 0 ? done : blocks, stopReason(calls)))
  }
  const body = written.get(calls) ?? write()
  written.set(calls, body)
  return new Response(body, { headers: { "content-type": "application/json" } })
}

const streamed = (calls: ReadonlyArray<Call>): Response => {
  const blocks = calls.flatMap(({ id, input, name }, index) => [
    { type: "content_block_start", index, content_block: { type: "tool_use", id, name, input: {} } },
    { type: "content_block_delta", index, delta: { type: "input_json_delta", partial_json: input } },
    { type: "content_block_stop", index }
  ])
  const events = [
    { type: "message_start", message: message([], null) },
    ...blocks,
    { type: "message_delta", delta: { stop_reason: stopReason(calls) }, usage: { output_tokens: 1 } },
    { type: "message_stop" }
  ]
  const body = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("")
  return new Response(body, { headers: { "content-type": "text/event-stream" } })
}

interface Body {
  readonly stream?: boolean
  readonly messages: ReadonlyArray<{
    readonly content: string | ReadonlyArray<Anthropic.Beta.BetaToolResultBlockParam>
  }>
}

const read = (body: Body): ReadonlyArray<Answer> => {
  const content = body.messages.at(-1)?.content
  return (Array.isArray(content) ? content : [])
    .filter(({ type }) => type === "tool_result")
    .map((block) => ({
      id: block.tool_use_id,
      text:
        typeof block.content === "string"
          ? block.content
          : (block.content?.map((b: { text?: string }) => b.text).join("") ?? ""),
      isError: block.is_error === true
    }))
}

servePeer({
  kind: "turn",
  hasDeadline: false,
  agent: async (tools, { expectsFaults }) => {
    let current: Model = () => []
    const client = new Anthropic({
      apiKey: "none",
      maxRetries: 0,
      fetch: async (_, init) => {
        const body = String(init?.body)
        const calls = current(() => read(JSON.parse(body) as Body))
        return expectsFaults ? streamed(calls) : whole(calls)
      }
    })
    const runnable = tools.map((tool) =>
      betaZodTool({
        name: tool.name,
        description: "The weather of a city",
        inputSchema: input,
        run: async (input, context) => outputText(await tool.run(input, context?.signal ?? undefined))
      })
    )
    return async (model_, signal) => {
      current = model_
      const runner = client.beta.messages.toolRunner(
        {
          model,
          max_tokens: 1024,
          messages: [{ role: "user", content: "Go." }],
          tools: runnable,
          stream: expectsFaults
        },
        signal === undefined ? {} : { signal }
      )
      await runner.runUntilDone()
    }
  }
})
