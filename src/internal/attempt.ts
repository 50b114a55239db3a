/** One execution of a handler, held to its time, and all that has to hear how it ended. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import * as Timeout from "../policies/Timeout.ts"
import type * as Tool from "../Tool.ts"
import type * as ToolError from "../ToolError.ts"
import * as AtOnce from "./atOnce.ts"
import type * as Deadlines from "./deadlines.ts"
import * as Failed from "./failed.ts"
import { answer, fromExit, handle, leaked, work } from "./handler.ts"
import { type Answer, type Deadline, type Job, type Restore, tell, type UnderWay } from "./job.ts"
import { isAnswer } from "./journal/entry.ts"
import * as Recall from "./journal/recall.ts"
import * as Telemetry from "./telemetry.ts"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

/** What becomes of one execution besides its answer. */
export interface Execution {
  readonly source: "executed" | "hedge"
  /** Run when the handler has really ended, however late; missing where there is nothing to do. */
  readonly onEnd: Effect.Effect<void> | undefined
  /** Told how the execution ended for the caller, and after how many milliseconds; goes on with `then`. */
  onExit<A, E>(exit: Exit.Exit<Answer, Failed.Failed>, millis: number, then: Effect.Effect<A, E>): Effect.Effect<A, E>
}

/** What a handler is told. */
class CallOf implements Tool.Call {
  readonly id: string
  readonly attempt: number
  readonly #begun: Begun

  constructor(begun: Begun, attempt: number) {
    this.id = begun.job.call.id
    this.attempt = attempt
    this.#begun = begun
  }

  // What follows is made only for those who read it.
  get dependencies(): ReadonlyMap<string, unknown> {
    return this.#begun.job.dependencies
  }

  get progress(): Tool.Call["progress"] {
    const begun = this.#begun
    const { attempt } = this
    return (note) =>
      Effect.suspend(() => {
        begun.sign = begun.job.shared.time()
        return tell(begun.job, { _tag: "Progress", attempt, note })
      })
  }

  get idempotencyKey(): string {
    return this.#begun.job.idempotencyKey
  }
}

/** One execution that has begun, and what it is held to. */
class Begun implements Timeout.Limits {
  readonly job: Job
  readonly execution: Execution
  readonly restore: Restore
  readonly call: CallOf
  readonly startedAt: number
  readonly millis: number
  readonly kind: Timeout.Limits["kind"]
  /** When it last gave a sign of life. */
  sign: number
  /** Missing where nobody traces. */
  readonly span: Tracer.Span | undefined
  /** Missing where there are no events. */
  readonly told: UnderWay | undefined

  constructor(job: Job, deadline: Deadline, restore: Restore, execution: Execution, span: Tracer.Span | undefined) {
    const { metrics, policy, progress, shared } = job
    const startedAt = shared.time()
    const left = deadline.at - startedAt
    const number = ++progress.attempts
    metrics.attempted()
    if (number === 1) metrics.queued(startedAt - (progress.startedAt ?? startedAt))
    this.job = job
    this.execution = execution
    this.restore = restore
    this.call = new CallOf(this, number)
    this.startedAt = startedAt
    this.sign = startedAt
    this.millis = Math.min(policy.attemptMillis, left)
    this.kind = policy.attemptMillis <= left ? "attempt" : deadline.kind
    this.span = span
    this.told = shared.publish === undefined ? undefined : { job, attempt: number }
  }

  get idleMillis(): number {
    return this.job.policy.idleMillis
  }

  get graceMillis(): number {
    return this.job.policy.graceMillis
  }

  lastSign(): number {
    return this.sign
  }
}

/** Runs an effect as a child of the execution's span. */
const traced = <A, E>({ span }: Begun, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  span === undefined ? effect : Effect.withParentSpan(effect, span)

/** Nothing where that was told before the call's result, or nobody listens. */
const tellEnd = ({ call: { attempt }, job, told }: Begun, settled: Answer | Failed.Failed | undefined) => {
  if (told === undefined || job.progress.underWay?.delete(told) !== true) return Effect.void
  if (settled === undefined) return tell(job, { _tag: "AttemptAbandoned", attempt })
  return tell(
    job,
    isAnswer(settled) ? { _tag: "AttemptSucceeded", attempt } : { _tag: "AttemptFailed", attempt, error: settled.error }
  )
}

/** Takes note of how an execution ended, for the breaker, the journal, the events and the traces. */
const ended = (begun: Begun, exit: Exit.Exit<Answer, Failed.Failed>): Effect.Effect<Answer, Failed.Failed> => {
  const { call, execution, job, span, startedAt } = begun
  const millis = job.shared.time() - startedAt
  if (span !== undefined) Telemetry.attemptEnded(span, exit, job.shared.telemetry)
  const settled = Failed.settled(exit)
  const told = tellEnd(begun, settled)
  if (settled === undefined || isAnswer(settled)) return execution.onExit(exit, millis, AtOnce.zipRight(told, exit))
  job.progress.last = settled
  const written = Effect.zipRight(told, Recall.attemptFailed(job, call.attempt, settled))
  return execution.onExit(exit, millis, Effect.zipRight(written, exit))
}

/**
 * In the call's own fiber: most attempts end well, and a fiber for each would be the dearest thing about them. Where its
 * time is up, the fiber is left to the handler and the call goes on in another.
 */
class Here extends Begun implements Deadlines.Deadline {
  readonly at: number
  #silence: Timeout.Silence | undefined = undefined
  #fiber: AnyFiber | undefined = undefined
  #isLeft = false

  constructor(job: Job, deadline: Deadline, restore: Restore, execution: Execution, span: Tracer.Span | undefined) {
    super(job, deadline, restore, execution, span)
    this.at = this.startedAt + this.millis
  }

  /** In that fiber, which is the one that calls this. */
  run(input: unknown): Effect.Effect<Answer, Failed.Failed> {
    const { execution, job, restore } = this
    const { deadlines } = job.shared
    this.#fiber = Option.getOrUndefined(Fiber.getCurrentFiber())
    if (this.#fiber !== undefined) job.progress.running.add(this.#fiber)
    job.progress.here = this
    deadlines.arm(this)
    if (Number.isFinite(this.idleMillis)) {
      this.#silence = new Timeout.Silence(deadlines, this, this.startedAt, (error) => this.#timedOut(error))
    }
    return Effect.matchCauseEffect(restore(traced(this, handle(job, input, this.call))), {
      onFailure: (cause) =>
        this.#isLeft
          ? this.#over()
          : Effect.flatMap(traced(this, Failed.fromCause(job.definition, cause)), (failed) =>
              this.#settle(Exit.fail(failed))
            ),
      onSuccess: (output) => {
        if (this.#isLeft) return this.#over()
        const answered = answer(job.definition, output, execution.source)
        return AtOnce.isExit(answered)
          ? this.#settle(answered)
          : Effect.flatMap(Effect.exit(restore(traced(this, answered))), (exit) => this.#settle(exit))
      }
    })
  }

  onDue(): void {
    this.#timedOut(Timeout.passed(this))
  }

  /** The batch is over: nobody asks how the call goes on. */
  abandon(): void {
    this.job.shared.fork(Effect.ignore(this.#leave(Exit.interrupt(FiberId.none))))
  }

  #timedOut(error: ToolError.Timeout): void {
    this.job.goOn(this.#leave(Exit.fail(Failed.of(error, this.job.definition))))
  }

  #settle(exit: Exit.Exit<Answer, Failed.Failed>): Effect.Effect<Answer, Failed.Failed> {
    if (this.#isLeft) return this.#over()
    const { execution, job } = this
    this.#letGo()
    const outcome = fromExit(job, exit)
    const known =
      outcome === exit ? ended(this, exit) : Effect.flatMap(Effect.exit(outcome), (exit) => ended(this, exit))
    return execution.onEnd === undefined ? known : Effect.zipRight(execution.onEnd, known)
  }

  /** Leaves the fiber to the handler; gives what the call goes on with. */
  #leave(exit: Exit.Exit<never, Failed.Failed>): Effect.Effect<Answer, Failed.Failed> {
    const { job } = this
    const fiber = this.#fiber
    this.#isLeft = true
    this.#letGo()
    if (fiber !== undefined) {
      fiber.unsafeInterruptAsFork(FiberId.none)
      job.shared.fork(Timeout.watched(fiber, this, leaked(job)))
    }
    return ended(this, exit)
  }

  /** The handler has ended in a fiber that was left to it. */
  #over(): Effect.Effect<never> {
    return Effect.zipRight(this.execution.onEnd ?? Effect.void, Effect.interrupt)
  }

  #letGo(): void {
    const { progress, shared } = this.job
    shared.deadlines.disarm(this)
    this.#silence?.stop()
    progress.here = undefined
    if (this.#fiber !== undefined) progress.running.delete(this.#fiber)
  }
}

/** In a fiber of its own, held to its time by `Effect.timeout`: one that is not the first, or runs beside another. */
const apart = (begun: Begun, input: unknown): Effect.Effect<Answer, Failed.Failed> => {
  const { execution, job, restore } = begun
  const { progress } = job
  const hooks: Timeout.Hooks<Answer, Failed.Failed> = {
    onStart: (fiber) => progress.running.add(fiber),
    onDone: (fiber) => progress.running.delete(fiber),
    onEnd: execution.onEnd ?? Effect.void,
    onLeak: leaked(job)
  }
  return Timeout.execute(traced(begun, work(job, input, begun.call, execution.source)), begun, hooks, restore).pipe(
    Effect.mapError((error) => Failed.of(error, job.definition)),
    Effect.flatMap((exit) => fromExit(job, exit)),
    Effect.exit,
    Effect.flatMap((exit) => ended(begun, exit))
  )
}

/** The call's own fiber is there for its first execution alone. */
const run = (
  job: Job,
  input: unknown,
  deadline: Deadline,
  restore: Restore,
  execution: Execution,
  span: Tracer.Span | undefined
): Effect.Effect<Answer, Failed.Failed> => {
  const begun = new (job.ownsFiber ? Here : Begun)(job, deadline, restore, execution, span)
  job.ownsFiber = false
  const run = begun instanceof Here ? begun.run(input) : apart(begun, input)
  const { call, told } = begun
  if (told === undefined) return run
  job.progress.underWay ??= new Set()
  job.progress.underWay.add(told)
  return Effect.zipRight(tell(job, { _tag: "AttemptStarted", attempt: call.attempt, source: execution.source }), run)
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
