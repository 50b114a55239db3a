/** Around a call that is journaled: what is known of it answers it, and what it comes to is written down. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Tool from "../../Tool.ts"
import * as ToolError from "../../ToolError.ts"
import * as Effects from "../effects.ts"
import * as Failed from "../failed.ts"
import { type Answer, besideAttempts, deadlineOf, type Job } from "../job.ts"
import * as Output from "../output.ts"
import { type Entry, isAnswer } from "./entry.ts"
import type { Known } from "./ledger.ts"
import type * as Record from "./record.ts"

type Settled = Effect.Effect<Answer, Failed.Failed>

/** None where it does not fit the tool's schema (any more). */
const errorFrom = (definition: Tool.Definition, encoded: unknown) =>
  Effect.option(Schema.decodeUnknown(ToolError.schema(definition.failure))(encoded))

type Failure = Pick<Record.AttemptFailed, "error" | "fault">

const failureFrom = (job: Job, { error, fault }: Failure, otherwise: Settled): Settled =>
  Effect.flatMap(errorFrom(job.definition, error), (found) =>
    Option.isSome(found) ? Effect.fail({ error: found.value, fault }) : otherwise
  )

const answerFrom = (job: Job, outcome: Record.Landed["outcome"] & { _tag: "Success" }, otherwise: Settled): Settled =>
  Effect.matchCauseEffect(Schema.decodeUnknown(job.definition.output)(outcome.encoded), {
    onFailure: () => otherwise,
    onSuccess: (output) =>
      Effect.map(
        outcome.replaces === undefined ? Effect.succeedNone : errorFrom(job.definition, outcome.replaces),
        (replaces): Answer => ({
          output,
          encoded: outcome.encoded,
          source: "journal",
          ...(Option.isSome(replaces) ? { replaces: replaces.value } : {})
        })
      )
  })

const unknown = (job: Job): Settled => Effect.fail(Failed.of(new ToolError.OutcomeUnknown(), job.definition))

/** As long as an attempt, but no longer than the call and its batch have. */
const timeLeft = (job: Job): Duration.Duration => {
  const time = job.shared.time()
  const { at } = deadlineOf(job, job.progress.startedAt ?? time)
  return Duration.millis(Math.min(job.policy.attemptMillis, Math.max(0, at - time)))
}

/** What a handler says of a call that it may have carried out: its output, or none where it did not. */
const reconciled = (job: Job, input: unknown, run: Settled): Settled => {
  const { reconcile } = job.handler
  if (reconcile === undefined) return unknown(job)
  const call = besideAttempts(job, job.progress.attempts)
  // The toolbox pairs a handler with its own definition, whose schema decoded this input.
  return Effect.suspend(() => reconcile(input as never, call)).pipe(
    Effect.disconnect,
    Effect.timeoutFail({
      duration: timeLeft(job),
      onTimeout: () => "it took too long"
    }),
    Effect.exit,
    Effect.flatMap((exit): Settled => {
      if (Exit.isFailure(exit)) {
        return Effect.zipRight(
          Effect.annotateLogs(Effect.logWarning("What became of a call could not be found out", exit.cause), {
            tool: job.definition.name,
            call: job.call.id
          }),
          unknown(job)
        )
      }
      if (Option.isNone(exit.value)) return run
      const output = exit.value.value
      return Effect.matchEffect(Output.encode(job.definition, output), {
        onFailure: () => unknown(job),
        onSuccess: (encoded) => Effect.succeed<Answer>({ output, encoded, source: "journal" })
      })
    })
  )
}

/** Whether a call may be executed again although an execution of it began that nobody knows the end of. */
const mayRunAgain = ({ definition }: Job): boolean => definition.effects !== "write"

const whenRunning = (job: Job, input: unknown, run: Settled): Settled =>
  mayRunAgain(job) ? run : reconciled(job, input, run)

const settled = (job: Job, input: unknown, { state }: Known, run: Settled): Settled => {
  switch (state._tag) {
    case "landed": {
      const { outcome } = state.result
      // Not trusted where it cannot be read as what the tool answers: the call counts as begun.
      const otherwise = whenRunning(job, input, run)
      return outcome._tag === "Success" ? answerFrom(job, outcome, otherwise) : failureFrom(job, outcome, otherwise)
    }
    case "failed":
      return run
    case "running":
      return whenRunning(job, input, run)
  }
}

/** The tool that is asked in the place of this one, if it may change something. */
const changingInstead = ({ definition }: Job): Tool.Definition | undefined => {
  const instead = Effects.insteadOf(definition)
  return instead === undefined || Effects.ofCall(instead) === "read" ? undefined : instead
}

/**
 * How an execution of an earlier process failed, where there may be none after it: it may have taken effect, or another
 * tool was asked in its place.
 */
export const failedBefore = (job: Job): Effect.Effect<never, Failed.Failed> | undefined => {
  const { entry } = job
  const state = entry?.known?.state
  if (entry === undefined || state?._tag !== "failed") return undefined
  const instead = changingInstead(job)
  const isOver =
    (state.last.fault.tookEffect !== "no" && !mayRunAgain(job)) ||
    (instead !== undefined && entry.wasAskedInstead(instead.name))
  if (!isOver) return undefined
  return Effect.flatMap(errorFrom(job.definition, state.last.error), (error) =>
    Effect.fail({ error: Option.getOrElse(error, () => new ToolError.OutcomeUnknown()), fault: state.last.fault })
  )
}

/** Whether the call has its result already. */
export const hasLanded = ({ entry }: Job): boolean => entry?.known?.state._tag === "landed"

/** Not of a call of which nothing was executed, and not that nobody knows: that may still be found out. */
const isWorthRecording = (job: Job, result: Answer | Failed.Failed): boolean =>
  isAnswer(result) || (job.progress.attempts > 0 && result.fault.owner !== "run")

/** Writes down what a call comes to before anybody is told. The result in hand is never lost by that. */
export const landing = (job: Job, entry: Entry, run: Settled): Settled =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.exit(restore(run)), (exit) => {
      const result = Failed.settled(exit)
      if (result === undefined || !isWorthRecording(job, result)) return exit
      job.progress.settled = result
      return Effect.zipRight(Effect.ignore(entry.landed(job.progress.attempts, result)), exit)
    })
  )

export const around = (job: Job, input: unknown, run: Settled): Settled => {
  const { entry } = job
  if (entry === undefined) return run
  const { known } = entry
  if (known === undefined) return landing(job, entry, run)
  job.progress.attempts = known.attempts
  const answer = settled(job, input, known, run)
  // Where it has landed, all is written down that ever will be.
  return hasLanded(job) ? answer : landing(job, entry, answer)
}

/** Written down before an execution begins: of a write each, of other calls the first. */
export const intend = (job: Job): Effect.Effect<void, Failed.Failed> => {
  const { definition, entry, progress } = job
  if (entry === undefined) return Effect.void
  const isWrite = definition.effects === "write"
  if (!isWrite && (progress.attempts > 0 || entry.known !== undefined)) return Effect.void
  const stop = () =>
    Effect.fail(progress.last ?? Failed.of(new ToolError.NotStarted({ reason: "journal" }), definition))
  if (isWrite && entry.stopsWrites && !entry.isKnown) {
    // It may have been executed before.
    return Effect.fail(Failed.of(new ToolError.OutcomeUnknown({ reason: "journal" }), definition))
  }
  return Effect.catchAll(entry.started(progress.attempts + 1), () =>
    isWrite && entry.stopsWrites ? stop() : Effect.void
  )
}

/** Written down before another tool is asked in this one's place: from then on this one is not to be executed again. */
export const givesUp = (job: Job, failed: Failed.Failed): Effect.Effect<void> =>
  job.entry === undefined || changingInstead(job) === undefined || failedBefore(job) !== undefined
    ? Effect.void
    : Effect.ignore(job.entry.attemptFailed(job.progress.attempts, failed))

/** Written down when an execution of a write has failed: whether it may be tried again is decided from it. */
export const attemptFailed = (job: Job, attempt: number, failed: Failed.Failed): Effect.Effect<void> =>
  job.entry === undefined || job.definition.effects !== "write"
    ? Effect.void
    : Effect.ignore(job.entry.attemptFailed(attempt, failed))
