/**
 * A run as plain data: what is drawn, before it is known how.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { BatchEvent, Wait as Awaited } from "../services/BatchEvents.ts"
import type { ToolCall } from "../ToolCall.ts"
import type { ToolError } from "../ToolError.ts"
import type { Source, ToolResult } from "../ToolResult.ts"

/**
 * What became of a call, as far as the picture tells outcomes apart:
 *
 * - `succeeded`: its own tool answered. `fallback`, `cache`, `coalesced`, `journal`: the answer came from there.
 * - `failed` (by its own failure, a crash, an unusable output) and `timedOut`.
 * - `invalid`: the model's mistake; nothing was executed.
 * - `rejected`: by an open circuit, a full bulkhead, a rate limit or a budget.
 * - `skipped`: what it needs failed, or the batch ended before it began.
 * - `unknown`: cut off while it ran. `unfinished`: its result had not come at the last event.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome =
  | "succeeded"
  | Exclude<Source, "executed" | "hedge">
  | "failed"
  | "timedOut"
  | "invalid"
  | "rejected"
  | "skipped"
  | "unknown"
  | "unfinished"

/**
 * One execution of a handler. `abandoned`: nobody waited for it any more.
 *
 * @since 0.1.0
 * @category models
 */
export interface Attempt {
  readonly _tag: "Attempt"
  readonly attempt: number
  readonly source: "executed" | "hedge"
  /** The tool that was executed: the one that was called, or the one that answers in its place. */
  readonly tool: string
  readonly from: number
  readonly to: number
  readonly outcome: Outcome | "abandoned"
  readonly error: ToolError | undefined
  /** Attempts of one row do not overlap: a hedge runs in the second. */
  readonly row: 0 | 1
}

/**
 * Why a call waits: see `BatchEvents.Wait`; `Retrying` is the time between two attempts.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason = Awaited | { readonly _tag: "Retrying"; readonly delay: Duration.Duration }

/**
 * A time in which a call, or its hedge (`row` 1), waited.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wait {
  readonly _tag: "Wait"
  readonly for: Reason
  readonly from: number
  readonly to: number
  readonly row: 0 | 1
}

/**
 * @since 0.1.0
 * @category models
 */
export type Span = Attempt | Wait

/**
 * A sign of progress that a handler gave.
 *
 * @since 0.1.0
 * @category models
 */
export interface Mark {
  readonly at: number
  readonly attempt: number
  readonly note: string | undefined
}

/**
 * One call, from its submission to its result, or to the last event of all where that is missing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Lane {
  /** Its position in the batch, from 0. */
  readonly index: number
  readonly call: ToolCall
  readonly from: number
  readonly to: number
  readonly outcome: Outcome
  readonly result: ToolResult | undefined
  /** In the order in which they began. */
  readonly spans: ReadonlyArray<Span>
  readonly marks: ReadonlyArray<Mark>
  /** Whether its first events are missing; it is then drawn from the first event of all. */
  readonly beganBefore: boolean
}

/**
 * One call waited for another: lanes by their index, when the first had landed, and when the second went on.
 *
 * @since 0.1.0
 * @category models
 */
export interface Arrow {
  readonly from: number
  readonly to: number
  readonly why: Extract<Awaited, { readonly _tag: "Calls" }>["why"]
  readonly leaves: number
  readonly arrives: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Batch {
  readonly id: string
  readonly from: number
  readonly to: number
  /** In call order. */
  readonly lanes: ReadonlyArray<Lane>
  readonly arrows: ReadonlyArray<Arrow>
}

/**
 * @since 0.1.0
 * @category models
 */
export type CircuitChange = Extract<BatchEvent, { readonly _tag: "CircuitChanged" }>

/**
 * What happened in a run. All times are those of the events: milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface Timeline {
  /** The first and the last event; both 0 where there is none. */
  readonly from: number
  readonly to: number
  /** In the order in which they began. */
  readonly batches: ReadonlyArray<Batch>
  readonly circuits: ReadonlyArray<CircuitChange>
}
