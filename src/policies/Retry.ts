/**
 * Tries a failed call again: only if its fault is transient and repeating it is safe, after an exponential back-off
 * with jitter, never past the deadline.
 *
 * Safe are `read` and `idempotent` tools, and failures that certainly did not take effect. The delay is capped before
 * the jitter, so that capped delays stay spread (AWS, "Exponential Backoff And Jitter"). A `Retry-After` is a floor
 * under the delay, up to a cap. When the delay would end after the deadline the last error stands at once.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { Failed } from "../internal/failed.ts"
import type { Effects } from "../Tool.ts"
import type * as Policy from "./Policy.ts"
import { now } from "./Timeout.ts"

const isSafe = (effects: Effects, failed: Failed): boolean => effects !== "write" || failed.fault.tookEffect === "no"

/**
 * Whether another attempt may be made.
 *
 * @since 0.1.0
 * @category predicates
 */
export const mayRepeat = (effects: Effects, failed: Failed): boolean =>
  failed.fault.transient && isSafe(effects, failed)

const jittered = (jitter: Policy.ResolvedRetry["jitter"], millis: number): Effect.Effect<number> => {
  switch (jitter) {
    case "none":
      return Effect.succeed(millis)
    case "full":
      return Effect.map(Random.next, (random) => millis * random)
    case "equal":
      return Effect.map(Random.next, (random) => (millis / 2) * (1 + random))
  }
}

const backOff = (policy: Policy.ResolvedRetry): Schedule.Schedule<unknown, Failed> =>
  policy.schedule === undefined
    ? Schedule.exponential(Duration.millis(policy.baseMillis), policy.factor).pipe(
        Schedule.modifyDelayEffect((_, delay) =>
          Effect.map(jittered(policy.jitter, Math.min(Duration.toMillis(delay), policy.capMillis)), Duration.millis)
        )
      )
    : Schedule.mapInput(policy.schedule, (failed: Failed) => failed.error)

const floor = (failed: Failed, policy: Policy.ResolvedRetry): number =>
  failed.fault.retryAfter === undefined
    ? 0
    : Math.min(Duration.toMillis(failed.fault.retryAfter), policy.retryAfterCapMillis)

/**
 * The delays between the attempts of one call. Gives each delay as its output.
 *
 * @since 0.1.0
 * @category constructors
 */
export const schedule = (
  policy: Policy.ResolvedRetry,
  effects: Effects,
  deadline: number
): Schedule.Schedule<Duration.Duration, Failed> =>
  backOff(policy).pipe(
    Schedule.intersect(Schedule.identity<Failed>()),
    // Whole milliseconds: timers know no others, and `TestClock` breaks on them.
    Schedule.modifyDelay(([_, failed], delay) =>
      Duration.millis(Math.ceil(Math.max(Duration.toMillis(delay), floor(failed, policy))))
    ),
    Schedule.delays,
    Schedule.checkEffect((_: Failed, delay) => Effect.map(now, (time) => time + Duration.toMillis(delay) < deadline)),
    Schedule.whileInput((failed: Failed) => mayRepeat(effects, failed)),
    Schedule.intersect(Schedule.recurs(policy.times)),
    Schedule.map(([delay]) => delay)
  )
