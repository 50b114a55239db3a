/** One call on its own: from the moment it is ready to its one result. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as Fallback from "../policies/Fallback.ts"
import * as Retry from "../policies/Retry.ts"
import * as Timeout from "../policies/Timeout.ts"
import * as ToolError from "../ToolError.ts"
import type * as ToolResult from "../ToolResult.ts"
import { type Answer, attempt, type Deadline, type Job } from "./attempt.ts"
import * as Failed from "./failed.ts"

const retried = (job: Job, input: unknown, deadline: Deadline): Effect.Effect<Answer, Failed.Failed> => {
  const once = attempt(job, input, deadline)
  const { retry } = job.policy
  if (retry === undefined || retry.times === 0) return once
  const schedule = Retry.schedule(retry, job.definition.effects, deadline.at).pipe(
    Schedule.onDecision((delay, decision) =>
      ScheduleDecision.isContinue(decision)
        ? job.emit({ _tag: "Retrying", attempt: job.progress.attempts + 1, delay })
        : Effect.void
    )
  )
  return Effect.retry(once, schedule)
}

/** The input, waited for only where its schema takes time, and then no longer than the call may take. */
const decoded = (job: Job, deadline: Deadline): Effect.Effect<unknown, Failed.Failed> =>
  Effect.flatMap(Timeout.now, (time) =>
    Effect.timeoutFail(
      Effect.mapError(job.input, (error) => Failed.of(error, job.definition)),
      {
        duration: Duration.millis(Math.max(0, deadline.at - time)),
        onTimeout: () => Failed.of(new ToolError.NotStarted({ reason: "deadline" }), job.definition)
      }
    )
  )

const deadlineOf = (job: Job, startedAt: number): Deadline => {
  const total = startedAt + job.policy.totalMillis
  return total <= job.batchDeadline ? { at: total, kind: "total" } : { at: job.batchDeadline, kind: "batch" }
}

interface Ended {
  readonly answer: Either.Either<Answer, Failed.Failed>
  readonly replaces: ToolError.ToolError | undefined
}

/** Input, attempts, fallback. */
const settle = (job: Job, deadline: Deadline): Effect.Effect<Ended> =>
  Effect.gen(function* () {
    const input = Either.isEither(job.input)
      ? Either.mapLeft(job.input, (error) => Failed.of(error, job.definition))
      : yield* Effect.either(decoded(job, deadline))
    if (Either.isLeft(input)) return { answer: Either.left(input.left), replaces: undefined }
    const tried = yield* Effect.either(retried(job, input.right, deadline))
    if (Either.isRight(tried)) return { answer: tried, replaces: undefined }
    const fallback = yield* Effect.either(Fallback.answer(job, input.right, tried.left))
    return { answer: fallback, replaces: tried.left.error }
  })

/** Ready to landed. Never fails; its only other end is an interruption of the whole batch. */
export const run = (job: Job): Effect.Effect<ToolResult.ToolResult> =>
  Effect.gen(function* () {
    const { call, progress } = job
    const startedAt = yield* Timeout.now
    progress.startedAt = startedAt
    const { answer, replaces } = yield* settle(job, deadlineOf(job, startedAt))
    const duration = Duration.millis((yield* Timeout.now) - startedAt)
    const { attempts } = progress
    const result: ToolResult.ToolResult = Either.isLeft(answer)
      ? { _tag: "Failure", call, error: answer.left.error, fault: answer.left.fault, attempts, duration }
      : replaces === undefined
        ? { _tag: "Success", call, ...answer.right, attempts, duration, source: "executed" }
        : { _tag: "Success", call, ...answer.right, attempts, duration, source: "fallback", replaces }
    yield* job.emit({ _tag: "Finished", result })
    return result
  })
