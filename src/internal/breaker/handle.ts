/** From a stored state machine to the breaker its users hold: errors, metrics, waiting for it to open. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Equivalence from "effect/Equivalence"
import * as FiberRef from "effect/FiberRef"
import * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import type * as Scope from "effect/Scope"
import { structuralRegion } from "effect/Utils"
import * as Policy from "../../policies/CircuitBreaker.ts"
import { now } from "../../policies/Timeout.ts"
import type { Breaker, Outcome, Status, Transition } from "../../services/CircuitBreaker.ts"
import { CircuitOpen } from "../../ToolError.ts"
import * as AtOnce from "../atOnce.ts"
import type * as Look from "./look.ts"
import type { Restore } from "../job.ts"
import type * as Machine from "./machine.ts"
import type { Settings } from "./settings.ts"

/**
 * Offered by a store whose state is at hand: a step of the machine and what follows it as one effect, which takes the
 * fiber fewer steps. To be run where interruption is masked.
 */
export interface AtHand {
  readonly admit: <A, E, R>(
    time: () => number,
    then: (verdict: Machine.Verdict) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
  readonly record: <A, E>(
    permit: Machine.Permit,
    outcome: Machine.Outcome,
    time: () => number,
    then: Effect.Effect<A, E>
  ) => Effect.Effect<A, E>
}

/** What a store offers for one breaker. None of it fails: a store that cannot be reached decides on its own. */
export interface Stored {
  /** From now on it goes by other settings. What the first ones have counted stays. */
  readonly obey: (settings: Settings) => void
  readonly check: Effect.Effect<Machine.Rejected | undefined>
  /**
   * Called where interruption is masked. `time` reads the monotonic clock in milliseconds, for those who have it at
   * hand: given it, the step may be taken when this is called, so that the effect is to be run, and once. What is
   * answered at once is an `Exit`, which costs the fiber nothing.
   */
  readonly admit: (restore: Restore, time?: () => number) => Effect.Effect<Machine.Verdict>
  /** The same. */
  readonly record: (permit: Machine.Permit, outcome: Machine.Outcome, time?: () => number) => Effect.Effect<void>
  readonly atHand?: AtHand | undefined
  readonly status: Effect.Effect<Look.Status>
  readonly isolate: Effect.Effect<void, never, Scope.Scope>
  readonly reset: Effect.Effect<void>
  readonly snapshot: Effect.Effect<Look.Snapshot>
  readonly restore: (snapshot: Look.Snapshot) => Effect.Effect<void>
}

/** Told of every change of mode. */
export type Notify = (transition: Omit<Transition, "breaker">) => Effect.Effect<void>

export type Make = (name: string, settings: Settings, notify: Notify) => Effect.Effect<Stored>

/** For a store: the change from one state to another, as it is told. */
export const transition = (from: Machine.Mode, to: Machine.State): Omit<Transition, "breaker"> => ({
  from,
  to: to.mode,
  reason: to.reason,
  counts: to.decidedBy,
  lastFailure: to.lastFailure
})

const stateGauge = Metric.gauge("salvo_circuit_breaker_state", {
  description: "0 closed, 1 half-open, 2 open, 3 isolated"
})

const transitions = Metric.counter("salvo_circuit_breaker_transitions", { incremental: true })

const rejections = Metric.counter("salvo_circuit_breaker_rejections", { incremental: true })

const levels = { Closed: 0, HalfOpen: 1, Open: 2, Isolated: 3 } as const

const optional = (millis: number | undefined): Duration.Duration | undefined =>
  millis === undefined ? undefined : Duration.millis(millis)

const toStatus = ({ mode, retryAfterMillis, ...rest }: Look.Status): Status => ({
  mode,
  retryAfter: optional(retryAfterMillis),
  ...rest
})

const toOutcome = (outcome: Outcome): Machine.Outcome =>
  outcome._tag === "Failure"
    ? {
        _tag: "Failure",
        retryAfterMillis: outcome.retryAfter === undefined ? 0 : Duration.toMillis(outcome.retryAfter),
        cause: outcome.cause,
        group: outcome.group
      }
    : outcome

/** Those who wait for the circuit to open: callers in a queue behind it. */
const waiters = () => {
  const waiting = new Set<() => void>()
  const opened = Effect.async<void>((resume) => {
    const wake = () => resume(Effect.void)
    waiting.add(wake)
    return Effect.sync(() => waiting.delete(wake))
  })
  const wake = () => {
    for (const resume of waiting) resume()
    waiting.clear()
  }
  return { opened, wake }
}

/**
 * An open circuit makes very many of them, and where in Salvo that happened tells nobody anything: without the stack,
 * and without what a class of `Schema` does to its fields, which are most of what such an error costs. Otherwise it is
 * what `new CircuitOpen` makes.
 */
const refusal = (breaker: string, { lastFailure, mode, retryAfterMillis }: Machine.Rejected): CircuitOpen => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  // An `Error` of the class that is named last.
  const error = Reflect.construct(Error, [], CircuitOpen) as CircuitOpen
  Error.stackTraceLimit = limit
  return Object.assign(error, {
    breaker,
    mode,
    retryAfter: optional(retryAfterMillis),
    lastFailure,
    _tag: "CircuitOpen" as const
  })
}

/** A permit whose outcome no era takes: of a call that is let through although the circuit is open. */
const shadow = (startedAt: number): Machine.Permit => ({ era: -1, token: undefined, startedAt })

/** A breaker, with what only Salvo's own calls go through. */
export interface Handle extends Breaker {
  /** As `admit` and `record`, for a store whose state is at hand. */
  readonly through: Through | undefined
}

interface Through {
  readonly admit: <A, E, R>(
    time: () => number,
    use: (permit: Machine.Permit) => Effect.Effect<A, E, R>,
    refuse: (error: CircuitOpen) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
  readonly record: <A, E>(
    permit: Machine.Permit,
    outcome: Outcome,
    time: () => number,
    then: Effect.Effect<A, E>
  ) => Effect.Effect<A, E>
}

interface Made {
  readonly breaker: Handle
  readonly obey: (settings: Settings) => void
}

const make = Effect.fnUntraced(function* (
  name: string,
  first: Settings,
  store: Make,
  publish: (transition: Transition) => Effect.Effect<unknown>
) {
  let { metricsOnly } = first
  const gauge = Metric.tagged(stateGauge, "breaker", name)
  const moved = Metric.tagged(transitions, "breaker", name)
  // Made once: Effect finds a metric by their identity.
  const labels = [MetricLabel.make("breaker", name)]
  // A breaker has one state, whatever labels there are around the call that changes it.
  const setLevel = (mode: Machine.Mode) =>
    Effect.locally(Metric.set(gauge, levels[mode]), FiberRef.currentMetricLabels, [])
  const { opened, wake } = waiters()

  const stored = yield* store(name, first, (transition) =>
    Effect.zipRight(
      Effect.sync(() => {
        if ((transition.to === "Open" || transition.to === "Isolated") && !metricsOnly) wake()
      }),
      Effect.all([setLevel(transition.to), Metric.increment(moved), publish({ breaker: name, ...transition })], {
        discard: true
      })
    )
  )
  yield* setLevel("Closed")
  yield* Metric.incrementBy(moved, 0)

  const refused = (rejected: Machine.Rejected): CircuitOpen => {
    rejections.unsafeUpdate(1, labels)
    return refusal(name, rejected)
  }

  const checked = Effect.flatMap(stored.check, (rejected) =>
    rejected === undefined ? Effect.void : Effect.fail(refused(rejected))
  )

  const obeyed = <A, E, R>(
    verdict: Machine.Verdict,
    use: (permit: Machine.Permit) => Effect.Effect<A, E, R>,
    refuse: (error: CircuitOpen) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> => {
    if (verdict._tag === "Admitted") return use(verdict.permit)
    return metricsOnly ? Effect.flatMap(now, (time) => use(shadow(time))) : refuse(refused(verdict))
  }

  const answer = (verdict: Machine.Verdict): Effect.Effect<Machine.Permit, CircuitOpen> =>
    obeyed<Machine.Permit, CircuitOpen, never>(verdict, Effect.succeed, Effect.fail)

  const { atHand } = stored
  const through: Through | undefined = atHand && {
    admit: (time, use, refuse) => atHand.admit(time, (verdict) => obeyed(verdict, use, refuse)),
    record: (permit, outcome, time, then) => atHand.record(permit, toOutcome(outcome), time, then)
  }

  const breaker: Handle = {
    name,
    through,
    check: Effect.suspend(() => (metricsOnly ? Effect.void : checked)),
    admit: (restore, time) => AtOnce.flatMap(stored.admit(restore, time), answer),
    record: (permit, outcome, time) => stored.record(permit, toOutcome(outcome), time),
    opened,
    state: Effect.map(stored.status, toStatus),
    isolate: stored.isolate,
    reset: stored.reset,
    snapshot: stored.snapshot,
    restore: stored.restore
  }
  const made: Made = {
    breaker,
    obey: (settings) => {
      metricsOnly = settings.metricsOnly
      stored.obey(settings)
    }
  }
  return made
})

interface Known extends Made {
  /** The breaker, as an effect that is done. */
  readonly there: Effect.Effect<Breaker>
  settings: Settings
  /** As it was first given. Missing while nobody gave one. */
  policy: Policy.CircuitBreakerPolicy | undefined
}

/** Whether two policies are written alike: nothing has to be worked out then, for a policy that is made with every call. */
const isAlike = (one: Policy.CircuitBreakerPolicy, other: Policy.CircuitBreakerPolicy | undefined): boolean =>
  one === other || structuralRegion(() => Equal.equals(one, other))

/** Two policies say the same where all they decide is the same. The lease follows from who uses the breaker. */
const same = Equivalence.mapInput(Equivalence.string, (settings: Settings) =>
  JSON.stringify({ ...settings, leaseMillis: 0 })
)

/** One breaker per name, made when it is first asked for. */
export const registry = (
  store: Make,
  publish: (transition: Transition) => Effect.Effect<unknown>
): Effect.Effect<
  (name: string, policy?: Policy.CircuitBreakerPolicy, lease?: Duration.Duration) => Effect.Effect<Breaker>
> =>
  Effect.map(Effect.makeSemaphore(1), (making) => {
    const known = new Map<string, Known>()

    const madeOnce = (name: string, settings: Settings, policy: Policy.CircuitBreakerPolicy | undefined) =>
      making.withPermits(1)(
        Effect.suspend(() => {
          const found = known.get(name)
          if (found !== undefined) return Effect.succeed(found)
          return Effect.map(make(name, settings, store, publish), (made) => {
            const fresh: Known = { ...made, there: Effect.succeed(made.breaker), settings, policy }
            known.set(name, fresh)
            return fresh
          })
        })
      )

    const decide = Effect.fnUntraced(function* (
      name: string,
      policy: Policy.CircuitBreakerPolicy | undefined,
      lease: Duration.Duration | undefined
    ) {
      Policy.checkPolicy(policy ?? {}, `CircuitBreaker ${JSON.stringify(name)}`)
      const settings = yield* Policy.settings(policy ?? {}, lease)
      const found = known.get(name) ?? (yield* madeOnce(name, settings, policy))
      if (policy === undefined || isAlike(policy, found.policy)) return found.breaker
      if (found.policy === undefined) {
        found.policy = policy
        found.settings = settings
        found.obey(settings)
      } else if (!same(found.settings, settings)) {
        yield* Effect.logWarning(`The circuit breaker ${name} already has another policy, which stays`)
      }
      return found.breaker
    })

    return (name, policy, lease) => {
      const found = known.get(name)
      return found !== undefined && (policy === undefined || isAlike(policy, found.policy))
        ? found.there
        : Effect.suspend(() => decide(name, policy, lease))
    }
  })
