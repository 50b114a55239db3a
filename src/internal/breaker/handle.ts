/** From a stored state machine to the breaker its users hold: errors, metrics, waiting for it to open. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equivalence from "effect/Equivalence"
import * as FiberRef from "effect/FiberRef"
import * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import type * as Scope from "effect/Scope"
import * as Policy from "../../policies/CircuitBreaker.ts"
import { now } from "../../policies/Timeout.ts"
import type { Breaker, Outcome, Status, Transition } from "../../services/CircuitBreaker.ts"
import { CircuitOpen } from "../../ToolError.ts"
import type * as Look from "./look.ts"
import type { Restore } from "../job.ts"
import type * as Machine from "./machine.ts"
import type { Settings } from "./settings.ts"

/** What a store offers for one breaker. None of it fails: a store that cannot be reached decides on its own. */
export interface Stored {
  readonly check: Effect.Effect<Machine.Rejected | undefined>
  /** Called where interruption is masked. */
  readonly admit: (restore: Restore, at?: number) => Effect.Effect<Machine.Verdict>
  /** Called where interruption is masked. `at` is the time on the monotonic clock, where it is known already. */
  readonly record: (permit: Machine.Permit, outcome: Machine.Outcome, at?: number) => Effect.Effect<void>
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
 * which is most of what an error costs, and without checking its own fields again.
 */
const refusal = (breaker: string, { lastFailure, mode, retryAfterMillis }: Machine.Rejected): CircuitOpen => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  const error = new CircuitOpen(
    { breaker, mode, retryAfter: optional(retryAfterMillis), lastFailure },
    { disableValidation: true }
  )
  Error.stackTraceLimit = limit
  return error
}

/** A permit whose outcome no era takes: of a call that is let through although the circuit is open. */
const shadow = (startedAt: number): Machine.Permit => ({ era: -1, token: undefined, startedAt })

const make = Effect.fnUntraced(function* (
  name: string,
  settings: Settings,
  store: Make,
  publish: (transition: Transition) => Effect.Effect<unknown>
) {
  const gauge = Metric.tagged(stateGauge, "breaker", name)
  const moved = Metric.tagged(transitions, "breaker", name)
  // Made once: Effect finds a metric by their identity.
  const labels = [MetricLabel.make("breaker", name)]
  // A breaker has one state, whatever labels there are around the call that changes it.
  const setLevel = (mode: Machine.Mode) =>
    Effect.locally(Metric.set(gauge, levels[mode]), FiberRef.currentMetricLabels, [])
  const { opened, wake } = waiters()

  const stored = yield* store(name, settings, (transition) =>
    Effect.zipRight(
      Effect.sync(() => {
        if ((transition.to === "Open" || transition.to === "Isolated") && !settings.metricsOnly) wake()
      }),
      Effect.all([setLevel(transition.to), Metric.increment(moved), publish({ breaker: name, ...transition })], {
        discard: true
      })
    )
  )
  yield* setLevel("Closed")
  yield* Metric.incrementBy(moved, 0)

  const refuse = (rejected: Machine.Rejected): Effect.Effect<never, CircuitOpen> => {
    rejections.unsafeUpdate(1, labels)
    return Effect.fail(refusal(name, rejected))
  }

  const check = Effect.flatMap(stored.check, (rejected) => (rejected === undefined ? Effect.void : refuse(rejected)))

  const admit: Breaker["admit"] = (restore, at) =>
    Effect.flatMap(stored.admit(restore, at), (verdict) =>
      verdict._tag === "Admitted"
        ? Effect.succeed(verdict.permit)
        : settings.metricsOnly
          ? Effect.map(now, shadow)
          : refuse(verdict)
    )

  const breaker: Breaker = {
    name,
    check: settings.metricsOnly ? Effect.void : check,
    admit,
    record: (permit, outcome, at) => stored.record(permit, toOutcome(outcome), at),
    opened: settings.metricsOnly ? Effect.never : opened,
    state: Effect.map(stored.status, toStatus),
    isolate: stored.isolate,
    reset: stored.reset,
    snapshot: stored.snapshot,
    restore: stored.restore
  }
  return breaker
})

interface Known {
  readonly breaker: Breaker
  readonly settings: Settings
  /** As it was first given: whoever comes with the very same need not be compared. */
  readonly policy: Policy.CircuitBreakerPolicy | undefined
}

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
          return found === undefined
            ? Effect.map(make(name, settings, store, publish), (breaker) => {
                known.set(name, { breaker, settings, policy })
                return breaker
              })
            : Effect.succeed(found.breaker)
        })
      )

    const decide = Effect.fnUntraced(function* (
      name: string,
      policy: Policy.CircuitBreakerPolicy | undefined,
      lease: Duration.Duration | undefined
    ) {
      Policy.checkPolicy(policy ?? {}, `CircuitBreaker ${JSON.stringify(name)}`)
      const settings = yield* Policy.settings(policy ?? {}, lease)
      const found = known.get(name)
      if (found === undefined) return yield* madeOnce(name, settings, policy)
      if (!same(found.settings, settings)) {
        yield* Effect.logWarning(`The circuit breaker ${name} already has another policy, which stays`)
      }
      return found.breaker
    })

    return (name, policy, lease) =>
      Effect.suspend(() => {
        const found = known.get(name)
        return found !== undefined && (policy === undefined || policy === found.policy)
          ? Effect.succeed(found.breaker)
          : decide(name, policy, lease)
      })
  })
