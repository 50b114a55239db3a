/**
 * The live stream of what is happening in batches. Costs nothing where the service is not provided.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import type { ToolCall } from "../ToolCall.ts"
import type { ToolError } from "../ToolError.ts"
import type { ToolResult } from "../ToolResult.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type BatchEvent = { readonly batchId: string; readonly call: ToolCall } & (
  | { readonly _tag: "AttemptStarted"; readonly attempt: number }
  | { readonly _tag: "AttemptFailed"; readonly attempt: number; readonly error: ToolError }
  | { readonly _tag: "Retrying"; readonly attempt: number; readonly delay: Duration.Duration }
  | { readonly _tag: "Progress"; readonly attempt: number; readonly note: string | undefined }
  | { readonly _tag: "Finished"; readonly result: ToolResult }
)

/**
 * @since 0.1.0
 * @category tags
 */
export class BatchEvents extends Context.Tag("salvo/BatchEvents")<
  BatchEvents,
  {
    readonly publish: (event: BatchEvent) => Effect.Effect<void>
    /** Everything from the moment of subscription on. */
    readonly stream: Stream.Stream<BatchEvent>
  }
>() {}

/** A listener that falls this far behind loses the oldest events; calls never wait for listeners. */
const bufferSize = 4096

/**
 * Events in memory, for any number of listeners. One that falls more than 4,096 events behind loses the oldest.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<BatchEvents> = Layer.scoped(
  BatchEvents,
  Effect.map(Effect.acquireRelease(PubSub.sliding<BatchEvent>(bufferSize), PubSub.shutdown), (pubsub) => ({
    publish: (event: BatchEvent) => Effect.asVoid(PubSub.publish(pubsub, event)),
    stream: Stream.fromPubSub(pubsub)
  }))
)
