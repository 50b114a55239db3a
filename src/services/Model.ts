/**
 * The language model of the agent loop, in the shapes of the Messages API.
 *
 * @since 0.1.0
 */
import * as Channel from "effect/Channel"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as AtOnce from "../internal/atOnce.ts"
import type { ToolCall } from "../ToolCall.ts"
import type { ToolDescription } from "../Toolbox.ts"

/**
 * A content block. Blocks are passed back as they came; a `thinking` block that was touched is refused.
 *
 * @since 0.1.0
 * @category models
 */
export interface Block {
  readonly type: string
  readonly [key: string]: unknown
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Message {
  readonly role: "user" | "assistant" | "system"
  readonly content: string | ReadonlyArray<Block>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface TurnRequest {
  readonly system?: string | undefined
  readonly messages: ReadonlyArray<Message>
  readonly tools: ReadonlyArray<ToolDescription>
  readonly maxTokens: number
}

/**
 * A finished turn. `stopReason` is the API's word, `null` where the reply never said one. `calls` are the `tool_use`
 * blocks of `content`; one whose JSON did not parse keeps its raw text as input, while `content` holds an object in
 * its place, since the API takes nothing else back.
 *
 * @since 0.1.0
 * @category models
 */
export interface Turn {
  readonly content: ReadonlyArray<Block>
  readonly calls: ReadonlyArray<ToolCall>
  readonly stopReason: string | null
  readonly usage: { readonly inputTokens: number; readonly outputTokens: number }
}

/**
 * What a streaming turn says, in order; `TurnCompleted` is the last event of every stream that did not fail.
 *
 * @since 0.1.0
 * @category models
 */
export type TurnEvent =
  | { readonly _tag: "BlockStarted"; readonly index: number; readonly type: string }
  | { readonly _tag: "TextDelta"; readonly index: number; readonly text: string }
  | {
      readonly _tag: "BlockCompleted"
      readonly index: number
      readonly block: Block
      readonly call: ToolCall | undefined
    }
  | { readonly _tag: "TurnCompleted"; readonly turn: Turn }

/**
 * The model gave no complete turn. `retryable` says whether the same request may work later.
 *
 * @since 0.1.0
 * @category errors
 */
export class ModelError extends Schema.TaggedError<ModelError>("salvo/ModelError")("ModelError", {
  reason: Schema.Literal("refused", "rate_limited", "overloaded", "server", "connection", "cut", "idle", "unknown"),
  detail: Schema.String,
  status: Schema.UndefinedOr(Schema.Number),
  retryable: Schema.Boolean,
  retryAfter: Schema.UndefinedOr(Schema.Duration)
}) {
  override get message() {
    return `The model gave no answer (${this.reason}): ${this.detail}`
  }
}

/**
 * @since 0.1.0
 * @category tags
 */
export class Model extends Context.Tag("salvo/Model")<
  Model,
  {
    /** One turn of the model, as it comes; the last event of a complete one is `TurnCompleted`. */
    readonly streamTurn: (request: TurnRequest) => Stream.Stream<TurnEvent, ModelError>
    /** Who serves it, as traces name it (`gen_ai.provider.name`, such as `anthropic`). Default: not told. */
    readonly provider?: string | undefined
    /** The model that is asked for, as traces name it (`gen_ai.request.model`). Default: not told. */
    readonly model?: string | undefined
  }
>() {}

const cut = () =>
  new ModelError({
    reason: "cut",
    detail: "the reply ended before it was complete",
    status: undefined,
    retryable: true,
    retryAfter: undefined
  })

/** `Stream.runLast` of what was tapped takes a fiber and three times the steps. */
const lastOf = (
  events: Stream.Stream<TurnEvent, ModelError>,
  onEvent: (event: TurnEvent) => Effect.Effect<void>
): Effect.Effect<TurnEvent | undefined, ModelError> =>
  Effect.scopedWith((scope) =>
    Effect.flatMap(Channel.toPullIn(Stream.toChannel(events), scope), (pull) => {
      let last: TurnEvent | undefined
      const rest: Effect.Effect<TurnEvent | undefined, ModelError> = Effect.flatMap(
        pull,
        Either.match({
          onLeft: () => Effect.succeed(last),
          onRight: (chunk) => {
            last = Option.getOrElse(Chunk.last(chunk), () => last)
            // Most events come one by one.
            const told =
              chunk.length === 1 ? onEvent(Chunk.unsafeHead(chunk)) : Effect.forEach(chunk, onEvent, { discard: true })
            return AtOnce.zipRight(told, rest)
          }
        })
      )
      return rest
    })
  )

/**
 * Runs one turn to its end. `onEvent` sees everything on the way.
 *
 * @since 0.1.0
 * @category running
 */
export const turn = (
  request: TurnRequest,
  onEvent: (event: TurnEvent) => Effect.Effect<void> = () => Effect.void
): Effect.Effect<Turn, ModelError, Model> =>
  Effect.flatMap(Model, (model) => lastOf(model.streamTurn(request), onEvent)).pipe(
    Effect.flatMap((last) => (last?._tag === "TurnCompleted" ? Effect.succeed(last.turn) : Effect.fail(cut())))
  )
