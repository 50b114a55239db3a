/**
 * The live stream of what is happening in batches. Costs nothing where the service is not provided, and next to nothing
 * while nobody listens.
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
import type { Transition } from "./CircuitBreaker.ts"

/**
 * What a call waits for before it starts, or goes on:
 *
 * - `Calls`: others of its batch have to land first, those it needs (`dependency`) or the one before it that uses the
 *   same `resource`; or an identical one runs already (`identical`) and answers for both.
 * - `Turn`: the model's turn is not complete.
 * - `Batch`: as many calls are in progress as the batch allows.
 * - `Resource`: a call of another batch uses the same resource.
 * - `Bulkhead`, `RateLimit`, `CircuitBreaker`: a slot, its moment, or the next moment the circuit lets something through.
 *
 * @since 0.1.0
 * @category models
 */
export type Wait =
  | {
      readonly _tag: "Calls"
      readonly why: "dependency" | "resource" | "identical"
      /** The positions of those calls in the batch, from 0. */
      readonly calls: ReadonlyArray<number>
    }
  | { readonly _tag: "Turn" }
  | { readonly _tag: "Batch" }
  | { readonly _tag: "Resource" }
  | { readonly _tag: "Bulkhead" }
  | { readonly _tag: "RateLimit"; readonly delay: Duration.Duration }
  | { readonly _tag: "CircuitBreaker"; readonly delay: Duration.Duration }

/**
 * What happens to a call. Attempts are counted from 1, over all processes that worked on the call.
 *
 * @since 0.1.0
 * @category models
 */
export type CallEvent =
  | { readonly _tag: "Submitted" }
  | { readonly _tag: "Waiting"; readonly for: Wait }
  | { readonly _tag: "AttemptStarted"; readonly attempt: number; readonly source: "executed" | "hedge" }
  | { readonly _tag: "AttemptSucceeded"; readonly attempt: number }
  | { readonly _tag: "AttemptFailed"; readonly attempt: number; readonly error: ToolError }
  /** Nobody waits for it any more: a hedge was faster, or the batch was interrupted. */
  | { readonly _tag: "AttemptAbandoned"; readonly attempt: number }
  | { readonly _tag: "Retrying"; readonly attempt: number; readonly delay: Duration.Duration }
  | { readonly _tag: "Progress"; readonly attempt: number; readonly note: string | undefined }
  /** The last event of every call. */
  | { readonly _tag: "Finished"; readonly result: ToolResult }

/**
 * One thing that happened, and when: `at` is in milliseconds since the epoch, on the clock that deadlines are measured
 * with. Of a call: with its batch and its position there. Of a circuit, which is no batch's own: the change of its mode.
 *
 * @since 0.1.0
 * @category models
 */
export type BatchEvent = { readonly at: number } & (
  | ({ readonly batchId: string; readonly index: number; readonly call: ToolCall } & CallEvent)
  | ({ readonly _tag: "CircuitChanged" } & Transition)
)

/**
 * @since 0.1.0
 * @category tags
 */
export class BatchEvents extends Context.Tag("salvo/BatchEvents")<
  BatchEvents,
  {
    /** Tells whoever listens; never waits for them. */
    readonly publish: (event: BatchEvent) => Effect.Effect<void>
    /** Everything from the moment of subscription on. */
    readonly stream: Stream.Stream<BatchEvent>
  }
>() {}

/** A listener that falls this far behind loses the oldest events; calls never wait for listeners. */
const bufferSize = 65_536

/**
 * Events in memory, for any number of listeners. One that falls more than 65,536 events behind loses the oldest.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<BatchEvents> = Layer.scoped(
  BatchEvents,
  Effect.gen(function* () {
    let listeners = 0
    let isOver = false
    const pubsub = yield* Effect.acquireRelease(PubSub.sliding<BatchEvent>(bufferSize), (pubsub) => {
      isOver = true
      return PubSub.shutdown(pubsub)
    })
    const listening = Effect.acquireRelease(
      Effect.sync(() => listeners++),
      () => Effect.sync(() => listeners--)
    )
    return {
      // Calls may outlive the layer: what becomes of them is then told to nobody.
      publish: (event: BatchEvent) =>
        listeners === 0 || isOver ? Effect.void : Effect.asVoid(PubSub.publish(pubsub, event)),
      stream: Stream.unwrapScoped(Effect.as(listening, Stream.fromPubSub(pubsub)))
    }
  })
)
