/**
 * The rules of the Messages API as pure functions: would the real API take this request body?
 *
 * The wordings are Anthropic's where they are known from public threads.
 *
 * @since 0.1.0
 */
import { checkConversation, merge } from "./internal/messagesConversation.ts"
import { checkShape, checkTools } from "./internal/messagesShapes.ts"
import type { Json, Rejection as Rejected } from "./internal/shape.ts"
import { firstOf, invalid, isJson, record } from "./internal/shape.ts"

/**
 * Why a request is refused: the HTTP status, the error type and the words of the answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rejection extends Rejected {}

/**
 * What only the server that sent the earlier replies can know. A rule is not checked where its memory is not given.
 *
 * @since 0.1.0
 * @category models
 */
export interface Memory {
  /** The text of the thinking block that was sent with this signature. */
  readonly thinking?: ((signature: string) => string | undefined) | undefined
  /** Whether a redacted thinking block with this data was sent. */
  readonly redacted?: ((data: string) => boolean) | undefined
  /** Whether a reply with this content ended in `pause_turn`: only then may a conversation end with it. */
  readonly paused?: ((content: unknown) => boolean) | undefined
}

/** Older models continue an assistant message that is put into their mouth. */
const takesPrefill = /^claude-(?:2|3|(?:haiku|sonnet|opus)-4(?:-[015])?(?:-\d{8})?$)/

/** Where the first lone surrogate is, in the words of the API's JSON parser. */
const surrogateFault = (body: unknown): Rejected => {
  // JSON.stringify escapes lone surrogates only, so the first odd escape is the one.
  const text = JSON.stringify(body)
  const found = /(?<=(?:^|[^\\])(?:\\\\)*)\\u(d[89a-f][0-9a-f]{2})/.exec(text)
  const char = (found?.index ?? 0) + 1
  const high = /^d[89ab]/.test(found?.[1] ?? "")
  const next = text.slice(char + 5, char + 7)
  const what = !high ? "invalid high" : next === "\\u" ? "invalid low" : "no low"
  return invalid(
    `The request body is not valid JSON: ${what} surrogate in string: line 1 column ${char + 1} (char ${char})`
  )
}

const isMalformed = (value: unknown): boolean => typeof value === "string" && !value.isWellFormed()

/** Walks with its own stack: a body may be nested deeper than the call stack. */
const checkSurrogates = (body: unknown): Rejected | undefined => {
  const stack: Array<unknown> = [body]
  while (stack.length > 0) {
    const value = stack.pop()
    if (isMalformed(value)) return surrogateFault(body)
    if (Array.isArray(value)) for (const item of value) stack.push(item)
    else if (isJson(value)) for (const [key, item] of Object.entries(value)) stack.push(key, item)
  }
  return undefined
}

const checkThread = (body: Json): Rejected | undefined =>
  body["thread"] === undefined || body["thread"] === null
    ? undefined
    : {
        ...invalid("thread: message threads are not supported here; send the full conversation without `thread`."),
        errorCode: "thread_unsupported_request"
      }

const checkThinking = (block: Json, at: string, memory: Memory): Rejected | undefined => {
  const modified = invalid(
    `${at}: \`thinking\` or \`redacted_thinking\` blocks in the latest assistant message cannot be modified. ` +
      "These blocks must remain as they were in the original response."
  )
  if (block["type"] === "thinking" && memory.thinking !== undefined) {
    const sent = memory.thinking(String(block["signature"]))
    if (sent === undefined) return invalid(`${at}: Invalid \`signature\` in \`thinking\` block`)
    return sent === block["thinking"] ? undefined : modified
  }
  return block["type"] === "redacted_thinking" && memory.redacted?.(String(block["data"])) === false
    ? modified
    : undefined
}

const checkEnd = (body: Json, messages: ReadonlyArray<unknown>, memory: Memory): Rejected | undefined => {
  const last = messages.at(-1)
  if (!isJson(last) || last["role"] !== "assistant") return undefined
  if (memory.paused?.(last["content"]) === true || takesPrefill.test(String(body["model"]))) return undefined
  return invalid(
    "This model does not support assistant message prefill. The conversation must end with a user message."
  )
}

/**
 * `undefined` when the API would accept this request body, and its refusal otherwise.
 *
 * @since 0.1.0
 * @category validation
 */
export const check = (body: unknown, memory: Memory = {}): Rejection | undefined => {
  if (!isJson(body)) return record(body, "body")
  const before = checkSurrogates(body) ?? checkThread(body) ?? checkShape(body) ?? checkTools(body)
  if (before !== undefined) return before
  const messages = Array.isArray(body["messages"]) ? body["messages"] : []
  const turns = merge(messages)
  return (
    checkConversation(turns) ??
    firstOf(turns, (turn) => firstOf(turn.blocks, ({ at, block }) => checkThinking(block, at, memory))) ??
    checkEnd(body, messages, memory)
  )
}
