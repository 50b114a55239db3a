/** A call that is going to run, with all it needs: what the steps on its way work on. */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Tracer from "effect/Tracer"
import type { CallEvent } from "../services/BatchEvents.ts"
import type * as OutputStore from "../services/OutputStore.ts"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import type * as ToolError from "../ToolError.ts"
import type { Source, Spilled } from "../ToolResult.ts"
import type { Deadlines } from "./deadlines.ts"
import type { Failed } from "./failed.ts"
import type { Guards } from "./guards.ts"
import type { Holds } from "./holds.ts"
import type { Decoded } from "./input.ts"
import type { Entry } from "./journal/entry.ts"
import type { Resolved } from "./resolve.ts"
import type { Resources } from "./resources.ts"
import type { Telemetry, ToolMetrics } from "./telemetry.ts"

export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Starts a fiber in the environment of the batch. It can be interrupted. */
export type Fork = <A, E>(effect: Effect.Effect<A, E>) => Fiber.RuntimeFiber<A, E>

/** What the calls of a batch share while they run. */
export interface Shared {
  /** Names the batch in what outlives it. */
  readonly batchId: string
  /** On the monotonic clock, in milliseconds. */
  readonly batchDeadline: number
  /** The monotonic clock, in milliseconds. */
  readonly time: () => number
  readonly deadlines: Deadlines
  /** What is left of the batch's executions, for all its calls. */
  readonly executions: { left: number }
  readonly resources: Resources
  readonly outputStore: OutputStore.OutputStore["Type"] | undefined
  readonly telemetry: Telemetry
  /** The outputs of the calls that the one at that position needs, by id. */
  readonly outputsFor: (index: number) => ReadonlyMap<string, unknown>
  readonly fork: Fork
  /** Runs a call in a fiber of its own until it lands, or goes on with it in another. */
  readonly lead: (job: Job, call: Effect.Effect<Answer, Failed>) => void
  /** Tells of a call; missing where there are no events. */
  readonly publish: ((call: ToolCall, index: number, event: CallEvent) => Effect.Effect<void>) | undefined
}

export interface Job {
  readonly shared: Shared
  readonly call: ToolCall
  /** Its position in the batch. */
  readonly index: number
  readonly definition: Tool.Definition
  readonly handler: Tool.Handler<never, unknown, unknown>
  /** The arguments before they are decoded. */
  readonly written: object
  readonly input: Decoded
  /** The arguments as text that is the same for the same arguments (RFC 8785); none where JSON cannot say them. */
  readonly canonical: string | undefined
  readonly policy: Resolved
  readonly guards: Guards
  readonly metrics: ToolMetrics
  /** Worked out when it is first asked for. */
  readonly idempotencyKey: string
  /** The outputs of the calls it needs, by id. Looked up when they are first asked for. */
  readonly dependencies: ReadonlyMap<string, unknown>
  readonly progress: Progress
  /** What the journal knows of it; missing where there is none. */
  readonly entry: Entry | undefined
  /** Asks another tool instead, under its own policy. */
  readonly instead: (tool: Tool.Tool, input: unknown) => Effect.Effect<Answer, Failed>
  /** The arguments as the handler takes them, once they are decoded. */
  decoded: unknown
  /** Whether the first attempt may run in the call's own fiber: the call has one, and nothing runs beside it. */
  ownsFiber: boolean
  /** The call goes on in another fiber, from a first attempt that ended so: the handler still occupies the first one. */
  goOn(first: Effect.Effect<Answer, Failed>): void
  /** Missing where nobody traces. */
  span: Tracer.Span | undefined
  /** The resource the call holds. Every handler of it has to retain and release it. */
  holds: Holds | undefined
  /** Lets go of it for the call itself, once. */
  letGo: Effect.Effect<void> | undefined
}

/** An attempt that was told of and has not ended. */
export interface UnderWay {
  readonly job: Job
  readonly attempt: number
}

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

/** The handlers that are running for a call: as a rule one, and a set only where there are more. */
export class Handlers {
  #only: AnyFiber | undefined = undefined
  #others: Set<AnyFiber> | undefined = undefined

  get isEmpty(): boolean {
    return this.#only === undefined && (this.#others === undefined || this.#others.size === 0)
  }

  add(fiber: AnyFiber): void {
    if (this.#only === undefined) this.#only = fiber
    else (this.#others ??= new Set()).add(fiber)
  }

  delete(fiber: AnyFiber): void {
    if (this.#only === fiber) this.#only = undefined
    else this.#others?.delete(fiber)
  }

  all(): ReadonlyArray<AnyFiber> {
    const others = Array.from(this.#others ?? [])
    return this.#only === undefined ? others : [this.#only, ...others]
  }
}

/** How far a call has come: what an interruption of the batch is answered from. */
export interface Progress {
  /** When the call became ready, on the monotonic clock. */
  startedAt: number | undefined
  attempts: number
  /** The handlers that are running for it. */
  readonly running: Handlers
  /** Where somebody may listen: those of which the end has to be told before the result is. */
  underWay: Set<UnderWay> | undefined
  last: Failed | undefined
  /** The work of another tool in its place. */
  instead: Job | undefined
  /** What the call has come to, while that is being written down. */
  settled: Answer | Failed | undefined
  /** Where what the model is not shown of its output was put. */
  spilled: Spilled | undefined
  /** The attempt that runs in the call's own fiber. */
  here: Abandonable | undefined
}

/** What can be ended where nobody waits for it any more. */
export interface Abandonable {
  abandon(): void
}

export const notBegun = (): Progress => ({
  startedAt: undefined,
  attempts: 0,
  running: new Handlers(),
  underWay: undefined,
  last: undefined,
  instead: undefined,
  settled: undefined,
  spilled: undefined,
  here: undefined
})

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

/** When a call that became ready at `startedAt` has to be done: at its own deadline, or that of its batch. */
export const deadlineOf = ({ policy, shared: { batchDeadline } }: Job, startedAt: number): Deadline => {
  const total = startedAt + policy.totalMillis
  return total <= batchDeadline ? { at: total, kind: "total" } : { at: batchDeadline, kind: "batch" }
}

/** What an effect is told that is run for a call, but is no attempt of it. */
export const besideAttempts = (job: Job, attempt: number): Tool.Call => ({
  id: job.call.id,
  attempt,
  get idempotencyKey() {
    return job.idempotencyKey
  },
  get dependencies() {
    return job.dependencies
  },
  progress: () => done
})

const done = Effect.void

/** Tells of what happens to a call, where anybody may listen. */
export const tell = ({ call, index, shared: { publish } }: Job, event: CallEvent): Effect.Effect<void> =>
  publish === undefined ? done : publish(call, index, event)
