/** The handler's own part of an attempt: run it within its time, encode what it answers. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Timeout from "../policies/Timeout.ts"
import type * as Tool from "../Tool.ts"
import * as Failed from "./failed.ts"
import type { Answer, Deadline, Job, Restore } from "./job.ts"
import * as Output from "./output.ts"

const isEffect = (u: unknown): u is Effect.Effect<unknown, unknown> => Effect.isEffect(u)

const notAnEffect = (name: string, u: unknown) =>
  Effect.dieMessage(
    `The handler of ${name} answered with ${typeof u === "object" ? "an object" : typeof u}, not an Effect`
  )

/** Runs the handler and encodes its output; any way it can end is an answer or a failed attempt. */
export const work = (
  { definition, handler }: Pick<Job, "definition" | "handler">,
  input: unknown,
  call: Tool.Call,
  source: Answer["source"]
): Effect.Effect<Answer, Failed.Failed> =>
  Effect.suspend(() => {
    // The toolbox pairs a handler with its own definition, whose schema decoded this input.
    const effect = handler(input as never, call)
    return isEffect(effect) ? effect : notAnEffect(definition.name, effect)
  }).pipe(
    Effect.matchCauseEffect({
      onFailure: (cause) => Effect.flatMap(Failed.fromCause(definition, cause), Effect.fail),
      onSuccess: (output) => answer(definition, output, source)
    })
  )

/** Encodes an output. */
export const answer = (
  definition: Tool.Definition,
  output: unknown,
  source: Answer["source"]
): Effect.Effect<Answer, Failed.Failed> =>
  Effect.matchEffect(Output.encode(definition, output), {
    onFailure: (issues) => Effect.flatMap(Failed.invalidOutput(definition, issues), Effect.fail),
    onSuccess: (encoded) => Effect.succeed<Answer>({ output, encoded, source })
  })

const leakedCounter = Metric.counter("salvo_leaked_handlers_total", {
  description: "Handlers that did not stop in time after they were interrupted",
  incremental: true
})

const leakedGauge = Metric.gauge("salvo_leaked_handlers", {
  description: "Handlers that were interrupted long ago and are still running"
})

/** Tells of a handler that ignores interruption, and counts it until it has ended. */
export const leaked =
  ({ call, definition }: Job) =>
  (ended: Effect.Effect<void>): Effect.Effect<void> => {
    const running = Metric.tagged(leakedGauge, "tool", definition.name)
    return Effect.logWarning(`Tool ${definition.name} ignores interruption and is still running`).pipe(
      Effect.annotateLogs({ tool: definition.name, call: call.id }),
      Effect.zipRight(Metric.increment(Metric.tagged(leakedCounter, "tool", definition.name))),
      Effect.zipRight(Metric.modify(running, 1)),
      Effect.zipRight(ended),
      Effect.zipRight(Metric.modify(running, -1))
    )
  }

/** A handler's fiber that ends without an answer was killed from inside: its finalizers died, or it stopped itself. */
const fromExit = (job: Job, exit: Exit.Exit<Answer, Failed.Failed>): Effect.Effect<Answer, Failed.Failed> =>
  Exit.isSuccess(exit) || Cause.isFailType(exit.cause)
    ? exit
    : Effect.flatMap(Failed.fromCause(job.definition, exit.cause), Effect.fail)

/** What becomes of one execution besides its answer. */
export interface Execution {
  readonly source: Answer["source"]
  /** Run when the handler has really ended, however late. */
  readonly onEnd: Effect.Effect<void>
  /** Told how the execution ended for the caller, and after how many milliseconds. */
  readonly onExit: (exit: Exit.Exit<Answer, Failed.Failed>, millis: number) => Effect.Effect<void>
}

/** One execution of the handler, within the attempt's time. Called where interruption is masked. */
export const execute = (
  job: Job,
  input: unknown,
  deadline: Deadline,
  restore: Restore,
  { onEnd, onExit, source }: Execution
): Effect.Effect<Answer, Failed.Failed> =>
  Effect.gen(function* () {
    const { policy, progress } = job
    const startedAt = yield* Timeout.now
    const left = deadline.at - startedAt
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
    const limits: Timeout.Limits = {
      millis: Math.min(policy.attemptMillis, left),
      kind: policy.attemptMillis <= left ? "attempt" : deadline.kind,
      idleMillis: policy.idleMillis,
      graceMillis: policy.graceMillis,
      lastSign: () => lastSign
    }
    const hooks: Timeout.Hooks<Answer, Failed.Failed> = {
      onStart: (fiber) => progress.running.add(fiber),
      onDone: (fiber) => progress.running.delete(fiber),
      onEnd,
      onLeak: leaked(job)
    }
    return yield* Timeout.execute(work(job, input, call, source), limits, hooks, restore).pipe(
      Effect.mapError((error) => Failed.of(error, job.definition)),
      Effect.flatMap((exit) => fromExit(job, exit)),
      Effect.onExit((exit) => Effect.flatMap(Timeout.now, (time) => onExit(exit, time - startedAt))),
      Effect.tapError((failed) => {
        progress.last = failed
        return job.emit({ _tag: "AttemptFailed", attempt: number, error: failed.error })
      })
    )
  })
