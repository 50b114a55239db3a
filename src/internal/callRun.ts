/** One call on its own: from the moment it is ready until it has settled. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Bulkhead from "../policies/Bulkhead.ts"
import * as OutputBudget from "../policies/OutputBudget.ts"
import * as Policy from "../policies/Policy.ts"
import * as Timeout from "../policies/Timeout.ts"
import * as ToolError from "../ToolError.ts"
import * as Failed from "./failed.ts"
import { type Answer, type Deadline, deadlineOf, type Job, tell } from "./job.ts"
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

/** Fails only with what the call has then come to; what the model is not shown of an answer is put away. */
const finished = (job: Job, call: Effect.Effect<Answer, Failed.Failed>): Effect.Effect<Answer, Failed.Failed> =>
  job.shared.outputStore === undefined
    ? call
    : Effect.flatMap(call, (answer) =>
        Effect.map(OutputBudget.spill(job, answer), (spilled) => {
          job.progress.spilled = spilled
          return answer
        })
      )

const go = (job: Job, input: unknown, deadline: Deadline): Effect.Effect<Answer, Failed.Failed> => {
  job.decoded = input
  const run = Policy.protect(job, input, deadline)
  // Who has its result already keeps nobody from the resource.
  return Recall.hasLanded(job)
    ? Recall.around(job, input, holding(job, input, deadline, run))
    : holding(job, input, deadline, Recall.around(job, input, run))
}

const settle = (job: Job, deadline: Deadline): Effect.Effect<Answer, Failed.Failed> =>
  Either.isEither(job.input) && Either.isRight(job.input)
    ? go(job, job.input.right, deadline)
    : Effect.flatMap(decoded(job, deadline), (input) => go(job, input, deadline))

const begin = ({ progress, shared }: Job): number => (progress.startedAt ??= shared.time())

/** Runs a call whose result is only its answer: that of another tool's fallback. */
export const answer = (job: Job): Effect.Effect<Answer, Failed.Failed> =>
  Effect.suspend(() => settle(job, deadlineOf(job, begin(job))))

const started = (job: Job): Effect.Effect<Answer, Failed.Failed> =>
  finished(job, settle(job, deadlineOf(job, begin(job))))

/**
 * Ready to settled, in a fiber of the call's own that is begun at once. Its only other end is an interruption: of the
 * whole batch, or because a handler keeps the fiber beyond its time, in which case the call goes on in another.
 */
export const run = (job: Job): Effect.Effect<Answer, Failed.Failed> => {
  // A hedge runs beside the first attempt, so that has to be in a fiber of its own.
  job.ownsFiber = job.guards.hedge === undefined
  return job.shared.telemetry.isTraced
    ? Effect.flatMap(Telemetry.begun(job), (span) => {
        job.span = span
        return started(job)
      })
    : started(job)
}

/** See `Job.goOn`. */
export const goOn = (job: Job, first: Effect.Effect<Answer, Failed.Failed>): void => {
  const rest = Policy.protect(job, job.decoded, deadlineOf(job, begin(job)), first)
  const landing = job.entry === undefined ? rest : Recall.landing(job, job.entry, rest)
  job.shared.lead(job, finished(job, stillHolding(job, landing)))
}
