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
import { type Answer, type Deadline, deadlineOf, type Job, tell } from "./job.ts"
import { isAnswer } from "./journal/entry.ts"
import * as Recall from "./journal/recall.ts"
import * as Telemetry from "./telemetry.ts"

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
  run: Effect.Effect<Answer, Failed.Failed>
): Effect.Effect<Answer, Failed.Failed> => {
  let resource: string | undefined
  try {
    resource = job.definition.resource(input)
  } catch (thrown) {
    return Effect.flatMap(Failed.fromThrown(job.definition, thrown), Effect.fail)
  }
  if (resource === undefined) return run
  const key = resource
  return Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const millis = deadline.at - (yield* Timeout.now)
      const waiting = tell(job, { _tag: "Waiting", for: { _tag: "Resource" } })
      const holds = yield* job.shared.resources.take(key, millis, restore, waiting)
      if (holds === undefined) return yield* Effect.fail(Bulkhead.outOfTime(job, deadline.kind, 1))
      job.holds = holds
      const letGo = yield* Effect.once(holds.release)
      job.letGo = letGo
      return yield* Effect.ensuring(restore(run), letGo)
    })
  )
}

/** The same for a call that goes on in another fiber, while the handler keeps its own and all that it holds. */
const stillHolding = (job: Job, run: Effect.Effect<Answer, Failed.Failed>): Effect.Effect<Answer, Failed.Failed> => {
  const { holds } = job
  if (holds === undefined) return run
  holds.retain()
  return Effect.flatMap(Effect.once(holds.release), (letGo) => {
    job.letGo = letGo
    return Effect.ensuring(run, letGo)
  })
}

type GoOn = (rest: Effect.Effect<Answer, Failed.Failed>) => void

/** `goOn` starts a fiber in which the call goes on; missing where the fiber that runs this is not the call's own. */
const settle = (job: Job, deadline: Deadline, goOn: GoOn | undefined): Effect.Effect<Answer, Failed.Failed> => {
  const given = job.input
  const go = (input: unknown) => {
    // A hedge runs beside the first attempt, so that has to be in a fiber of its own.
    if (goOn !== undefined && job.guards.hedge === undefined) {
      job.goOn = (first) => {
        const rest = Policy.protect(job, input, deadline, first)
        goOn(stillHolding(job, job.entry === undefined ? rest : Recall.landing(job, job.entry, rest)))
      }
    }
    const run = Policy.protect(job, input, deadline)
    // Who has its result already keeps nobody from the resource.
    return Recall.hasLanded(job)
      ? Recall.around(job, input, holding(job, input, deadline, run))
      : holding(job, input, deadline, Recall.around(job, input, run))
  }
  return Either.isEither(given) && Either.isRight(given) ? go(given.right) : Effect.flatMap(decoded(job, deadline), go)
}

const begin = ({ progress, shared }: Job): number => (progress.startedAt ??= shared.time())

/** Runs a call whose result is only its answer: that of another tool's fallback. */
export const answer = (job: Job): Effect.Effect<Answer, Failed.Failed> =>
  Effect.suspend(() => settle(job, deadlineOf(job, begin(job)), undefined))

/** The result of what a call has come to. */
export const resultOf = (
  job: Job,
  settled: Answer | Failed.Failed,
  spilled?: ToolResult.Spilled
): ToolResult.ToolResult => {
  const { call, progress, shared } = job
  const { attempts, startedAt } = progress
  const duration = Duration.millis(startedAt === undefined ? 0 : shared.time() - startedAt)
  if (!isAnswer(settled)) {
    return { _tag: "Failure", call, error: settled.error, fault: settled.fault, attempts, duration }
  }
  const success = { _tag: "Success", call, ...settled, attempts, duration } as const
  return spilled === undefined ? success : { ...success, spilled }
}

const completed = (job: Job, settled: Effect.Effect<Answer, Failed.Failed>): Effect.Effect<ToolResult.ToolResult> =>
  Effect.matchCauseEffect(settled, {
    onFailure: (cause) => Effect.map(Effect.flip(Effect.failCause(cause)), (failed) => resultOf(job, failed)),
    onSuccess: (answer) =>
      job.shared.outputStore === undefined
        ? Effect.succeed(resultOf(job, answer))
        : Effect.map(OutputBudget.spill(job, answer), (spilled) => resultOf(job, answer, spilled))
  })

/**
 * Ready to landed, in a fiber of the call's own that is begun at once. Never fails; its only other end is an interruption: of the whole batch,
 * or because a handler keeps the fiber beyond its time, in which case `goOn` was given what is left to do.
 */
export const run = (
  job: Job,
  goOn: (rest: Effect.Effect<ToolResult.ToolResult>) => void
): Effect.Effect<ToolResult.ToolResult> => {
  const started = () => {
    const deadline = deadlineOf(job, begin(job))
    return completed(
      job,
      settle(job, deadline, (rest) => goOn(completed(job, rest)))
    )
  }
  return job.shared.telemetry.isTraced
    ? Effect.flatMap(Telemetry.begun(job), (span) => {
        job.span = span
        return started()
      })
    : started()
}
