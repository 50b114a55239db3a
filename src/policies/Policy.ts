/**
 * What protects a call. A policy is data; what is not said falls back to the toolbox's policy, then to the runner's,
 * then to `defaults`, field by field.
 *
 * Order, outer to inner: fallback > total timeout > retry > bulkhead > attempt timeout > handler.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import { checkAgainst } from "../internal/definition.ts"
import { PolicyData } from "../internal/policyData.ts"
import type { ToolError } from "../ToolError.ts"

/**
 * Deadlines. Each may be `"Infinity"`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TimeoutPolicy {
  /** One execution of the handler. Default: 30 seconds. */
  readonly attempt?: Duration.DurationInput | undefined
  /** The call from the moment it is ready, with all attempts and waits. Default: 2 minutes. */
  readonly total?: Duration.DurationInput | undefined
  /** Silence: restarted by `call.progress`. Default: none. */
  readonly idle?: Duration.DurationInput | undefined
}

/**
 * When a failed call is tried again, provided that its fault is transient and repeating it is safe.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryPolicy {
  /** Further attempts after the first. Default: 2. */
  readonly times?: number | undefined
  /** The first delay. Default: 200 millis. */
  readonly base?: Duration.DurationInput | undefined
  /** What each delay is multiplied by to give the next. Default: 2. */
  readonly factor?: number | undefined
  /** The longest delay, applied before the jitter so that capped delays stay spread. Default: 10 seconds. */
  readonly cap?: Duration.DurationInput | undefined
  /** `full`: anything from 0 to the delay. `equal`: half of it fixed, half random. Default: full. */
  readonly jitter?: "full" | "equal" | "none" | undefined
  /** How much of a `Retry-After` is obeyed. Default: 60 seconds. */
  readonly retryAfterCap?: Duration.DurationInput | undefined
  /** Replaces the exponential back-off; `times`, safety, `Retry-After` and the deadline still hold. */
  readonly schedule?: Schedule.Schedule<unknown, ToolError> | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Policy {
  /** Deadlines; a bare duration is that of an attempt. */
  readonly timeout?: Duration.DurationInput | TimeoutPolicy | undefined
  /** `false` for none. */
  readonly retry?: RetryPolicy | false | undefined
  /**
   * Bulkhead: how many executions of the tool may run at once in this `ToolRunner`, over all batches. A handler that
   * ignores interruption keeps its slot until it really ends. Default: unbounded.
   */
  readonly concurrency?: number | undefined
  /** How much of an answer the model is given, in UTF-8 bytes; head and tail are kept. Default: 102,400. */
  readonly maxOutputBytes?: number | undefined
}

/**
 * A tool's own policy: as `Policy`, and a fallback that knows the tool's types.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolPolicy<Input, Output> extends Policy {
  /**
   * The answer when all else failed; marked as a fallback in the result and to the model. Not used after an
   * interruption or once the batch's time is up. Bounded by the attempt timeout.
   */
  readonly fallback?:
    | { bivarianceHack(input: Input, error: ToolError): Effect.Effect<Output, unknown> }["bivarianceHack"]
    | undefined
}

/**
 * A policy with everything decided. Durations in milliseconds, `Infinity` for none.
 *
 * @since 0.1.0
 * @category models
 */
export interface Resolved {
  readonly attemptMillis: number
  readonly totalMillis: number
  readonly idleMillis: number
  readonly retry: ResolvedRetry | undefined
  readonly concurrency: number
  readonly maxOutputBytes: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ResolvedRetry {
  readonly times: number
  readonly baseMillis: number
  readonly factor: number
  readonly capMillis: number
  readonly jitter: "full" | "equal" | "none"
  readonly retryAfterCapMillis: number
  readonly schedule: Schedule.Schedule<unknown, ToolError> | undefined
}

const defaultRetry: ResolvedRetry = {
  times: 2,
  baseMillis: 200,
  factor: 2,
  capMillis: 10_000,
  jitter: "full",
  retryAfterCapMillis: 60_000,
  schedule: undefined
}

/**
 * What holds where nothing is said.
 *
 * @since 0.1.0
 * @category constructors
 */
export const defaults: Resolved = {
  attemptMillis: 30_000,
  totalMillis: 120_000,
  idleMillis: Number.POSITIVE_INFINITY,
  retry: defaultRetry,
  concurrency: Number.POSITIVE_INFINITY,
  maxOutputBytes: 102_400
}

const isBareDuration = (timeout: Duration.DurationInput | TimeoutPolicy): timeout is Duration.DurationInput =>
  typeof timeout !== "object" || Duration.isDuration(timeout) || Array.isArray(timeout)

const timeouts = (policy: Policy): TimeoutPolicy =>
  policy.timeout === undefined ? {} : isBareDuration(policy.timeout) ? { attempt: policy.timeout } : policy.timeout

const millis = (input: Duration.DurationInput | undefined, otherwise: number): number =>
  input === undefined ? otherwise : Duration.toMillis(Duration.decode(input))

const resolveRetry = (policy: RetryPolicy, under: ResolvedRetry): ResolvedRetry => ({
  times: policy.times ?? under.times,
  baseMillis: millis(policy.base, under.baseMillis),
  factor: policy.factor ?? under.factor,
  capMillis: millis(policy.cap, under.capMillis),
  jitter: policy.jitter ?? under.jitter,
  retryAfterCapMillis: millis(policy.retryAfterCap, under.retryAfterCapMillis),
  schedule: policy.schedule ?? under.schedule
})

/**
 * Lays `policy` over `under`, field by field.
 *
 * @since 0.1.0
 * @category combinators
 */
export const resolve = (policy: Policy, under: Resolved): Resolved => {
  const timeout = timeouts(policy)
  return {
    attemptMillis: millis(timeout.attempt, under.attemptMillis),
    totalMillis: millis(timeout.total, under.totalMillis),
    idleMillis: millis(timeout.idle, under.idleMillis),
    retry:
      policy.retry === undefined
        ? under.retry
        : policy.retry === false
          ? undefined
          : resolveRetry(policy.retry, under.retry ?? defaultRetry),
    concurrency: policy.concurrency ?? under.concurrency,
    maxOutputBytes: policy.maxOutputBytes ?? under.maxOutputBytes
  }
}

/**
 * Throws `InvalidDefinition` naming the field, what stands there and what would be accepted. `subject` says whose
 * policy it is.
 *
 * @since 0.1.0
 * @category constructors
 */
export const check = (policy: ToolPolicy<never, unknown>, subject: string): void =>
  checkAgainst(
    PolicyData,
    { ...policy, timeout: timeouts(policy), retry: policy.retry === false ? {} : (policy.retry ?? {}) },
    subject,
    "policy"
  )
