/**
 * Tries a failed call again: only if its fault is transient and repeating it is safe, after an exponential back-off
 * with jitter, never past the deadline, and only as often as its dependency can stand.
 *
 * Safe are `read` and `idempotent` tools, and failures that certainly did not take effect. The delay is capped before
 * the jitter, so that capped delays stay spread (AWS, "Exponential Backoff And Jitter"). A `Retry-After` is a floor
 * under the delay, up to a cap. When the delay would end after the deadline, or the budget is spent, the last error
 * stands at once. A call that was turned away here is asked again only where the policy says so (`rejected`).
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleInterval from "effect/ScheduleInterval"
import { type Answer, type Deadline, type Job, tell } from "../internal/job.ts"
import type { Failed } from "../internal/failed.ts"
import { retryFrom } from "../internal/retryFrom.ts"
import type { ResolvedBackOff, ResolvedRetry } from "../internal/resolve.ts"
import type { CallEvent } from "../services/BatchEvents.ts"
import type { Effects } from "../Tool.ts"
import { now } from "./Timeout.ts"

/** Turned away on this side: the handler was not executed. */
const isRejected = ({ fault }: Failed): boolean => fault.owner === "runner"

/**
 * Whether another attempt may be made.
 *
 * @since 0.1.0
 * @category predicates
 */
export const mayRepeat = (effects: Effects, failed: Failed, policy: ResolvedRetry): boolean =>
  isRejected(failed)
    ? policy.rejected && failed.fault.retryAfter !== undefined
    : failed.fault.transient && (effects !== "write" || failed.fault.tookEffect === "no")

const jittered = (jitter: ResolvedBackOff["jitter"], millis: number): Effect.Effect<number> => {
  switch (jitter) {
    case "full":
      return Effect.map(Random.next, (random) => millis * random)
    case "equal":
      return Effect.map(Random.next, (random) => (millis / 2) * (1 + random))
    default:
      return Effect.succeed(millis)
  }
}

/** Anything from the base to three times the last delay, both capped first. */
const decorrelated = ({ baseMillis, capMillis }: ResolvedBackOff): Schedule.Schedule<Duration.Duration> => {
  const least = Math.min(baseMillis, capMillis)
  return Schedule.makeWithState(least, (time, _, last) =>
    Effect.map(Random.next, (random) => {
      const delay = least + (Math.min(capMillis, 3 * last) - least) * random
      return [delay, Duration.millis(delay), ScheduleDecision.continueWith(ScheduleInterval.after(time + delay))]
    })
  )
}

const backOff = (policy: ResolvedBackOff): Schedule.Schedule<unknown, Failed> => {
  if (policy.schedule !== undefined) return Schedule.mapInput(policy.schedule, (failed: Failed) => failed.error)
  if (policy.jitter === "decorrelated") return decorrelated(policy)
  return Schedule.exponential(Duration.millis(policy.baseMillis), policy.factor).pipe(
    Schedule.modifyDelayEffect((_, delay) =>
      Effect.map(jittered(policy.jitter, Math.min(Duration.toMillis(delay), policy.capMillis)), Duration.millis)
    )
  )
}

type FaultClass = "transient" | "throttled" | "timedOut"

const classOf = ({ error, fault }: Failed): FaultClass =>
  error._tag === "Timeout" ? "timedOut" : fault.throttled === true ? "throttled" : "transient"

/** Each class of faults goes its own way: one step of it is no step of the others. */
const byClass = (
  schedules: Readonly<Record<FaultClass, Schedule.Schedule<unknown, Failed>>>
): Schedule.Schedule<unknown, Failed> =>
  Schedule.makeWithState(
    {
      transient: schedules.transient.initial,
      throttled: schedules.throttled.initial,
      timedOut: schedules.timedOut.initial
    },
    (time, failed: Failed, states) => {
      const kind = classOf(failed)
      return Effect.map(schedules[kind].step(time, failed, states[kind]), ([state, output, decision]) => [
        { ...states, [kind]: state },
        output,
        decision
      ])
    }
  )

const floor = ({ fault }: Failed, policy: ResolvedRetry): number =>
  fault.retryAfter === undefined ? 0 : Math.min(Duration.toMillis(fault.retryAfter), policy.retryAfterCapMillis)

/** Whole milliseconds: timers know no others, and `TestClock` breaks on them. */
const delayAfter = (failed: Failed, delay: Duration.Duration, policy: ResolvedRetry): Duration.Duration =>
  isRejected(failed) && failed.fault.retryAfter !== undefined
    ? Duration.millis(Math.ceil(Duration.toMillis(failed.fault.retryAfter)))
    : Duration.millis(Math.ceil(Math.max(Duration.toMillis(delay), floor(failed, policy))))

/**
 * The delays between the attempts of one call. Gives each delay as its output.
 *
 * @since 0.1.0
 * @category constructors
 */
export const schedule = (
  policy: ResolvedRetry,
  effects: Effects,
  deadline: number
): Schedule.Schedule<Duration.Duration, Failed> =>
  byClass({
    transient: backOff(policy),
    throttled: backOff(policy.throttled),
    timedOut: backOff(policy.timedOut)
  }).pipe(
    Schedule.intersect(Schedule.identity<Failed>()),
    Schedule.modifyDelay(([_, failed], delay) => delayAfter(failed, delay, policy)),
    Schedule.delays,
    Schedule.checkEffect((_: Failed, delay) => Effect.map(now, (time) => time + Duration.toMillis(delay) < deadline)),
    Schedule.whileInput((failed: Failed) => mayRepeat(effects, failed, policy)),
    Schedule.intersect(Schedule.recurs(policy.times)),
    Schedule.map(([delay]) => delay)
  )

/**
 * What stands in the end. A call that was executed and then turned away is told of its execution: only that knows
 * whether it took effect.
 */
const lastWord = (job: Job, failed: Failed): Failed => {
  const { last } = job.progress
  if (!isRejected(failed) || last === undefined) return failed
  return { ...last, fault: { ...last.fault, retryAfter: last.fault.retryAfter ?? failed.fault.retryAfter } }
}

/** Whoever was turned away waits for what did that, not to execute it once more. */
const waiting = ({ progress }: Job, { error }: Failed, delay: Duration.Duration): CallEvent => {
  switch (error._tag) {
    case "CircuitOpen":
      return { _tag: "Waiting", for: { _tag: "CircuitBreaker", delay } }
    case "RateLimited":
      return { _tag: "Waiting", for: { _tag: "RateLimit", delay } }
    default:
      return { _tag: "Retrying", attempt: progress.attempts + 1, delay }
  }
}

/** The delays of this call, and what each of them costs and tells. */
const repeats = (job: Job, retry: ResolvedRetry, deadline: Deadline): Schedule.Schedule<Duration.Duration, Failed> => {
  const { retryBudget } = job.guards
  return schedule(retry, job.definition.effects, deadline.at).pipe(
    // Asked last, so that a retry that is not made for another reason takes nothing out. Whoever was turned away here
    // has put no load on the dependency.
    Schedule.checkEffect((failed: Failed) =>
      retryBudget === undefined || isRejected(failed) ? Effect.succeed(true) : retryBudget.withdraw
    ),
    Schedule.checkEffect((failed: Failed, delay) => Effect.as(tell(job, waiting(job, failed, delay)), true))
  )
}

const again =
  (job: Job, retry: ResolvedRetry, deadline: Deadline, once: Effect.Effect<Answer, Failed>) =>
  (failed: Failed): Effect.Effect<Answer, Failed> =>
    Effect.mapError(retryFrom(failed, once, repeats(job, retry, deadline)), (failed) => lastWord(job, failed))

/**
 * Runs `first`, and `once` again and again as the job's policy allows.
 *
 * @since 0.1.0
 * @category combinators
 */
export const after = (
  job: Job,
  deadline: Deadline,
  first: Effect.Effect<Answer, Failed>,
  once: Effect.Effect<Answer, Failed>
): Effect.Effect<Answer, Failed> => {
  const { retry } = job.policy
  if (retry === undefined || retry.times === 0) return first
  // Most calls succeed at once: only the others take the step of `catchAll`.
  return Effect.catchAllCause(first, (cause) =>
    Effect.catchAll(Effect.failCause(cause), again(job, retry, deadline, once))
  )
}

/**
 * Runs `once`, and again as the job's policy allows.
 *
 * @since 0.1.0
 * @category combinators
 */
export const around = (
  job: Job,
  deadline: Deadline,
  once: Effect.Effect<Answer, Failed>
): Effect.Effect<Answer, Failed> => {
  // Built when the call starts, and run once.
  if (job.policy.retry !== undefined && job.policy.retry.times > 0) job.guards.retryBudget?.deposit()
  return after(job, deadline, once, once)
}
