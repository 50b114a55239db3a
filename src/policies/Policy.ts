/**
 * What protects a call. A policy is data; what is not said falls back to the toolbox's policy, then to the runner's,
 * then to `defaults`, field by field.
 *
 * The order is fixed, outer to inner:
 *
 *     cache > fallback > total timeout > retry (+ budget) > hedge
 *       > breaker check > rate limit > bulkhead > breaker acquire > attempt timeout > handler
 *
 * Check, queue, then acquire: an open circuit burns no token of the rate limit and no place in the queue, calls that
 * are queued when it opens fail at once, and a probe never waits in line. Time in a queue is never taken for slowness of
 * the dependency.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { execute } from "../internal/attempt.ts"
import * as Failed from "../internal/failed.ts"
import type { Answer, Deadline, Job } from "../internal/job.ts"
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

/**
 * Takes one of the executions the batch may pay for, and gives what undoes that; `leave` is part of it, and is run where
 * none is left.
 */
const spend = ({ definition, executions }: Job, leave: Effect.Effect<void>) =>
  Effect.suspend(() => {
    if (executions.left < 1) {
      const error = new BudgetExhausted({ budget: "executions of this turn" })
      return Effect.zipRight(leave, Effect.fail(Failed.of(error, definition)))
    }
    executions.left--
    return Effect.succeed(
      Effect.zipRight(
        Effect.sync(() => executions.left++),
        leave
      )
    )
  })

/** One attempt: breaker check > rate limit > bulkhead > breaker acquire > attempt timeout > handler. */
const attempt = (
  job: Job,
  input: unknown,
  deadline: Deadline,
  source: Answer["source"]
): Effect.Effect<Answer, Failed.Failed> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      yield* CircuitBreaker.check(job)
      yield* RateLimit.enter(job, deadline, restore)
      const leave = yield* Bulkhead.enter(job, deadline, restore)
      const unspend = yield* spend(job, leave)
      const record = yield* CircuitBreaker.acquire(job, unspend, restore)
      job.holds?.retain()
      return yield* execute(job, input, deadline, restore, {
        source,
        onEnd: job.holds === undefined ? leave : Effect.zipRight(leave, job.holds.release),
        onExit: (exit, millis) => Effect.zipRight(Hedge.observe(job, exit, millis), record(exit))
      })
    })
  )

/**
 * Makes a call under all its policies.
 *
 * @internal
 */
export const protect = (job: Job, input: unknown, deadline: Deadline): Effect.Effect<Answer, Failed.Failed> => {
  const hedged = Hedge.around(job, (source) => attempt(job, input, deadline, source))
  const retried = Retry.around(job, deadline, hedged)
  return Cache.around(job, Fallback.around(job, input, retried))
}
