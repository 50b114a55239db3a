/**
 * What protects a call. A policy is data; what is not said falls back to the toolbox's policy, then to the runner's,
 * then to `defaults`, field by field.
 *
 * The order is fixed, outer to inner:
 *
 *     journal > cache > fallback > total timeout > retry (+ budget) > hedge
 *       > breaker check > rate limit > bulkhead > breaker acquire > attempt timeout > handler
 *
 * Check, queue, then acquire: an open circuit burns no token of the rate limit and no place in the queue, calls that
 * are queued when it opens fail at once, and a probe never waits in line. Time in a queue is never taken for slowness of
 * the dependency.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import { execute, type Execution } from "../internal/attempt.ts"
import * as Failed from "../internal/failed.ts"
import type { Answer, Deadline, Job, Restore } from "../internal/job.ts"
import * as Recall from "../internal/journal/recall.ts"
import type { Permit } from "../services/CircuitBreaker.ts"
import { BudgetExhausted } from "../ToolError.ts"
import * as Bulkhead from "./Bulkhead.ts"
import * as Cache from "./Cache.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import * as Fallback from "./Fallback.ts"
import * as Hedge from "./Hedge.ts"
import * as RateLimit from "./RateLimit.ts"
import * as Retry from "./Retry.ts"

export type {
  /**
   * @since 0.1.0
   * @category models
   */
  CircuitBreakerPolicy,
  /**
   * @since 0.1.0
   * @category models
   */
  ProbePolicy,
  /**
   * @since 0.1.0
   * @category models
   */
  TripPolicy
} from "./CircuitBreaker.ts"
export type {
  /**
   * @since 0.1.0
   * @category models
   */
  RateLimitPolicy
} from "./RateLimit.ts"
export type * from "./PolicyData.ts"
export {
  /**
   * Throws `InvalidDefinition` naming the field, what stands there and what would be accepted. `subject` says whose
   * policy it is.
   *
   * @since 0.1.0
   * @category constructors
   */
  check,
  /**
   * What holds where nothing is said.
   *
   * @since 0.1.0
   * @category constructors
   */
  defaults,
  /**
   * Lays a policy over another, field by field.
   *
   * @since 0.1.0
   * @category combinators
   */
  resolve,
  /**
   * A policy with everything decided. Durations in milliseconds, `Infinity` for none.
   *
   * @since 0.1.0
   * @category models
   */
  type Resolved,
  /**
   * @since 0.1.0
   * @category models
   */
  type ResolvedRetry
} from "../internal/resolve.ts"

/** Takes one of the executions the batch may pay for; answers whether there was one. */
const spend = ({ shared: { executions } }: Job): boolean => {
  if (executions.left < 1) return false
  executions.left--
  return true
}

const spent = ({ definition }: Job) =>
  Effect.fail(Failed.of(new BudgetExhausted({ budget: "executions of this turn" }), definition))

const unspend = ({ shared: { executions } }: Job) => Effect.sync(() => executions.left++)

/**
 * Breaker check > rate limit > bulkhead; gives what has to be run when the execution has really ended. Where there is no
 * line to stand in, the breaker is asked when it is acquired.
 */
const enter = (job: Job, deadline: Deadline, restore: Restore): Effect.Effect<Effect.Effect<void>, Failed.Failed> =>
  CircuitBreaker.check(job).pipe(
    Effect.zipRight(RateLimit.enter(job, deadline, restore)),
    Effect.zipRight(Bulkhead.enter(job, deadline, restore))
  )

/** An execution that was let through. */
class Admitted implements Execution {
  readonly source: Execution["source"]
  readonly onEnd: Effect.Effect<void> | undefined
  readonly #job: Job
  readonly #permit: Permit | undefined
  readonly #number: number

  /** `leave` is run when it has really ended. */
  constructor(
    job: Job,
    source: Execution["source"],
    leave: Effect.Effect<void> | undefined,
    permit: Permit | undefined
  ) {
    const { holds, progress } = job
    holds?.retain()
    this.source = source
    this.onEnd =
      holds === undefined ? leave : leave === undefined ? holds.release : Effect.zipRight(leave, holds.release)
    this.#job = job
    this.#permit = permit
    this.#number = progress.attempts + 1
  }

  onExit<A, E>(exit: Exit.Exit<Answer, Failed.Failed>, millis: number, then: Effect.Effect<A, E>): Effect.Effect<A, E> {
    Hedge.observe(this.#job, exit, millis)
    return this.record(exit, then)
  }

  record<A, E>(exit: Exit.Exit<Answer, Failed.Failed>, then: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return CircuitBreaker.record(this.#job, this.#permit, this.#number, exit, then)
  }
}

/** Breaker acquire > attempt timeout > handler. */
const acquired = (
  job: Job,
  input: unknown,
  deadline: Deadline,
  source: Execution["source"],
  leave: Effect.Effect<void> | undefined,
  restore: Restore
): Effect.Effect<Answer, Failed.Failed> => {
  if (!spend(job)) return leave === undefined ? spent(job) : Effect.zipRight(leave, spent(job))
  const undo = () => (leave === undefined ? unspend(job) : Effect.zipRight(unspend(job), leave))
  return CircuitBreaker.acquire(job, undo, restore, (permit) => {
    const admitted = new Admitted(job, source, leave, permit)
    if (job.entry === undefined) return execute(job, input, deadline, restore, admitted)
    return Recall.intend(job).pipe(
      restore,
      Effect.onError(() =>
        // Nothing was executed, so that nothing is known of the dependency.
        Effect.all(
          [admitted.onEnd ?? Effect.void, unspend(job), admitted.record(Exit.interrupt(FiberId.none), Effect.void)],
          { discard: true }
        )
      ),
      Effect.flatMap(() => execute(job, input, deadline, restore, admitted))
    )
  })
}

/** One attempt: breaker check > rate limit > bulkhead > breaker acquire > attempt timeout > handler. */
const attempt = (
  job: Job,
  input: unknown,
  deadline: Deadline,
  source: "executed" | "hedge"
): Effect.Effect<Answer, Failed.Failed> =>
  Effect.uninterruptibleMask((restore) => {
    if (job.guards.rateLimit !== undefined || job.guards.bulkhead !== undefined) {
      return Effect.flatMap(enter(job, deadline, restore), (leave) =>
        acquired(job, input, deadline, source, leave, restore)
      )
    }
    return job.shared.time() < deadline.at
      ? acquired(job, input, deadline, source, undefined, restore)
      : Effect.fail(Bulkhead.outOfTime(job, deadline.kind, undefined))
  })

/**
 * Makes a call under all its policies; from `first` on, where its first attempt has ended already.
 *
 * @internal
 */
export const protect = (
  job: Job,
  input: unknown,
  deadline: Deadline,
  first?: Effect.Effect<Answer, Failed.Failed>
): Effect.Effect<Answer, Failed.Failed> => {
  const failed = Recall.failedBefore(job)
  if (failed !== undefined) return Fallback.around(job, input, failed)
  const hedged = Hedge.around(job, (source) => attempt(job, input, deadline, source))
  const retried = first === undefined ? Retry.around(job, deadline, hedged) : Retry.after(job, deadline, first, hedged)
  return Cache.around(job, Fallback.around(job, input, retried))
}
