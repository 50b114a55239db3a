/** A streamed turn put together event by event. Pure: (state, event) -> [state, what to say]. */
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import type { Block, Turn, TurnEvent } from "../services/Model.ts"
import type { ToolCall } from "../ToolCall.ts"
import { wellFormed, wellFormedJson } from "./text.ts"

type Fields = Readonly<Record<string, unknown>>

interface Open {
  readonly block: Block
  readonly json: string
}

export interface Assembly {
  readonly open: ReadonlyMap<number, Open>
  readonly content: ReadonlyArray<Block>
  readonly calls: ReadonlyArray<ToolCall>
  readonly stopReason: string | null
  readonly usage: Turn["usage"]
}

export const empty: Assembly = {
  open: new Map(),
  content: [],
  calls: [],
  stopReason: null,
  usage: { inputTokens: 0, outputTokens: 0 }
}

const fields = (u: unknown): Fields => (typeof u === "object" && u !== null ? { ...u } : {})
const text = (u: unknown): string => (typeof u === "string" ? u : "")
const number = (u: unknown, otherwise: number): number => (typeof u === "number" ? u : otherwise)

const parse = (json: string): Either.Either<unknown, string> =>
  Either.try({
    try: () => {
      const input: unknown = JSON.parse(json)
      return /\\ud[89a-f]/i.test(json) || !json.isWellFormed() ? wellFormedJson(input) : input
    },
    catch: () => json
  })

const grow = (block: Block, delta: Fields): Block => {
  switch (delta["type"]) {
    case "text_delta":
      return { ...block, text: text(block["text"]) + text(delta["text"]) }
    case "thinking_delta":
      return { ...block, thinking: text(block["thinking"]) + text(delta["thinking"]) }
    case "signature_delta":
      return { ...block, signature: text(block["signature"]) + text(delta["signature"]) }
    case "citations_delta":
      return {
        ...block,
        citations: [...(Array.isArray(block["citations"]) ? block["citations"] : []), delta["citation"]]
      }
    default:
      return block
  }
}

/** The API takes only objects back as input, so text that is none is wrapped the way Anthropic advises. */
const close = ({ block, json }: Open): { readonly block: Block; readonly input: unknown } => {
  if (block.type === "text") return { block: { ...block, text: wellFormed(text(block["text"])) }, input: undefined }
  if (json === "") return { block, input: block["input"] ?? {} }
  const parsed = parse(json)
  return Either.isRight(parsed) && Predicate.isRecord(parsed.right)
    ? { block: { ...block, input: parsed.right }, input: parsed.right }
    : { block: { ...block, input: { INVALID_JSON: wellFormed(json) } }, input: json }
}

const toCall = (block: Block, input: unknown): ToolCall | undefined =>
  block.type === "tool_use"
    ? {
        id: text(block["id"]),
        name: text(block["name"]),
        input,
        ...(typeof block["toolset_name"] === "string" ? { toolset_name: block["toolset_name"] } : {})
      }
    : undefined

const tokens = (usage: Turn["usage"], said: Fields): Turn["usage"] => ({
  inputTokens: number(said["input_tokens"], usage.inputTokens),
  outputTokens: number(said["output_tokens"], usage.outputTokens)
})

const withOpen = (state: Assembly, index: number, open: Open | undefined): Assembly => {
  const all = new Map(state.open)
  if (open === undefined) all.delete(index)
  else all.set(index, open)
  return { ...state, open: all }
}

const silent = (state: Assembly): readonly [Assembly, ReadonlyArray<TurnEvent>] => [state, []]

/** Unknown events are ignored, as the API asks of its clients. */
export const step = (state: Assembly, event: unknown): readonly [Assembly, ReadonlyArray<TurnEvent>] => {
  const said = fields(event)
  const index = number(said["index"], -1)
  switch (said["type"]) {
    case "message_start":
      return silent({ ...state, usage: tokens(state.usage, fields(fields(said["message"])["usage"])) })
    case "content_block_start": {
      const started = fields(said["content_block"])
      const block: Block = { ...started, type: text(started["type"]) }
      return [withOpen(state, index, { block, json: "" }), [{ _tag: "BlockStarted", index, type: block.type }]]
    }
    case "content_block_delta": {
      const open = state.open.get(index)
      if (open === undefined) return silent(state)
      const delta = fields(said["delta"])
      const json = open.json + (delta["type"] === "input_json_delta" ? text(delta["partial_json"]) : "")
      const grown = withOpen(state, index, { block: grow(open.block, delta), json })
      return delta["type"] === "text_delta"
        ? [grown, [{ _tag: "TextDelta", index, text: text(delta["text"]) }]]
        : silent(grown)
    }
    case "content_block_stop": {
      const open = state.open.get(index)
      if (open === undefined) return silent(state)
      const { block, input } = close(open)
      const call = toCall(block, input)
      const closed = withOpen(state, index, undefined)
      return [
        {
          ...closed,
          content: [...state.content, block],
          calls: call === undefined ? state.calls : [...state.calls, call]
        },
        [{ _tag: "BlockCompleted", index, block, call }]
      ]
    }
    case "message_delta": {
      const reason = fields(said["delta"])["stop_reason"]
      return silent({
        ...state,
        stopReason: typeof reason === "string" ? reason : state.stopReason,
        usage: tokens(state.usage, fields(said["usage"]))
      })
    }
    case "message_stop": {
      const { calls, content, stopReason, usage } = state
      return [state, [{ _tag: "TurnCompleted", turn: { calls, content, stopReason, usage } }]]
    }
    default:
      return silent(state)
  }
}
