/** The handler's own part of an attempt: run it within its time, encode what it answers. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import * as Timeout from "../policies/Timeout.ts"
import type { CallEvent } from "../services/BatchEvents.ts"
import type * as Tool from "../Tool.ts"
import type { Issue } from "../ToolError.ts"
import * as Failed from "./failed.ts"
import { type Answer, type Deadline, type Job, type Restore, tell, type UnderWay } from "./job.ts"
import * as Recall from "./journal/recall.ts"
import * as Output from "./output.ts"
import * as Telemetry from "./telemetry.ts"

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
  Effect.matchCauseEffect(
    Effect.suspend(() => {
      // The toolbox pairs a handler with its own definition, whose schema decoded this input.
      const effect = handler(input as never, call)
      return isEffect(effect) ? effect : notAnEffect(definition.name, effect)
    }),
    {
      onFailure: (cause) => Effect.flatMap(Failed.fromCause(definition, cause), Effect.fail),
      onSuccess: (output) => answer(definition, output, source)
    }
  )

/** Encodes an output. */
export const answer = (
  definition: Tool.Definition,
  output: unknown,
  source: Answer["source"]
): Effect.Effect<Answer, Failed.Failed> => {
  const refused = (issues: ReadonlyArray<Issue>) =>
    Effect.flatMap(Failed.invalidOutput(definition, issues), Effect.fail)
  const encoded = Output.encode(definition, output)
  if (!Either.isEither(encoded)) {
    return Effect.matchEffect(encoded, {
      onFailure: refused,
      onSuccess: (encoded) => Effect.succeed<Answer>({ output, encoded, source })
    })
  }
  return Either.isLeft(encoded) ? refused(encoded.left) : Effect.succeed({ output, encoded: encoded.right, source })
}

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
export const fromExit = (job: Job, exit: Exit.Exit<Answer, Failed.Failed>): Effect.Effect<Answer, Failed.Failed> =>
  Exit.isSuccess(exit) || Cause.isFailType(exit.cause)
    ? exit
    : Effect.flatMap(Failed.fromCause(job.definition, exit.cause), Effect.fail)

/** What becomes of one execution besides its answer. */
export interface Execution {
  readonly source: "executed" | "hedge"
  /** Run when the handler has really ended, however late; missing where there is nothing to do. */
  readonly onEnd: Effect.Effect<void> | undefined
  /** Told how the execution ended for the caller, and after how many milliseconds. */
  readonly onExit: (exit: Exit.Exit<Answer, Failed.Failed>, millis: number) => Effect.Effect<void>
}

/** One execution that has begun. */
interface Begun {
  readonly number: number
  readonly startedAt: number
  readonly limits: Timeout.Limits
  /** The handler's work. */
  readonly work: Effect.Effect<Answer, Failed.Failed>
  /** Missing where nobody traces. */
  readonly span: Tracer.Span | undefined
  /** Missing where there are no events. */
  readonly told: UnderWay | undefined
}

/** What a handler is told. */
class CallOf implements Tool.Call {
  readonly id: string
  readonly attempt: number
  readonly dependencies: ReadonlyMap<string, unknown>
  readonly progress: Tool.Call["progress"]
  /** When it last gave a sign of life. */
  lastSign: number
  readonly #job: Job

  constructor(job: Job, attempt: number, startedAt: number) {
    this.id = job.call.id
    this.attempt = attempt
    this.dependencies = job.dependencies
    this.lastSign = startedAt
    this.#job = job
    this.progress = (note) =>
      Effect.suspend(() => {
        this.lastSign = job.shared.time()
        return tell(job, { _tag: "Progress", attempt, note })
      })
  }

  /** Worked out only for those who read it. */
  get idempotencyKey(): string {
    return this.#job.idempotencyKey
  }
}

const begin = (
  job: Job,
  input: unknown,
  deadline: Deadline,
  source: Execution["source"],
  span: Tracer.Span | undefined
): Begun => {
  const { metrics, policy, progress, shared } = job
  const startedAt = shared.time()
  const left = deadline.at - startedAt
  const number = ++progress.attempts
  const call = new CallOf(job, number, startedAt)
  metrics.attempted()
  if (number === 1) metrics.queued(startedAt - (progress.startedAt ?? startedAt))
  const handled = work(job, input, call, source)
  return {
    number,
    startedAt,
    limits: {
      millis: Math.min(policy.attemptMillis, left),
      kind: policy.attemptMillis <= left ? "attempt" : deadline.kind,
      idleMillis: policy.idleMillis,
      graceMillis: policy.graceMillis,
      lastSign: () => call.lastSign
    },
    work: span === undefined ? handled : Effect.withParentSpan(handled, span),
    span,
    told: shared.publish === undefined ? undefined : { job, attempt: number }
  }
}

/** Nothing where that was told before the call's result, or nobody listens. */
const tellEnd = (job: Job, { told }: Begun, event: CallEvent): Effect.Effect<void> =>
  told !== undefined && job.progress.underWay?.delete(told) === true ? tell(job, event) : Effect.void

/** Takes note of how an execution ended, for the breaker, the journal, the events and the traces. */
const ended = (
  job: Job,
  begun: Begun,
  onExit: Execution["onExit"],
  exit: Exit.Exit<Answer, Failed.Failed>
): Effect.Effect<Answer, Failed.Failed> => {
  const { number, span, startedAt } = begun
  const recorded = onExit(exit, job.shared.time() - startedAt)
  if (span !== undefined) Telemetry.attemptEnded(span, exit, job.shared.telemetry)
  if (Exit.isSuccess(exit)) {
    return job.shared.publish === undefined
      ? Effect.zipRight(recorded, exit)
      : Effect.zipRight(
          Effect.zipRight(recorded, tellEnd(job, begun, { _tag: "AttemptSucceeded", attempt: number })),
          exit
        )
  }
  const failed = Option.getOrUndefined(Cause.failureOption(exit.cause))
  if (failed === undefined) {
    return Effect.zipRight(
      Effect.zipRight(recorded, tellEnd(job, begun, { _tag: "AttemptAbandoned", attempt: number })),
      exit
    )
  }
  job.progress.last = failed
  return recorded.pipe(
    Effect.zipRight(tellEnd(job, begun, { _tag: "AttemptFailed", attempt: number, error: failed.error })),
    Effect.zipRight(Recall.attemptFailed(job, number, failed)),
    Effect.zipRight(exit)
  )
}

/**
 * In the call's own fiber: most attempts end well, and a fiber for each would be the dearest thing about them. Where its
 * time is up, the fiber is left to the handler and the call goes on in another.
 */
const here = (
  job: Job,
  begun: Begun,
  restore: Restore,
  { onEnd, onExit }: Execution,
  goOn: NonNullable<Job["goOn"]>
): Effect.Effect<Answer, Failed.Failed> =>
  Effect.withFiberRuntime((fiber) => {
    const { progress, shared } = job
    let isLeft = false
    const leave = (exit: Exit.Exit<never, Failed.Failed>) => {
      isLeft = true
      stop()
      progress.abandon = undefined
      progress.running.delete(fiber)
      fiber.unsafeInterruptAsFork(FiberId.none)
      shared.fork(Timeout.watched(fiber, begun.limits, leaked(job)))
      return ended(job, begun, onExit, exit)
    }
    const stop = Timeout.arm(shared.deadlines, begun.limits, begun.startedAt, (error) => {
      goOn(leave(Exit.fail(Failed.of(error, job.definition))))
    })
    progress.running.add(fiber)
    progress.abandon = () => {
      // The batch is over: nobody asks how the call goes on.
      shared.fork(Effect.ignore(leave(Exit.interrupt(FiberId.none))))
    }
    return Effect.flatMap(Effect.exit(restore(begun.work)), (exit) => {
      if (isLeft) return Effect.zipRight(onEnd ?? Effect.void, Effect.interrupt)
      stop()
      progress.abandon = undefined
      progress.running.delete(fiber)
      const outcome = fromExit(job, exit)
      const known =
        outcome === exit
          ? ended(job, begun, onExit, exit)
          : Effect.flatMap(Effect.exit(outcome), (exit) => ended(job, begun, onExit, exit))
      return onEnd === undefined ? known : Effect.zipRight(onEnd, known)
    })
  })

/** In a fiber of its own, held to its time by `Effect.timeout`: one that is not the first, or runs beside another. */
const apart = (
  job: Job,
  begun: Begun,
  restore: Restore,
  { onEnd, onExit }: Execution
): Effect.Effect<Answer, Failed.Failed> => {
  const { progress } = job
  const hooks: Timeout.Hooks<Answer, Failed.Failed> = {
    onStart: (fiber) => progress.running.add(fiber),
    onDone: (fiber) => progress.running.delete(fiber),
    onEnd: onEnd ?? Effect.void,
    onLeak: leaked(job)
  }
  return Timeout.execute(begun.work, begun.limits, hooks, restore).pipe(
    Effect.mapError((error) => Failed.of(error, job.definition)),
    Effect.flatMap((exit) => fromExit(job, exit)),
    Effect.exit,
    Effect.flatMap((exit) => ended(job, begun, onExit, exit))
  )
}

/** One execution of the handler, within the attempt's time. Called where interruption is masked. */
export const execute = (
  job: Job,
  input: unknown,
  deadline: Deadline,
  restore: Restore,
  execution: Execution
): Effect.Effect<Answer, Failed.Failed> =>
  Effect.suspend(() => {
    const started = (span: Tracer.Span | undefined) => {
      const begun = begin(job, input, deadline, execution.source, span)
      const { goOn } = job
      job.goOn = undefined
      const run =
        goOn === undefined ? apart(job, begun, restore, execution) : here(job, begun, restore, execution, goOn)
      if (begun.told === undefined) return run
      job.progress.underWay ??= new Set()
      job.progress.underWay.add(begun.told)
      return Effect.zipRight(
        tell(job, { _tag: "AttemptStarted", attempt: begun.number, source: execution.source }),
        run
      )
    }
    return job.span === undefined
      ? started(undefined)
      : Effect.flatMap(Telemetry.attemptBegun(job, job.span, execution.source), started)
  })
