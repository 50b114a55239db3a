/**
 * Policies as they are written: plain data, durations in Effect's `DurationInput`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type * as Tool from "../Tool.ts"
import type { ToolError } from "../ToolError.ts"
import type { CircuitBreakerPolicy } from "./CircuitBreaker.ts"
import type { RateLimitPolicy } from "./RateLimit.ts"

/**
 * Deadlines. Each may be `Duration.infinity`.
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
  /**
   * How long a handler has to stop once it was interrupted before it counts as leaked. Nobody waits for it meanwhile.
   * Default: 1 second.
   */
  readonly grace?: Duration.DurationInput | undefined
}

/**
 * How the delay between two attempts grows.
 *
 * @since 0.1.0
 * @category models
 */
export interface BackOffPolicy {
  /** The first delay. Default: 200 millis; 1 second after the dependency asked for less (`throttled`). */
  readonly base?: Duration.DurationInput | undefined
  /** What each delay is multiplied by to give the next. Default: 2. */
  readonly factor?: number | undefined
  /** The longest delay, applied before the jitter so that capped delays stay spread. Default: 10 seconds. */
  readonly cap?: Duration.DurationInput | undefined
  /**
   * `full`: anything from 0 to the delay. `equal`: half of it fixed, half random. `decorrelated`: anything from the base
   * to three times the last delay; `factor` plays no part. Default: full. (AWS, "Exponential Backoff And Jitter".)
   */
  readonly jitter?: "full" | "equal" | "decorrelated" | "none" | undefined
  /** Replaces the exponential back-off, with its cap and jitter; all other rules of the retry still hold. */
  readonly schedule?: Schedule.Schedule<unknown, ToolError> | undefined
}

/**
 * How many retries a dependency can stand: a token bucket shared by all calls to it (of all tools that name the same
 * circuit breaker). Every first attempt puts `ratio` in, every retry takes 1 out. Without it the retries of many calls
 * multiply the load on a dependency that is already failing.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryBudgetPolicy {
  /** Retries per first attempt. Default: 0.2. */
  readonly ratio?: number | undefined
  /** So many retries every 10 seconds are always possible. Default: 10. */
  readonly floor?: number | undefined
  /** The most that can be saved up. Default: 20. */
  readonly cap?: number | undefined
}

/**
 * When a failed call is tried again, provided that its fault is transient and repeating it is safe.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryPolicy extends BackOffPolicy {
  /** Further attempts after the first. Default: 2. */
  readonly times?: number | undefined
  /** How much of a `Retry-After` is obeyed. Default: 60 seconds. */
  readonly retryAfterCap?: Duration.DurationInput | undefined
  /** The back-off after the dependency asked for less (429, 503 with `Retry-After`, `Fault.throttled`). */
  readonly throttled?: BackOffPolicy | undefined
  /** The back-off after an attempt ran out of time. */
  readonly timedOut?: BackOffPolicy | undefined
  /**
   * Whether a call that was turned away here (open circuit, rate limit) waits out its `retryAfter` and asks again, where
   * that fits before the deadline. Default: false, so that the model is told at once.
   */
  readonly rejected?: boolean | undefined
  /** `false` for none. */
  readonly budget?: RetryBudgetPolicy | false | undefined
}

/**
 * How many executions may run at once in a `ToolRunner`, over all batches, first come first served. A handler that
 * ignores interruption keeps its slot until it really ends.
 *
 * @since 0.1.0
 * @category models
 */
export interface BulkheadPolicy {
  /** How many slots there are. */
  readonly limit: number
  /** How many slots an execution of this tool takes. Default: 1. */
  readonly weight?: number | undefined
  /** How many may wait in line; one more is refused at once. Default: any number. */
  readonly queue?: number | undefined
  /** How long one may wait in line. Default: until the call's own deadline. */
  readonly queueTimeout?: Duration.DurationInput | undefined
  /** Tools that name the same pool share its slots (the limit of whoever comes first). Default: the tool's own name. */
  readonly pool?: string | undefined
}

/**
 * A second execution of a slow `read`, whichever answers first wins. Never while the circuit is not closed, never where
 * the bulkhead has no free slot.
 *
 * @since 0.1.0
 * @category models
 */
export interface HedgePolicy {
  /**
   * When the second execution starts: a duration, or `"p95"` for the 95th percentile of the tool's recent executions
   * (no hedge while fewer than 20 are known).
   */
  readonly delay: Duration.DurationInput | "p95"
  /** Hedges per call, on average. Default: 0.1. */
  readonly budget?: number | undefined
}

/**
 * Answers of a `read` that are kept, by tool and canonical input (RFC 8785). Only executions that succeeded are kept.
 *
 * @since 0.1.0
 * @category models
 */
export interface CachePolicy {
  readonly ttl: Duration.DurationInput
  /** How many answers of this tool are kept; the least recently used goes first. Default: 1,000. */
  readonly capacity?: number | undefined
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
  /** `false` for none. Default: opens after 5 failures in a row. */
  readonly circuitBreaker?: CircuitBreakerPolicy | false | undefined
  /** A number stands for `{ limit }`, `false` for none. Default: none. */
  readonly bulkhead?: number | BulkheadPolicy | false | undefined
  /** `false` for none. Default: none. */
  readonly rateLimit?: RateLimitPolicy | false | undefined
  /** For `read` tools; others never hedge. `false` for none. Default: none. */
  readonly hedge?: HedgePolicy | false | undefined
  /** For `read` tools; others are never cached. `false` for none. Default: none. */
  readonly cache?: CachePolicy | false | undefined
  /** Whether identical `read` calls of one batch run once. Default: true. */
  readonly coalesce?: boolean | undefined
  /**
   * How much of an answer the model is given, in UTF-8 bytes; head and tail are kept, and the whole goes to the
   * `OutputStore` where one is provided. Default: 102,400.
   */
  readonly maxOutputBytes?: number | undefined
}

/**
 * The answer of last resort: an effect of the input and the error, a value, or another tool. An effect may do what its
 * tool may, by the tool's `effects`: that of a `write` is written down like an execution of it.
 *
 * @since 0.1.0
 * @category models
 */
export type FallbackPolicy<Input, Output, R = never> =
  | { bivarianceHack(input: Input, error: ToolError): Effect.Effect<Output, unknown> }["bivarianceHack"]
  | { readonly value: Output }
  | FallbackTool<Input, Output, R>

/**
 * Another tool that answers instead, under its own policy. `input` makes its input, in the form the model would write
 * it, from this tool's; without it the call's own input is passed on.
 *
 * @since 0.1.0
 * @category models
 */
export interface FallbackTool<in Input, out Output, out R> {
  /** Has to answer with what this tool answers with. */
  readonly tool: Tool.Tool<string, unknown, Output, unknown, R>
  /** The other tool's input, as the model would write it. Default: the call's own. */
  readonly input?: ((input: Input) => object) | undefined
}

/**
 * A tool's own policy: as `Policy`, and a fallback that knows the tool's types.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolPolicy<Input, Output, R = unknown> extends Policy {
  /**
   * The answer when all else failed; marked as a fallback in the result and to the model. Not used after an
   * interruption, for what the model got wrong, or once the batch's time is up. An effect is bounded by the attempt
   * timeout.
   */
  readonly fallback?: FallbackPolicy<Input, Output, R> | undefined
}
