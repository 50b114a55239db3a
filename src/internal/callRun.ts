/** One call on its own: from the moment it is ready to its one result. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Bulkhead from "../policies/Bulkhead.ts"
import * as OutputBudget from "../policies/OutputBudget.ts"
import * as Policy from "../policies/Policy.ts"
import * as Timeout from "../policies/Timeout.ts"
import * as ToolError from "../ToolError.ts"
import type * as ToolResult from "../ToolResult.ts"
import * as Failed from "./failed.ts"
import type { Answer, Deadline, Job } from "./job.ts"

/** The input, waited for only where its schema takes time, and then no longer than the call may take. */
const decoded = (job: Job, deadline: Deadline): Effect.Effect<unknown, Failed.Failed> => {
  const input = Effect.mapError(job.input, (error) => Failed.of(error, job.definition))
  if (Either.isEither(job.input)) return input
  return Effect.flatMap(Timeout.now, (time) =>
    Effect.timeoutFail(Effect.disconnect(input), {
      duration: Duration.millis(Math.max(0, deadline.at - time)),
      onTimeout: () => Failed.of(new ToolError.NotStarted({ reason: "deadline" }), job.definition)
    })
  )
}

/** Holds the call's resource, if it uses one, until the call and all its handlers have ended. */
const holding = (
  job: Job,
  input: unknown,
  deadline: Deadline,
  run: (job: Job) => Effect.Effect<Answer, Failed.Failed>
): Effect.Effect<Answer, Failed.Failed> =>
  Effect.flatMap(
    Effect.try(() => job.definition.resource(input)).pipe(
      Effect.catchAll(({ error }) => Effect.flatMap(Failed.fromThrown(job.definition, error), Effect.fail))
    ),
    (key) => {
      if (key === undefined) return run(job)
      return Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          const holds = yield* job.resources.take(key, deadline.at - (yield* Timeout.now), restore)
          if (holds === undefined) return yield* Effect.fail(Bulkhead.outOfTime(job, deadline.kind, 1))
          const letGo = yield* Effect.once(holds.release)
          // The tool that answers instead takes what it uses itself, which may be the same.
          const instead: Job["instead"] = (tool, input) => Effect.zipRight(letGo, job.instead(tool, input))
          return yield* Effect.ensuring(restore(run({ ...job, holds, instead })), letGo)
        })
      )
    }
  )

const settle = (job: Job, deadline: Deadline): Effect.Effect<Answer, Failed.Failed> =>
  Effect.flatMap(decoded(job, deadline), (input) =>
    holding(job, input, deadline, (job) => Policy.protect(job, input, deadline))
  )

const deadlineOf = (job: Job, startedAt: number): Deadline => {
  const total = startedAt + job.policy.totalMillis
  return total <= job.batchDeadline ? { at: total, kind: "total" } : { at: job.batchDeadline, kind: "batch" }
}

const begin = (job: Job): Effect.Effect<number> => Effect.map(Timeout.now, (time) => (job.progress.startedAt ??= time))

/** Runs a call whose result is only its answer: that of another tool's fallback. */
export const answer = (job: Job): Effect.Effect<Answer, Failed.Failed> =>
  Effect.flatMap(begin(job), (startedAt) => settle(job, deadlineOf(job, startedAt)))

/** Ready to landed. Never fails; its only other end is an interruption of the whole batch. */
export const run = (job: Job): Effect.Effect<ToolResult.ToolResult> =>
  Effect.gen(function* () {
    const { call, progress } = job
    const startedAt = yield* begin(job)
    const settled = yield* Effect.either(settle(job, deadlineOf(job, startedAt)))
    const spilled = Either.isRight(settled) ? yield* OutputBudget.spill(job, settled.right) : undefined
    const duration = Duration.millis((yield* Timeout.now) - startedAt)
    const { attempts } = progress
    const result: ToolResult.ToolResult = Either.isLeft(settled)
      ? { _tag: "Failure", call, ...settled.left, attempts, duration }
      : { _tag: "Success", call, ...settled.right, attempts, duration, ...(spilled === undefined ? {} : { spilled }) }
    yield* job.emit({ _tag: "Finished", result })
    return result
  })
