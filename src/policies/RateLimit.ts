/**
 * So many per so much time: the policy of a rate limit. The limiter itself is `services/RateLimiter`, its arithmetic
 * `internal/gcra`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Failed from "../internal/failed.ts"
import { type Deadline, type Job, type Restore, tell } from "../internal/job.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import { now } from "./Timeout.ts"
import { checkAgainst } from "../internal/definition.ts"
import { RateLimitData } from "../internal/rateLimitData.ts"
import type { Settings } from "../internal/gcra.ts"

export type {
  /**
   * A rate limit as plain data, times in milliseconds.
   *
   * @since 0.1.0
   * @category models
   */
  Settings
} from "../internal/gcra.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface RateLimitPolicy {
  /** How many, evenly spread over `per`. */
  readonly limit: number
  /** The time `limit` is spread over. */
  readonly per: Duration.DurationInput
  /** How many may come at once after a quiet time. Default: `limit`. */
  readonly burst?: number | undefined
  /** Whether a call that comes too early waits for its moment or fails with `RateLimited`. Default: wait. */
  readonly onLimit?: "wait" | "fail" | undefined
  /** A call that would have to wait longer fails at once. Default: until the call's own deadline. */
  readonly maxWait?: Duration.DurationInput | undefined
  /** For how many an execution of this tool counts. Default: 1. */
  readonly cost?: number | undefined
  /** What is limited. Tools that name the same share its limit. Default: the tool's own name. */
  readonly name?: string | undefined
}

const millis = (input: Duration.DurationInput): number => Duration.toMillis(Duration.decode(input))

/**
 * What the limiter goes by.
 *
 * @internal
 */
export const settings = (policy: RateLimitPolicy): Settings => ({
  limit: policy.limit,
  perMillis: millis(policy.per),
  burst: policy.burst ?? policy.limit
})

/**
 * What one call asks the limiter for.
 *
 * @internal
 */
export const request = (policy: RateLimitPolicy): { readonly cost: number; readonly maxWaitMillis: number } => ({
  cost: policy.cost ?? 1,
  maxWaitMillis:
    policy.onLimit === "fail" ? 0 : policy.maxWait === undefined ? Number.POSITIVE_INFINITY : millis(policy.maxWait)
})

/**
 * Throws `InvalidDefinition` for the first field that is wrong.
 *
 * @internal
 */
export const check = (policy: RateLimitPolicy, subject: string): void =>
  checkAgainst(RateLimitData, policy, subject, "rateLimit")

/**
 * Waits for the execution's moment, for as long as the policy and the call's deadline allow. Called where interruption
 * is masked. A circuit that opens meanwhile ends the wait, and the moment is given back.
 *
 * @internal
 */
export const enter = (job: Job, deadline: Deadline, restore: Restore): Effect.Effect<void, Failed.Failed> => {
  const { breaker, rateLimit } = job.guards
  if (rateLimit === undefined) return Effect.void
  const { cost, maxWaitMillis } = rateLimit.request
  // Whoever moves up at the moment the circuit opens begins to wait anew, when it is open already.
  const abort = breaker === undefined ? undefined : Effect.ignore(Effect.zipRight(breaker.check, breaker.opened))
  return Effect.gen(function* () {
    const left = Math.max(0, deadline.at - (yield* now))
    const onWait = (millis: number) =>
      tell(job, { _tag: "Waiting", for: { _tag: "RateLimit", delay: Duration.millis(millis) } })
    const options = { cost, maxWaitMillis: Math.min(left, maxWaitMillis), abort, onWait }
    const taken = yield* Effect.mapError(
      rateLimit.limiter.wait(rateLimit.key, rateLimit.settings, options, restore),
      (error) => Failed.of(error, job.definition)
    )
    // Unless the circuit has closed again in the meantime.
    if (taken === "aborted") yield* Effect.zipRight(CircuitBreaker.check(job), enter(job, deadline, restore))
  })
}
