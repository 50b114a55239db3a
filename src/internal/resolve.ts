/** From a policy as it is written to one with everything decided. */
import * as Duration from "effect/Duration"
import type * as Schedule from "effect/Schedule"
import * as CircuitBreaker from "../policies/CircuitBreaker.ts"
import type * as Policy from "../policies/Policy.ts"
import type { RateLimitPolicy } from "../policies/RateLimit.ts"
import type { ToolError } from "../ToolError.ts"
import { checkAgainst } from "./definition.ts"
import { PolicyData } from "./policyData.ts"

export interface ResolvedBackOff {
  readonly baseMillis: number
  readonly factor: number
  readonly capMillis: number
  readonly jitter: "full" | "equal" | "decorrelated" | "none"
  readonly schedule: Schedule.Schedule<unknown, ToolError> | undefined
}

export interface ResolvedRetry extends ResolvedBackOff {
  readonly times: number
  readonly retryAfterCapMillis: number
  readonly throttled: ResolvedBackOff
  readonly timedOut: ResolvedBackOff
  readonly rejected: boolean
  readonly budget: { readonly ratio: number; readonly floor: number; readonly cap: number } | undefined
}

export interface ResolvedBulkhead {
  readonly limit: number
  readonly weight: number
  readonly queue: number
  readonly queueMillis: number
  readonly pool: string | undefined
}

export interface Resolved {
  readonly attemptMillis: number
  readonly totalMillis: number
  readonly idleMillis: number
  readonly graceMillis: number
  readonly retry: ResolvedRetry | undefined
  readonly circuitBreaker: CircuitBreaker.CircuitBreakerPolicy | false
  readonly bulkhead: ResolvedBulkhead | undefined
  readonly rateLimit: RateLimitPolicy | false
  /** `p95` or milliseconds. */
  readonly hedge: { readonly delay: number | "p95"; readonly budget: number } | undefined
  readonly cache: { readonly ttlMillis: number; readonly capacity: number } | undefined
  readonly coalesce: boolean
  readonly maxOutputBytes: number
}

const backOff: ResolvedBackOff = { baseMillis: 200, factor: 2, capMillis: 10_000, jitter: "full", schedule: undefined }

const defaultRetry: ResolvedRetry = {
  ...backOff,
  times: 2,
  retryAfterCapMillis: 60_000,
  // AWS, "Retry behavior" of 2026: transient errors and throttling need different first delays.
  throttled: { ...backOff, baseMillis: 1000 },
  timedOut: backOff,
  rejected: false,
  budget: { ratio: 0.2, floor: 10, cap: 20 }
}

export const defaults: Resolved = {
  attemptMillis: 30_000,
  totalMillis: 120_000,
  idleMillis: Number.POSITIVE_INFINITY,
  graceMillis: 1000,
  retry: defaultRetry,
  circuitBreaker: {},
  bulkhead: undefined,
  rateLimit: false,
  hedge: undefined,
  cache: undefined,
  coalesce: true,
  maxOutputBytes: 102_400
}

const isBareDuration = (timeout: Duration.DurationInput | Policy.TimeoutPolicy): timeout is Duration.DurationInput =>
  typeof timeout !== "object" || Duration.isDuration(timeout) || Array.isArray(timeout)

const timeouts = (policy: Policy.Policy): Policy.TimeoutPolicy =>
  policy.timeout === undefined ? {} : isBareDuration(policy.timeout) ? { attempt: policy.timeout } : policy.timeout

const millis = (input: Duration.DurationInput | undefined, otherwise: number): number =>
  input === undefined ? otherwise : Duration.toMillis(Duration.decode(input))

const resolveBackOff = (policy: Policy.BackOffPolicy, under: ResolvedBackOff): ResolvedBackOff => ({
  baseMillis: millis(policy.base, under.baseMillis),
  factor: policy.factor ?? under.factor,
  capMillis: millis(policy.cap, under.capMillis),
  jitter: policy.jitter ?? under.jitter,
  schedule: policy.schedule ?? under.schedule
})

/** What is said of the back-off in general holds for its special cases too, but for what they say themselves. */
const resolveRetry = (policy: Policy.RetryPolicy, under: ResolvedRetry): ResolvedRetry => {
  const { base: _, ...shared } = policy
  return {
    ...resolveBackOff(policy, under),
    times: policy.times ?? under.times,
    retryAfterCapMillis: millis(policy.retryAfterCap, under.retryAfterCapMillis),
    throttled: resolveBackOff(policy.throttled ?? {}, resolveBackOff(shared, under.throttled)),
    timedOut: resolveBackOff(policy.timedOut ?? {}, resolveBackOff(policy, under.timedOut)),
    rejected: policy.rejected ?? under.rejected,
    budget:
      policy.budget === undefined
        ? under.budget
        : policy.budget === false
          ? undefined
          : {
              ratio: policy.budget.ratio ?? under.budget?.ratio ?? 0.2,
              floor: policy.budget.floor ?? under.budget?.floor ?? 10,
              cap: policy.budget.cap ?? under.budget?.cap ?? 20
            }
  }
}

const resolveBulkhead = (policy: number | Policy.BulkheadPolicy): ResolvedBulkhead | undefined => {
  const { limit, pool, queue, queueTimeout, weight } = typeof policy === "number" ? { limit: policy } : policy
  return limit === Number.POSITIVE_INFINITY
    ? undefined
    : {
        limit,
        weight: weight ?? 1,
        queue: queue ?? Number.POSITIVE_INFINITY,
        queueMillis: millis(queueTimeout, Number.POSITIVE_INFINITY),
        pool
      }
}

/** What is not said stays, `false` takes away, anything else replaces. */
const over = <A, B>(said: A | false | undefined, under: B | undefined, resolve: (said: A) => B | undefined) =>
  said === undefined ? under : said === false ? undefined : resolve(said)

export const resolve = (policy: Policy.Policy, under: Resolved): Resolved => {
  const timeout = timeouts(policy)
  return {
    attemptMillis: millis(timeout.attempt, under.attemptMillis),
    totalMillis: millis(timeout.total, under.totalMillis),
    idleMillis: millis(timeout.idle, under.idleMillis),
    graceMillis: millis(timeout.grace, under.graceMillis),
    retry: over(policy.retry, under.retry, (retry) => resolveRetry(retry, under.retry ?? defaultRetry)),
    circuitBreaker: CircuitBreaker.resolve(policy.circuitBreaker, under.circuitBreaker),
    bulkhead: over(policy.bulkhead, under.bulkhead, resolveBulkhead),
    rateLimit: policy.rateLimit ?? under.rateLimit,
    hedge: over(policy.hedge, under.hedge, ({ budget, delay }) => ({
      delay: delay === "p95" ? delay : millis(delay, 0),
      budget: budget ?? 0.1
    })),
    cache: over(policy.cache, under.cache, ({ capacity, ttl }) => ({
      ttlMillis: millis(ttl, 0),
      capacity: capacity ?? 1000
    })),
    coalesce: policy.coalesce ?? under.coalesce,
    maxOutputBytes: policy.maxOutputBytes ?? under.maxOutputBytes
  }
}

const orNothing = <A>(said: A | false | undefined) => (said === false ? undefined : said)

export const check = (policy: Policy.ToolPolicy<never, unknown>, subject: string): void =>
  checkAgainst(
    PolicyData,
    {
      ...policy,
      timeout: timeouts(policy),
      retry: policy.retry === false ? {} : { ...policy.retry, budget: orNothing(policy.retry?.budget) },
      circuitBreaker: policy.circuitBreaker ? CircuitBreaker.checkable(policy.circuitBreaker) : undefined,
      bulkhead: typeof policy.bulkhead === "number" ? { limit: policy.bulkhead } : orNothing(policy.bulkhead),
      rateLimit: orNothing(policy.rateLimit),
      hedge: orNothing(policy.hedge),
      cache: orNothing(policy.cache)
    },
    subject,
    "policy"
  )
