/**
 * What a scripted model answers: a message, an HTTP error, or a stream that breaks half-way.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"

/**
 * A content block of a reply. `tool_use` may leave out its `id`, and may carry `inputJson` (any text, cut or malformed
 * too) instead of `input`; `thinking` may leave out its `signature`. Blocks of other kinds are sent as they are.
 *
 * @since 0.1.0
 * @category models
 */
export interface Block {
  readonly type: string
  readonly [field: string]: unknown
}

/**
 * How the stream of a reply breaks. `after` counts the events of the message (`message_start` is the first); pings and
 * unknown events do not count, and `message_stop` is never reached.
 *
 * - `cut`: the body ends cleanly
 * - `reset`: the socket is destroyed
 * - `overloaded`: an `error` event with `overloaded_error`
 * - `stall`: nothing more, on an open connection
 *
 * A reply that was not asked to stream breaks alike: half a body, a destroyed socket, HTTP 529, no answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface StreamFault {
  readonly kind: "cut" | "reset" | "overloaded" | "stall"
  readonly after: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface MessageReply {
  readonly _tag: "MessageReply"
  readonly content: ReadonlyArray<Block>
  readonly stopReason: string | null
  readonly stopDetails: Readonly<Record<string, unknown>> | null
  readonly usage: Readonly<Record<string, unknown>>
  readonly delayBetweenBlocks: Duration.DurationInput | undefined
  readonly chunkDelay: Duration.DurationInput | undefined
  readonly fault: StreamFault | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ErrorReply {
  readonly _tag: "ErrorReply"
  readonly status: number
  readonly type: string
  readonly message: string
  readonly retryAfter: Duration.DurationInput | undefined
  readonly errorCode: string | undefined
  readonly shouldRetry: boolean | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export type Reply = MessageReply | ErrorReply

/**
 * @since 0.1.0
 * @category models
 */
export interface ReplyOptions {
  readonly content: ReadonlyArray<Block>
  /** `tool_use` where the content holds a `tool_use` block, `end_turn` otherwise. */
  readonly stopReason?: string | null | undefined
  readonly stopDetails?: Readonly<Record<string, unknown>> | undefined
  readonly usage?: Readonly<Record<string, unknown>> | undefined
  /** Waited before every block but the first. */
  readonly delayBetweenBlocks?: Duration.DurationInput | undefined
  /** Waited before every event but the first. */
  readonly chunkDelay?: Duration.DurationInput | undefined
  readonly fault?: StreamFault | undefined
}

/**
 * An assistant message.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reply = (options: ReplyOptions): Reply => ({
  _tag: "MessageReply",
  content: options.content,
  stopReason:
    options.stopReason === undefined
      ? options.content.some(({ type }) => type === "tool_use")
        ? "tool_use"
        : "end_turn"
      : options.stopReason,
  stopDetails: options.stopDetails ?? null,
  usage: options.usage ?? {},
  delayBetweenBlocks: options.delayBetweenBlocks,
  chunkDelay: options.chunkDelay,
  fault: options.fault
})

/**
 * An error before the first byte of a message. `retryAfter` becomes `retry-after` (whole seconds) or `retry-after-ms`,
 * `shouldRetry` becomes `x-should-retry`, `errorCode` goes into `error.details.error_code`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const error = (options: {
  readonly status: number
  readonly type: string
  readonly message: string
  readonly retryAfter?: Duration.DurationInput | undefined
  readonly errorCode?: string | undefined
  readonly shouldRetry?: boolean | undefined
}): Reply => ({
  _tag: "ErrorReply",
  status: options.status,
  type: options.type,
  message: options.message,
  retryAfter: options.retryAfter,
  errorCode: options.errorCode,
  shouldRetry: options.shouldRetry
})

/**
 * @since 0.1.0
 * @category blocks
 */
export const text = (text: string): Block => ({ type: "text", text })

/**
 * @since 0.1.0
 * @category blocks
 */
export const toolUse = (name: string, input: unknown = {}, options: { readonly id?: string | undefined } = {}): Block =>
  options.id === undefined ? { type: "tool_use", name, input } : { type: "tool_use", id: options.id, name, input }

/**
 * A call whose input is this text, whatever it is: cut, malformed, or no JSON at all.
 *
 * @since 0.1.0
 * @category blocks
 */
export const toolUseRaw = (
  name: string,
  inputJson: string,
  options: { readonly id?: string | undefined } = {}
): Block =>
  options.id === undefined
    ? { type: "tool_use", name, inputJson }
    : { type: "tool_use", id: options.id, name, inputJson }

/**
 * @since 0.1.0
 * @category blocks
 */
export const thinking = (thinking: string): Block => ({ type: "thinking", thinking })

/**
 * The body ends cleanly after this many events: a silent truncation.
 *
 * @since 0.1.0
 * @category faults
 */
export const cutAfter = (events: number): StreamFault => ({ kind: "cut", after: events })

/**
 * The connection is torn down after this many events.
 *
 * @since 0.1.0
 * @category faults
 */
export const resetAfter = (events: number): StreamFault => ({ kind: "reset", after: events })

/**
 * The stream ends in an `overloaded_error` after this many events and HTTP 200.
 *
 * @since 0.1.0
 * @category faults
 */
export const overloadedAfter = (events: number): StreamFault => ({ kind: "overloaded", after: events })

/**
 * Nothing comes after this many events, and the connection stays open.
 *
 * @since 0.1.0
 * @category faults
 */
export const stallAfter = (events: number): StreamFault => ({ kind: "stall", after: events })
