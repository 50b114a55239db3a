/**
 * A circuit breaker: leaves a dependency alone that keeps failing, and finds out carefully when it is back.
 *
 * **Closed**: calls go through and are counted. **Open**: calls fail at once with `CircuitOpen`, until `openFor` is
 * over. **Half-open**: a few calls go through as probes, all others fail at once; the probes decide. **Isolated**: by
 * hand, until it is released.
 *
 * What happens to calls in flight: a call that was let through before the circuit changed is not interrupted, and its
 * outcome no longer counts. A probe holds its slot under a lease: one that hangs loses it, one that is interrupted gives
 * it back. Outcomes are three: success, failure, and ignored, for what says nothing about the dependency.
 *
 * No timers and no background fibers: time is looked at when a call comes.
 *
 * The vocabulary (`execute`, `Success | Failure | Ignored`, a store with `admit`, `record`, `state`) is that of Effect
 * 4's own breaker, so that moving there is a rename.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as AtOnce from "../internal/atOnce.ts"
import * as Execute from "../internal/breaker/execute.ts"
import * as Handle from "../internal/breaker/handle.ts"
import { tellEvents } from "../internal/breaker/events.ts"
import type * as Look from "../internal/breaker/look.ts"
import type * as Machine from "../internal/breaker/machine.ts"
import * as Memory from "../internal/breaker/memory.ts"
import type { Settings } from "../internal/breaker/settings.ts"
import type { CircuitBreakerPolicy } from "../policies/CircuitBreaker.ts"
import type { CircuitOpen } from "../ToolError.ts"
import { BatchEvents } from "./BatchEvents.ts"

export {
  /**
   * @since 0.1.0
   * @category errors
   */
  CircuitOpen
} from "../ToolError.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type Mode = Machine.Mode

/**
 * How a call through the breaker ended, as far as the dependency is concerned. `Ignored` says nothing about it: the
 * caller gave up, or the request was wrong. `group` names failures that may count as one.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome =
  | { readonly _tag: "Success" }
  | {
      readonly _tag: "Failure"
      /** How long the dependency asked to be left alone. */
      readonly retryAfter?: Duration.DurationInput | undefined
      /** A word for `CircuitOpen.lastFailure`. */
      readonly cause?: string | undefined
      readonly group?: string | undefined
    }
  | { readonly _tag: "Ignored" }

/**
 * A change of mode, as this process saw it. `counts` are those the change was decided by.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transition {
  readonly breaker: string
  readonly from: Mode
  readonly to: Mode
  readonly reason: Machine.Reason
  readonly counts: { readonly calls: number; readonly failures: number; readonly slow: number }
  readonly lastFailure: string | undefined
}

/**
 * What is known of a breaker at a moment. Rates are `undefined` while there were too few calls to say.
 *
 * @since 0.1.0
 * @category models
 */
export interface Status extends Omit<Look.Status, "retryAfterMillis"> {
  readonly retryAfter: Duration.Duration | undefined
}

/**
 * What an admitted call hands back together with its outcome.
 *
 * @since 0.1.0
 * @category models
 */
export type Permit = Machine.Permit

const Amount = Schema.Finite.pipe(Schema.nonNegative())

/**
 * A breaker's state as plain data, without any moment of a clock: to be stored, and restored by another process.
 *
 * @since 0.1.0
 * @category models
 */
export const Snapshot: Schema.Schema<Look.Snapshot> = Schema.Struct({
  mode: Schema.Literal("Closed", "Open"),
  remainingMillis: Amount,
  openings: Schema.NonNegativeInt,
  streak: Schema.NonNegativeInt,
  ring: Schema.String,
  buckets: Schema.Array(Schema.Struct({ id: Schema.Int, calls: Amount, failures: Amount, slow: Amount })),
  lastFailure: Schema.UndefinedOr(Schema.String)
})

/**
 * @since 0.1.0
 * @category models
 */
export type Snapshot = Look.Snapshot

/**
 * A breaker of one dependency.
 *
 * @since 0.1.0
 * @category models
 */
export interface Breaker {
  readonly name: string
  /** Fails where a call would be turned away now. Takes no probe's slot and asks no server. */
  readonly check: Effect.Effect<void, CircuitOpen>
  /**
   * Lets a call through. Whoever got a permit has to `record` an outcome for it, whatever happens; so it has to be
   * called where interruption is masked, with that mask's `restore`. `execute` does all that. `time` reads the
   * monotonic clock in milliseconds, for those who have it at hand: given it, the step may be taken when this is called,
   * so that the effect has to be run, and once; one that is an `Exit` already needs no run.
   */
  readonly admit: (
    restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
    time?: () => number
  ) => Effect.Effect<Permit, CircuitOpen>
  /** What became of a call that was let through. To be called where interruption is masked; `time` as above. */
  readonly record: (permit: Permit, outcome: Outcome, time?: () => number) => Effect.Effect<void>
  /** Waits until the circuit opens, or is isolated. */
  readonly opened: Effect.Effect<void>
  readonly state: Effect.Effect<Status>
  /** Takes the dependency out of service until the scope is closed; several may hold it so at once. */
  readonly isolate: Effect.Effect<void, never, Scope.Scope>
  /** Closes the circuit and forgets all outcomes; isolation stays. */
  readonly reset: Effect.Effect<void>
  /** The state as plain data, for another process to `restore`. Of a store that is shared: this process's own view. */
  readonly snapshot: Effect.Effect<Snapshot>
  /** Takes over the state of another process, or an earlier one. */
  readonly restore: (snapshot: Snapshot) => Effect.Effect<void>
}

/**
 * Where the state of breakers is kept: what a store makes for one dependency. `Handle` is internal to Salvo's stores.
 *
 * @since 0.1.0
 * @category tags
 */
export class CircuitBreakerStore extends Context.Tag("salvo/CircuitBreakerStore")<
  CircuitBreakerStore,
  {
    /** Makes the breaker of a name. `notify` is told of every change of its mode. */
    readonly make: (name: string, settings: Settings, notify: Handle.Notify) => Effect.Effect<Handle.Stored>
  }
>() {}

/**
 * @since 0.1.0
 * @category tags
 */
export class CircuitBreaker extends Context.Tag("salvo/CircuitBreaker")<
  CircuitBreaker,
  {
    /**
     * The breaker of that name. Whoever gives a policy first decides it, also for those who have the breaker already; a
     * different one later is logged and ignored. The default one holds until somebody gives one.
     */
    readonly get: (name: string, policy?: CircuitBreakerPolicy, lease?: Duration.Duration) => Effect.Effect<Breaker>
    /** Every change of mode of every breaker, from the moment of subscription on. */
    readonly transitions: Stream.Stream<Transition>
  }
>() {}

/** A listener that falls this far behind loses the oldest transitions. */
const bufferSize = 1024

/**
 * Breakers over any store. Changes of mode are told as `CircuitChanged` to the `BatchEvents` of whoever causes them, and
 * to those of this layer's own environment.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<CircuitBreaker, never, CircuitBreakerStore> = Layer.scoped(
  CircuitBreaker,
  Effect.gen(function* () {
    const store = yield* CircuitBreakerStore
    const events = yield* Effect.serviceOption(BatchEvents)
    const pubsub = yield* Effect.acquireRelease(PubSub.sliding<Transition>(bufferSize), PubSub.shutdown)
    return {
      get: yield* Handle.registry(store.make, (transition) =>
        Effect.zipRight(
          tellEvents(events, transition),
          // Calls may outlive the layer, and what they find out is then told to nobody.
          Effect.unlessEffect(PubSub.publish(pubsub, transition), PubSub.isShutdown(pubsub))
        )
      ),
      transitions: Stream.fromPubSub(pubsub)
    }
  })
)

/**
 * State in memory: for one process.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStoreMemory: Layer.Layer<CircuitBreakerStore> = Layer.succeed(CircuitBreakerStore, {
  make: Memory.make
})

/**
 * Breakers of this process alone.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<CircuitBreaker> = Layer.provide(layer, layerStoreMemory)

/**
 * @since 0.1.0
 * @category models
 */
export interface ExecuteOptions<in A, in E> {
  /** The dependency. */
  readonly key: string
  /** Left out, it goes by the policy that somebody else gives. */
  readonly policy?: CircuitBreakerPolicy | undefined
  /**
   * What an exit says of the dependency. Default: a success is a `Success`, an interruption is `Ignored`, and a failure
   * or a defect is a `Failure`.
   */
  readonly classify?: ((exit: Exit.Exit<A, E>) => Outcome) | undefined
}

/**
 * Runs any effect through the breaker of `key`. An interruption frees the slot it held and counts as nothing.
 *
 * @since 0.1.0
 * @category combinators
 */
export const execute: {
  <A, E>(
    options: ExecuteOptions<A, E>
  ): <R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CircuitOpen, R | CircuitBreaker>
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    options: ExecuteOptions<A, E>
  ): Effect.Effect<A, E | CircuitOpen, R | CircuitBreaker>
} = dual(
  2,
  <A, E, R>(effect: Effect.Effect<A, E, R>, { classify = Execute.classifyExit, key, policy }: ExecuteOptions<A, E>) =>
    Effect.withFiberRuntime<A, E | CircuitOpen, R | CircuitBreaker>((fiber, { runtimeFlags }) => {
      // What `R` names is there.
      const breakers = Context.get(fiber.currentContext as Context.Context<CircuitBreaker>, CircuitBreaker)
      const clock = Context.get(fiber.currentDefaultServices, Clock.Clock)
      return AtOnce.flatMap(breakers.get(key, policy), (breaker) =>
        Execute.execute(effect, breaker, classify, clock, runtimeFlags)
      )
    })
)
