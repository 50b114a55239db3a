/**
 * Leaves a dependency alone that keeps failing: the policy of a circuit breaker. The breaker itself is
 * `services/CircuitBreaker`, its state machine `internal/breaker`.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Record from "effect/Record"
import * as Schedule from "effect/Schedule"
import * as Failed from "../internal/failed.ts"
import type { Job, Restore } from "../internal/job.ts"
import type { Outcome, Permit } from "../services/CircuitBreaker.ts"
import type { CircuitOpen } from "../ToolError.ts"
import { describeFailure } from "../internal/wording.ts"
import { clip, withoutSecrets } from "../internal/text.ts"
import { checkAgainst } from "../internal/definition.ts"
import { CircuitBreakerData } from "../internal/policyData.ts"
import { defaultWindow, maxMillis, type Settings } from "../internal/breaker/settings.ts"
import * as Through from "../internal/breaker/through.ts"

/**
 * When a closed circuit opens: whichever of the named conditions holds first. All rates are compared with "at or
 * above". Where nothing is named, five failures in a row.
 *
 * @since 0.1.0
 * @category models
 */
export interface TripPolicy {
  /** So many failures in a row. */
  readonly consecutive?: number | undefined
  /** So large a part of the calls in the window failed: above 0, up to 1. */
  readonly failureRate?: number | undefined
  /** So large a part of the calls in the window was slower than `slowerThan`: above 0, up to 1. */
  readonly slowRate?: number | undefined
  /** Needed with `slowRate`. Time in a queue is not counted, only the execution. */
  readonly slowerThan?: Duration.DurationInput | undefined
  /** What the rates are taken of. Default: the last 100 calls. */
  readonly window?: { readonly calls: number } | { readonly time: Duration.DurationInput } | undefined
  /** Fewer calls than this in the window say nothing. Default: 10, or the size of a smaller window of calls. */
  readonly minimumCalls?: number | undefined
  /**
   * Whether failures that one parallel batch meets at the same time count as one, since they tell of one trouble: in a
   * row (default: yes), and in the window of the rates too (default: no; `true` for both).
   */
  readonly perBatch?: boolean | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ProbePolicy {
  /** How many probes have to come back before the circuit closes. Default: 1. */
  readonly count?: number | undefined
  /** How many of them may fail: fewer than all. One more opens the circuit again at once. Default: 0. */
  readonly mayFail?: number | undefined
  /** How many may run at the same time. Default: `count`. */
  readonly atOnce?: number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface CircuitBreakerPolicy {
  /** The dependency it guards. Tools that name the same one share its breaker. Default: the tool's own name. */
  readonly name?: string | undefined
  readonly trip?: TripPolicy | undefined
  /**
   * How long it stays open: a duration, or a schedule whose n-th delay is that of the n-th opening since it was last
   * closed. A schedule that ends repeats its last delay. Default: 10 seconds, doubled up to 5 minutes.
   */
  readonly openFor?: Duration.DurationInput | Schedule.Schedule<unknown> | undefined
  /** How much of a failure's own `Retry-After` is obeyed, where it is longer than `openFor`. Default: 5 minutes. */
  readonly retryAfterCap?: Duration.DurationInput | undefined
  /** A number stands for `{ count }`. */
  readonly probes?: number | ProbePolicy | undefined
  /** How long a probe keeps its slot. Default: the attempt timeout and its grace, or 1 minute. */
  readonly lease?: Duration.DurationInput | undefined
  /** How long it may stay half-open without any probe, and what it then becomes. Default: for ever. */
  readonly halfOpen?: { readonly atMost: Duration.DurationInput; readonly become?: "open" | "closed" } | undefined
  /** Counts, changes and reports as ever, but turns no call away. Default: false. */
  readonly metricsOnly?: boolean | undefined
}

const defaultOpenFor = Schedule.exponential("10 seconds").pipe(
  Schedule.modifyDelay((_, delay) => Duration.min(delay, Duration.minutes(5)))
)

const defaultLease = Duration.minutes(1)

const defaultCap = Duration.minutes(5)

const millis = (input: Duration.DurationInput): number => Math.min(maxMillis, Duration.toMillis(Duration.decode(input)))

/** An endless schedule is followed for so many openings. */
const maxDelays = 16

/** The delays of a schedule, as data. Whoever draws them from `Random` draws them once per breaker. */
const delays = (schedule: Schedule.Schedule<unknown>): Effect.Effect<ReadonlyArray<number>> =>
  Schedule.run(Schedule.delays(schedule), 0, Arr.replicate(undefined, maxDelays)).pipe(
    Effect.map((all) => {
      const millis = Chunk.toReadonlyArray(all).map((delay) => Math.min(maxMillis, Duration.toMillis(delay)))
      // A schedule that ends says so with one output more, which is no delay.
      return millis.length < maxDelays ? millis.slice(0, -1) : millis
    })
  )

const openMillis = (openFor: CircuitBreakerPolicy["openFor"]): Effect.Effect<ReadonlyArray<number>> => {
  if (openFor === undefined) return delays(defaultOpenFor)
  if (!Schedule.isSchedule(openFor)) return Effect.succeed([millis(openFor)])
  return Effect.flatMap(delays(openFor), (all) => (all.length === 0 ? delays(defaultOpenFor) : Effect.succeed(all)))
}

/** More than any rate. */
const never = 2

const tripOf = (trip: TripPolicy = {}): TripPolicy =>
  trip.consecutive === undefined && trip.failureRate === undefined && trip.slowRate === undefined
    ? { ...trip, consecutive: 5 }
    : trip

/**
 * Decides everything a policy leaves open.
 *
 * @internal
 */
export const settings = (
  policy: CircuitBreakerPolicy,
  lease: Duration.Duration = defaultLease
): Effect.Effect<Settings> =>
  Effect.map(openMillis(policy.openFor), (openMillis): Settings => {
    const trip = tripOf(policy.trip)
    const probes = typeof policy.probes === "number" ? { count: policy.probes } : (policy.probes ?? {})
    const count = probes.count ?? 1
    const window = trip.window ?? { calls: defaultWindow }
    return {
      consecutive: trip.consecutive ?? 0,
      failureRate: trip.failureRate ?? never,
      slowRate: trip.slowRate ?? never,
      slowMillis: millis(trip.slowerThan ?? Duration.infinity),
      window: "calls" in window ? { kind: "calls", size: window.calls } : { kind: "time", millis: millis(window.time) },
      minimumCalls: trip.minimumCalls ?? ("calls" in window ? Math.min(10, window.calls) : 10),
      groupStreak: trip.perBatch ?? true,
      groupWindow: trip.perBatch ?? false,
      openMillis,
      retryAfterCapMillis: millis(policy.retryAfterCap ?? defaultCap),
      probes: count,
      probeFailures: probes.mayFail ?? 0,
      probeConcurrency: probes.atOnce ?? count,
      leaseMillis: millis(policy.lease ?? lease),
      halfOpenMillis: policy.halfOpen === undefined ? 0 : millis(policy.halfOpen.atMost),
      halfOpenBecomes: policy.halfOpen?.become ?? "open",
      metricsOnly: policy.metricsOnly ?? false
    }
  })

/**
 * Lays `policy` over `under`, field by field; a `trip` is taken as a whole.
 *
 * @internal
 */
export const resolve = (
  policy: CircuitBreakerPolicy | false | undefined,
  under: CircuitBreakerPolicy | false
): CircuitBreakerPolicy | false => {
  if (policy === undefined) return under
  if (policy === false || under === false) return policy
  // What is there but undefined decides nothing.
  return { ...under, ...Record.filter<string, unknown>({ ...policy }, Predicate.isNotUndefined) }
}

/**
 * Throws `InvalidDefinition` for the first field that is wrong.
 *
 * @internal
 */
export const checkPolicy = (policy: CircuitBreakerPolicy, subject: string): void =>
  checkAgainst(CircuitBreakerData, checkable(policy), subject, "circuitBreaker")

/** The policy in the one shape its schema knows. */
export const checkable = (policy: CircuitBreakerPolicy) => ({
  ...policy,
  probes: typeof policy.probes === "number" ? { count: policy.probes } : policy.probes
})

const refused = (job: Job) => (error: CircuitOpen) => Failed.of(error, job.definition)

/**
 * Fails where the circuit lets nothing through now.
 *
 * @internal
 */
export const check = (job: Job): Effect.Effect<void, Failed.Failed> =>
  job.guards.breaker === undefined ? Effect.void : Effect.mapError(job.guards.breaker.check, refused(job))

const shownCause = 200

/** A word on a failure for the log, in one line and without secrets. */
const causeOf = ({ error }: Failed.Failed): string => {
  const text =
    error._tag === "ToolFailure" ? describeFailure(error.failure, undefined) : `${error._tag}: ${error.message}`
  return withoutSecrets(clip(text.replaceAll(/\s+/g, " "), shownCause))
}

const success: Outcome = { _tag: "Success" }

/**
 * What a failed execution says of the dependency. Only the tool's own faults count against it: not those of the model or of
 * the runner, not an interruption, and not the deadline of a call or batch that began long before.
 */
const outcomeOf = (job: Job, exit: Exit.Failure<unknown, Failed.Failed>, group: string): Outcome => {
  const failed = Option.getOrUndefined(Cause.failureOption(exit.cause))
  if (failed === undefined || failed.fault.owner !== "tool") return { _tag: "Ignored" }
  if (failed.error._tag === "Timeout" && failed.error.kind !== "attempt" && failed.error.kind !== "idle") {
    return { _tag: "Ignored" }
  }
  return { _tag: "Failure", retryAfter: failed.fault.retryAfter, cause: causeOf(failed), group }
}

/**
 * Lets one execution through to `use`, which is given the permit; none where there is no breaker. Called where
 * interruption is masked; where the circuit lets nothing through, what `leave` gives is run.
 *
 * @internal
 */
export const acquire = <A>(
  job: Job,
  leave: () => Effect.Effect<unknown>,
  restore: Restore,
  use: (permit: Permit | undefined) => Effect.Effect<A, Failed.Failed>
): Effect.Effect<A, Failed.Failed> => {
  const { guards, shared } = job
  const { breaker } = guards
  if (breaker === undefined) return use(undefined)
  return Through.admit(breaker, restore, shared.time, use, (cause) =>
    Effect.zipRight(leave(), Effect.failCause(Cause.map(cause, refused(job))))
  )
}

/**
 * Tells the breaker how an execution ended, the call's `number`th, and goes on with `then`.
 *
 * @internal
 */
export const record = <A, E>(
  job: Job,
  permit: Permit | undefined,
  number: number,
  exit: Exit.Exit<unknown, Failed.Failed>,
  then: Effect.Effect<A, E>
): Effect.Effect<A, E> => {
  const { guards, shared } = job
  if (permit === undefined || guards.breaker === undefined) return then
  // Parallel calls of a batch meet the same trouble at the same time; their next attempts are a trouble of their own.
  const outcome = Exit.isSuccess(exit) ? success : outcomeOf(job, exit, `${shared.batchId}/${number}`)
  return Through.record(guards.breaker, permit, outcome, shared.time, then)
}
