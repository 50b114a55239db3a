/** A call that is going to run, with all it needs: what the steps on its way work on. */
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as BatchEvents from "../services/BatchEvents.ts"
import type * as OutputStore from "../services/OutputStore.ts"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import type * as ToolError from "../ToolError.ts"
import type { Source } from "../ToolResult.ts"
import type { Failed } from "./failed.ts"
import type { Holds } from "./holds.ts"
import type { Resources } from "./resources.ts"
import type { Guards } from "./guards.ts"
import type { Decoded } from "./input.ts"
import type { Resolved } from "./resolve.ts"

export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export interface Job {
  readonly call: ToolCall
  readonly definition: Tool.Definition
  readonly handler: Tool.Handler<never, unknown, unknown>
  /** The arguments before they are decoded. */
  readonly written: object
  readonly input: Decoded
  /** The tool and its canonical input, where calls of the tool may share an answer. */
  readonly key: string | undefined
  readonly policy: Resolved
  readonly guards: Guards
  readonly resources: Resources
  /** The resource the call holds. Every handler of it has to retain and release it. */
  readonly holds: Holds | undefined
  /** What is left of the batch's executions, for all its calls. */
  readonly executions: { left: number }
  /** Names the batch in what outlives it. */
  readonly batchId: string
  readonly idempotencyKey: string
  readonly dependencies: ReadonlyMap<string, unknown>
  /** On the monotonic clock, in milliseconds. */
  readonly batchDeadline: number
  readonly outputStore: OutputStore.OutputStore["Type"] | undefined
  readonly emit: (event: CallEvent) => Effect.Effect<void>
  readonly progress: Progress
  /** Asks another tool instead, under its own policy. */
  readonly instead: (tool: Tool.Tool, input: unknown) => Effect.Effect<Answer, Failed>
}

export type CallEvent = BatchEvents.BatchEvent extends infer Event
  ? Event extends BatchEvents.BatchEvent
    ? Omit<Event, "batchId" | "call">
    : never
  : never

/** How far a call has come: what an interruption of the batch is answered from. */
export interface Progress {
  /** When the call became ready, on the monotonic clock. */
  startedAt: number | undefined
  attempts: number
  /** The handlers that are running for it. */
  readonly running: Set<Fiber.RuntimeFiber<unknown, unknown>>
  last: Failed | undefined
}

export const notBegun = (): Progress => ({ startedAt: undefined, attempts: 0, running: new Set(), last: undefined })

export interface Answer {
  readonly output: unknown
  readonly encoded: unknown
  readonly source: Source
  readonly replaces?: ToolError.ToolError | undefined
}

/** When a call has to be done, on the monotonic clock, and whose deadline that is. */
export interface Deadline {
  readonly at: number
  readonly kind: "total" | "batch"
}
