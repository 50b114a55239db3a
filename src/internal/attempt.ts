/** One execution of a call: a slot, a deadline, the handler, its output encoded. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Bulkhead from "../policies/Bulkhead.ts"
import type * as Policy from "../policies/Policy.ts"
import * as Timeout from "../policies/Timeout.ts"
import type * as BatchEvents from "../services/BatchEvents.ts"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import * as ToolError from "../ToolError.ts"
import * as Failed from "./failed.ts"
import type { Decoded } from "./input.ts"
import * as Output from "./output.ts"

export interface Job {
  readonly call: ToolCall
  readonly definition: Tool.Definition
  readonly handler: Tool.Handler<never, unknown, unknown>
  readonly input: Decoded
  readonly policy: Policy.Resolved
  readonly bulkhead: Bulkhead.Bulkhead | undefined
  readonly idempotencyKey: string
  readonly dependencies: ReadonlyMap<string, unknown>
  /** On the monotonic clock, in milliseconds. */
  readonly batchDeadline: number
  readonly emit: (event: CallEvent) => Effect.Effect<void>
  readonly progress: Progress
}

export type CallEvent = BatchEvents.BatchEvent extends infer Event
  ? Event extends BatchEvents.BatchEvent
    ? Omit<Event, "batchId" | "call">
    : never
  : never

/** How far a call has come: what an interruption of the batch is answered from. */
export interface Progress {
  attempts: number
  running: Fiber.RuntimeFiber<unknown, unknown> | undefined
  startedAt: number | undefined
  last: Failed.Failed | undefined
}

export const notBegun = (): Progress => ({ attempts: 0, running: undefined, startedAt: undefined, last: undefined })

export interface Answer {
  readonly output: unknown
  readonly encoded: unknown
}

const isEffect = (u: unknown): u is Effect.Effect<unknown, unknown> => Effect.isEffect(u)

const notAnEffect = (name: string, u: unknown) =>
  Effect.dieMessage(
    `The handler of ${name} answered with ${typeof u === "object" ? "an object" : typeof u}, not an Effect`
  )

/** Runs the handler and encodes its output; any way it can end is an answer or a failed attempt. */
export const work = (job: Job, input: unknown, call: Tool.Call): Effect.Effect<Answer, Failed.Failed> =>
  Effect.suspend(() => {
    // The toolbox pairs a handler with its own definition, whose schema decoded this input.
    const effect = job.handler(input as never, call)
    return isEffect(effect) ? effect : notAnEffect(job.definition.name, effect)
  }).pipe(
    Effect.matchCauseEffect({
      onFailure: (cause) => Effect.flatMap(Failed.fromCause(job.definition, cause), Effect.fail),
      onSuccess: (output) =>
        Effect.matchEffect(Output.encode(job.definition, output), {
          onFailure: (issues) => Effect.flatMap(Failed.invalidOutput(job.definition, issues), Effect.fail),
          onSuccess: (encoded) => Effect.succeed<Answer>({ output, encoded })
        })
    })
  )

export const leaked = (job: Job): Effect.Effect<void> =>
  Effect.logWarning(`Tool ${job.definition.name} ignores interruption and is still running`).pipe(
    Effect.annotateLogs({ tool: job.definition.name, call: job.call.id })
  )

/** What a call is told that could not start in time. */
const outOfTime = (job: Job, kind: "total" | "batch"): Failed.Failed =>
  job.progress.last ??
  Failed.of(
    kind === "total" && job.bulkhead !== undefined
      ? new ToolError.BulkheadFull({ capacity: job.bulkhead.capacity })
      : new ToolError.NotStarted({ reason: "deadline" }),
    job.definition
  )

export interface Deadline {
  readonly at: number
  readonly kind: "total" | "batch"
}

/** A handler's fiber that ends without an answer was killed from inside: its finalizers died, or it stopped itself. */
const fromExit = (job: Job, exit: Exit.Exit<Answer, Failed.Failed>): Effect.Effect<Answer, Failed.Failed> =>
  Exit.isSuccess(exit) || Cause.isFailType(exit.cause)
    ? exit
    : Effect.flatMap(Failed.fromCause(job.definition, exit.cause), Effect.fail)

/** One execution: a slot, a deadline, the handler. */
export const attempt = (job: Job, input: unknown, deadline: Deadline): Effect.Effect<Answer, Failed.Failed> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const { bulkhead, policy, progress } = job
      if (bulkhead !== undefined && !(yield* bulkhead.take(restore, deadline.at - (yield* Timeout.now)))) {
        return yield* Effect.fail(outOfTime(job, deadline.kind))
      }
      const startedAt = yield* Timeout.now
      const left = deadline.at - startedAt
      if (left <= 0) {
        if (bulkhead !== undefined) yield* bulkhead.release
        return yield* Effect.fail(outOfTime(job, deadline.kind))
      }
      const number = ++progress.attempts
      let lastSign = startedAt
      const call: Tool.Call = {
        id: job.call.id,
        attempt: number,
        idempotencyKey: job.idempotencyKey,
        dependencies: job.dependencies,
        progress: (note) =>
          Effect.flatMap(Timeout.now, (time) => {
            lastSign = time
            return job.emit({ _tag: "Progress", attempt: number, note })
          })
      }
      yield* job.emit({ _tag: "AttemptStarted", attempt: number })
      const handler = work(job, input, call)
      const exit = yield* Timeout.execute(
        handler,
        {
          millis: Math.min(policy.attemptMillis, left),
          kind: policy.attemptMillis <= left ? "attempt" : deadline.kind,
          idleMillis: policy.idleMillis,
          lastSign: () => lastSign
        },
        {
          onStart: (fiber) => {
            progress.running = fiber
          },
          onEnd: bulkhead?.release ?? Effect.void,
          onLeak: leaked(job)
        },
        restore
      ).pipe(
        Effect.mapError((error) => Failed.of(error, job.definition)),
        Effect.flatMap((exit) => fromExit(job, exit)),
        Effect.either
      )
      progress.running = undefined
      if (Either.isRight(exit)) return exit.right
      progress.last = exit.left
      yield* job.emit({ _tag: "AttemptFailed", attempt: number, error: exit.left.error })
      return yield* Effect.fail(exit.left)
    })
  )
