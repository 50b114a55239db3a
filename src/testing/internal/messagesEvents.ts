/**
 * A scripted reply as the API would send it: as one JSON message, or as server-sent events.
 */
import type { Json } from "./shape.ts"
import { isJson } from "./shape.ts"

/** One server-sent event. Pings and events nobody knows are `noise`: they do not count as events of the message. */
export interface StreamEvent {
  readonly type: string
  readonly data: Json
  readonly noise: boolean
}

/** What a message holds besides its blocks. */
export interface Envelope {
  readonly id: string
  readonly model: unknown
  readonly stopReason: string | null
  readonly stopDetails: Json | null
  readonly usage: Json
}

/** Deltas of one block; the real API sends more for longer blocks, a reader must not care. */
const pieces = 3

const noUsage: Json = {
  cache_creation: null,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  inference_geo: null,
  output_tokens_details: null,
  server_tool_use: null,
  service_tier: "standard",
  speed: null
}

/** Fills in what a script may leave out: ids, signatures and the fields every block of the API has. */
export const complete = (content: ReadonlyArray<Json>, request: string): ReadonlyArray<Json> =>
  content.map((block, index) => {
    const suffix = `${request}_${String(index).padStart(2, "0")}`
    switch (block["type"]) {
      case "text":
        return { citations: null, ...block }
      case "tool_use":
        return { id: `toolu_${suffix}`, caller: { type: "direct" }, ...block }
      case "server_tool_use":
        return { id: `srvtoolu_${suffix}`, caller: { type: "direct" }, input: {}, ...block }
      case "thinking":
        return { signature: `sig_${suffix}`, ...block }
      default:
        return block
    }
  })

const parsed = (json: string): unknown => {
  try {
    return JSON.parse(json)
  } catch {
    return json
  }
}

const withoutRaw = ({ inputJson, ...block }: Json): Json =>
  typeof inputJson === "string" ? { ...block, input: inputJson === "" ? {} : parsed(inputJson) } : block

const envelope = (message: Envelope): Json => ({
  id: message.id,
  type: "message",
  role: "assistant",
  model: message.model,
  container: null,
  diagnostics: null,
  content: [],
  stop_reason: null,
  stop_sequence: null,
  stop_details: null,
  usage: { ...noUsage, ...message.usage }
})

/** The whole message at once. Tool input that is no JSON arrives as the string it is. */
export const toMessage = (message: Envelope, content: ReadonlyArray<Json>): Json => ({
  ...envelope(message),
  content: content.map(withoutRaw),
  stop_reason: message.stopReason,
  stop_details: message.stopDetails
})

/** Cut between code points, so that no delta holds half a character. */
const split = (text: string): ReadonlyArray<string> => {
  const points = Array.from(text)
  const size = Math.max(1, Math.ceil(points.length / pieces))
  return Array.from({ length: Math.ceil(points.length / size) }, (_, index) =>
    points.slice(index * size, (index + 1) * size).join("")
  )
}

const inputText = (block: Json): string => {
  if (typeof block["inputJson"] === "string") return block["inputJson"]
  const input = block["input"] ?? {}
  // The API sends no JSON at all for a call without arguments.
  return isJson(input) && Object.keys(input).length === 0 ? "" : JSON.stringify(input)
}

/** How a block starts, and the deltas that bring the rest of it. */
const startAndDeltas = (block: Json): readonly [Json, ReadonlyArray<Json>] => {
  switch (block["type"]) {
    case "text":
      return [{ ...block, text: "" }, split(String(block["text"])).map((text) => ({ type: "text_delta", text }))]
    case "thinking":
      return [
        { ...block, thinking: "", signature: "" },
        [
          ...split(String(block["thinking"])).map((thinking) => ({ type: "thinking_delta", thinking })),
          { type: "signature_delta", signature: block["signature"] }
        ]
      ]
    case "tool_use":
    case "server_tool_use":
    case "mcp_tool_use": {
      const { inputJson: _, ...start } = block
      const deltas = ["", ...split(inputText(block))]
      return [{ ...start, input: {} }, deltas.map((partial_json) => ({ type: "input_json_delta", partial_json }))]
    }
    default:
      return [block, []]
  }
}

const event = (type: string, fields: Json = {}): StreamEvent => ({ type, data: { type, ...fields }, noise: false })
const noise = (type: string): StreamEvent => ({ type, data: { type }, noise: true })

/** The events of a message, with two pings and an event of a kind no client knows among them. */
export const toEvents = (message: Envelope, content: ReadonlyArray<Json>): ReadonlyArray<StreamEvent> => [
  event("message_start", {
    message: { ...envelope(message), usage: { ...noUsage, ...message.usage, output_tokens: 1 } }
  }),
  noise("ping"),
  ...content.flatMap((block, index) => {
    const [start, deltas] = startAndDeltas(block)
    return [
      event("content_block_start", { index, content_block: start }),
      ...(index === 0 ? [noise("ping")] : []),
      ...deltas.map((delta) => event("content_block_delta", { index, delta })),
      event("content_block_stop", { index })
    ]
  }),
  noise("salvo_unknown_event"),
  event("message_delta", {
    delta: {
      container: null,
      stop_reason: message.stopReason,
      stop_sequence: null,
      stop_details: message.stopDetails
    },
    usage: { ...noUsage, ...message.usage }
  }),
  event("message_stop")
]

const encoder = new TextEncoder()

/** One event on the wire. */
export const encode = ({ data, type }: StreamEvent): Uint8Array =>
  encoder.encode(`event: ${type}\ndata: ${JSON.stringify(data)}\n\n`)

/** The event a stream dies with after HTTP 200. */
export const overloadedEvent: StreamEvent = event("error", {
  error: { type: "overloaded_error", message: "Overloaded" }
})
