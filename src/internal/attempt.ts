/** The handler's own part of an attempt: run it within its time, encode what it answers. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import * as Timeout from "../policies/Timeout.ts"
import type { CallEvent } from "../services/BatchEvents.ts"
import type * as Tool from "../Tool.ts"
import type { Issue } from "../ToolError.ts"
import * as AtOnce from "./atOnce.ts"
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

type Handled = Pick<Job, "definition" | "handler">

/** Runs the handler. */
const handle = ({ definition, handler }: Handled, input: unknown, call: Tool.Call): Effect.Effect<unknown, unknown> =>
  Effect.suspend(() => {
    // The toolbox pairs a handler with its own definition, whose schema decoded this input.
    const effect = handler(input as never, call)
    return isEffect(effect) ? effect : notAnEffect(definition.name, effect)
  })

/** Runs the handler and encodes its output; any way it can end is an answer or a failed attempt. */
export const work = (
  handled: Handled,
  input: unknown,
  call: Tool.Call,
  source: Answer["source"]
): Effect.Effect<Answer, Failed.Failed> =>
  Effect.matchCauseEffect(handle(handled, input, call), {
    onFailure: (cause) => Effect.flatMap(Failed.fromCause(handled.definition, cause), Effect.fail),
    onSuccess: (output) => answer(handled.definition, output, source)
  })

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
  return Either.isLeft(encoded) ? refused(encoded.left) : Exit.succeed({ output, encoded: encoded.right, source })
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

/** One execution that has begun, and what it is held to. */
class Begun implements Timeout.Limits {
  readonly call: CallOf
  readonly startedAt: number
  readonly millis: number
  readonly kind: Timeout.Limits["kind"]
  readonly idleMillis: number
  readonly graceMillis: number
  /** Missing where nobody traces. */
  readonly span: Tracer.Span | undefined
  /** Missing where there are no events. */
  readonly told: UnderWay | undefined

  constructor(job: Job, deadline: Deadline, span: Tracer.Span | undefined) {
    const { metrics, policy, progress, shared } = job
    const startedAt = shared.time()
    const left = deadline.at - startedAt
    const number = ++progress.attempts
    metrics.attempted()
    if (number === 1) metrics.queued(startedAt - (progress.startedAt ?? startedAt))
    this.call = new CallOf(job, number, startedAt)
    this.startedAt = startedAt
    this.millis = Math.min(policy.attemptMillis, left)
    this.kind = policy.attemptMillis <= left ? "attempt" : deadline.kind
    this.idleMillis = policy.idleMillis
    this.graceMillis = policy.graceMillis
    this.span = span
    this.told = shared.publish === undefined ? undefined : { job, attempt: number }
  }

  lastSign(): number {
    return this.call.lastSign
  }
}

/** Runs an effect as a child of the execution's span. */
const traced = <A, E>({ span }: Begun, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  span === undefined ? effect : Effect.withParentSpan(effect, span)

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
  const { call, span, startedAt } = begun
  const { attempt } = call
  const recorded = onExit(exit, job.shared.time() - startedAt)
  if (span !== undefined) Telemetry.attemptEnded(span, exit, job.shared.telemetry)
  if (Exit.isSuccess(exit)) {
    return AtOnce.zipRight(recorded, AtOnce.zipRight(tellEnd(job, begun, { _tag: "AttemptSucceeded", attempt }), exit))
  }
  const failed = Option.getOrUndefined(Cause.failureOption(exit.cause))
  if (failed === undefined)
    return AtOnce.zipRight(recorded, AtOnce.zipRight(tellEnd(job, begun, { _tag: "AttemptAbandoned", attempt }), exit))
  job.progress.last = failed
  return recorded.pipe(
    Effect.zipRight(tellEnd(job, begun, { _tag: "AttemptFailed", attempt, error: failed.error })),
    Effect.zipRight(Recall.attemptFailed(job, attempt, failed)),
    Effect.zipRight(exit)
  )
}

/**
 * In the call's own fiber: most attempts end well, and a fiber for each would be the dearest thing about them. Where its
 * time is up, the fiber is left to the handler and the call goes on in another.
 */
class Here {
  readonly job: Job
  readonly begun: Begun
  readonly restore: Restore
  readonly execution: Execution
  readonly goOn: NonNullable<Job["goOn"]>
  readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  readonly armed: Timeout.Armed
  isLeft = false

  constructor(
    job: Job,
    begun: Begun,
    restore: Restore,
    execution: Execution,
    goOn: NonNullable<Job["goOn"]>,
    fiber: Fiber.RuntimeFiber<unknown, unknown>
  ) {
    this.job = job
    this.begun = begun
    this.restore = restore
    this.execution = execution
    this.goOn = goOn
    this.fiber = fiber
    this.armed = new Timeout.Armed(job.shared.deadlines, begun, begun.startedAt, (error) => {
      goOn(this.leave(Exit.fail(Failed.of(error, job.definition))))
    })
    job.progress.running.add(fiber)
    job.progress.here = this
  }

  run(input: unknown): Effect.Effect<Answer, Failed.Failed> {
    const { begun, execution, job, restore } = this
    return Effect.matchCauseEffect(restore(traced(begun, handle(job, input, begun.call))), {
      onFailure: (cause) =>
        this.isLeft
          ? this.over()
          : Effect.flatMap(traced(begun, Failed.fromCause(job.definition, cause)), (failed) =>
              this.settle(Exit.fail(failed))
            ),
      onSuccess: (output) => {
        if (this.isLeft) return this.over()
        const answered = answer(job.definition, output, execution.source)
        return AtOnce.isExit(answered)
          ? this.settle(answered)
          : Effect.flatMap(Effect.exit(restore(traced(begun, answered))), (exit) => this.settle(exit))
      }
    })
  }

  settle(exit: Exit.Exit<Answer, Failed.Failed>): Effect.Effect<Answer, Failed.Failed> {
    if (this.isLeft) return this.over()
    const { begun, execution, job } = this
    this.letGo()
    const outcome = fromExit(job, exit)
    const known =
      outcome === exit
        ? ended(job, begun, execution.onExit, exit)
        : Effect.flatMap(Effect.exit(outcome), (exit) => ended(job, begun, execution.onExit, exit))
    return execution.onEnd === undefined ? known : Effect.zipRight(execution.onEnd, known)
  }

  /** Leaves the fiber to the handler; gives what the call goes on with. */
  leave(exit: Exit.Exit<never, Failed.Failed>): Effect.Effect<Answer, Failed.Failed> {
    const { begun, execution, fiber, job } = this
    this.isLeft = true
    this.letGo()
    fiber.unsafeInterruptAsFork(FiberId.none)
    job.shared.fork(Timeout.watched(fiber, begun, leaked(job)))
    return ended(job, begun, execution.onExit, exit)
  }

  /** The batch is over: nobody asks how the call goes on. */
  abandon(): void {
    this.job.shared.fork(Effect.ignore(this.leave(Exit.interrupt(FiberId.none))))
  }

  /** The handler has ended in a fiber that was left to it. */
  over(): Effect.Effect<never> {
    return Effect.zipRight(this.execution.onEnd ?? Effect.void, Effect.interrupt)
  }

  letGo(): void {
    this.armed.stop()
    this.job.progress.here = undefined
    this.job.progress.running.delete(this.fiber)
  }
}

/** In a fiber of its own, held to its time by `Effect.timeout`: one that is not the first, or runs beside another. */
const apart = (
  job: Job,
  input: unknown,
  begun: Begun,
  restore: Restore,
  { onEnd, onExit, source }: Execution
): Effect.Effect<Answer, Failed.Failed> => {
  const { progress } = job
  const hooks: Timeout.Hooks<Answer, Failed.Failed> = {
    onStart: (fiber) => progress.running.add(fiber),
    onDone: (fiber) => progress.running.delete(fiber),
    onEnd: onEnd ?? Effect.void,
    onLeak: leaked(job)
  }
  return Timeout.execute(traced(begun, work(job, input, begun.call, source)), begun, hooks, restore).pipe(
    Effect.mapError((error) => Failed.of(error, job.definition)),
    Effect.flatMap((exit) => fromExit(job, exit)),
    Effect.exit,
    Effect.flatMap((exit) => ended(job, begun, onExit, exit))
  )
}

const run = (
  job: Job,
  input: unknown,
  deadline: Deadline,
  restore: Restore,
  execution: Execution,
  span: Tracer.Span | undefined
): Effect.Effect<Answer, Failed.Failed> => {
  const begun = new Begun(job, deadline, span)
  const { goOn } = job
  job.goOn = undefined
  const run =
    goOn === undefined
      ? apart(job, input, begun, restore, execution)
      : Effect.withFiberRuntime<Answer, Failed.Failed>((fiber) =>
          new Here(job, begun, restore, execution, goOn, fiber).run(input)
        )
  if (begun.told === undefined) return run
  job.progress.underWay ??= new Set()
  job.progress.underWay.add(begun.told)
  return Effect.zipRight(
    tell(job, { _tag: "AttemptStarted", attempt: begun.call.attempt, source: execution.source }),
    run
  )
}

/** One execution of the handler, within the attempt's time. Begins at once, and where interruption is masked. */
export const execute = (
  job: Job,
  input: unknown,
  deadline: Deadline,
  restore: Restore,
  execution: Execution
): Effect.Effect<Answer, Failed.Failed> =>
  job.span === undefined
    ? run(job, input, deadline, restore, execution, undefined)
    : Effect.flatMap(Telemetry.attemptBegun(job, job.span, execution.source), (span) =>
        run(job, input, deadline, restore, execution, span)
      )
