/** What all breakers of one connection have in common. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Random from "effect/Random"
import { pid } from "node:process"
import type { Make } from "../../internal/breaker/handle.ts"
import type { Service } from "../Redis.ts"
import * as Breaker from "./breaker.ts"
import * as Health from "./health.ts"
import * as Line from "./line.ts"

/** All decided, in milliseconds. */
export interface Options {
  readonly maxStaleness: number
  readonly storeTimeout: number
  readonly flush: number
  readonly idleTimeToLive: number
  readonly quorum: number
  readonly quorumWindow: number
  readonly maxPending: number
  readonly isolationLease: number
  readonly retryBase: number
  readonly retryCap: number
  /**
   * For tests: the script takes its time from the caller's `Clock`, and every step waits for its answer, so that it can
   * be driven under a `TestClock`.
   */
  readonly clientClock: boolean
}

export interface Store {
  readonly options: Options
  readonly health: Health.Health
  readonly nextToken: () => string
  /** Runs behind the caller. */
  readonly behind: (effect: Effect.Effect<void>) => Effect.Effect<void>
  /** The same for what is no loss where the store is closed before it has happened. */
  readonly later: (effect: Effect.Effect<void>) => Effect.Effect<void>
}

/** Names this process among all that share a breaker. */
const instance = Effect.map(
  Effect.all([Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER), Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER)]),
  (parts) => [pid, ...parts].map((part) => part.toString(36)).join("-")
)

export const make = Effect.fnUntraced(function* (redis: Service, options: Options) {
  const scope = yield* Effect.scope
  const name = yield* instance
  const sends = yield* FiberSet.make()
  const drains = new Set<Effect.Effect<void>>()
  const timeout = Duration.millis(options.storeTimeout)
  let tokens = 0

  const store: Store = {
    options,
    health: Health.make({ base: options.retryBase, cap: options.retryCap, what: "circuit breakers" }),
    nextToken: () => `${name}:${++tokens}`,
    behind: (effect) =>
      options.clientClock ? effect : Effect.asVoid(FiberSet.run(sends, Effect.interruptible(effect))),
    later: (effect) => Effect.asVoid(Effect.forkIn(Effect.interruptible(effect), scope))
  }

  const drain = Effect.zipRight(Effect.all(drains, { discard: true }), FiberSet.awaitEmpty(sends)).pipe(
    Effect.timeoutOption(timeout),
    Effect.interruptible
  )
  // In a fiber of its own: where the closing fiber was interrupted, nothing in it can be cut short any more.
  yield* Effect.addFinalizer(() => Effect.flatMap(Effect.forkDaemon(drain), Fiber.await))

  const breaker: Make = (breaker, settings, notify) =>
    Effect.sync(() => {
      const context = {
        settings,
        idleMillis: options.idleTimeToLive,
        quorum: options.quorum,
        quorumMillis: options.quorumWindow,
        instance: name
      }
      const made = Breaker.make(store, Line.make(redis, breaker, context, timeout), breaker, settings, notify)
      drains.add(made.drain)
      return made.stored
    })
  return breaker
})
