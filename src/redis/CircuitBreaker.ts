/**
 * Circuit breakers that many processes share: what one has found dead, none of the others calls.
 *
 * **What it costs.** No round trip while the circuit is closed and the view of it is fresh, or while it is open; one
 * where the view is older than `maxStaleness`, and for every probe. Outcomes travel behind the caller.
 *
 * **When Redis is slow or gone**, every process goes on with a breaker of its own, from the state it last saw: no call
 * fails or waits because of it for longer than `storeTimeout`. Redis is then left alone for a while that grows, and one
 * call at a time finds out whether it is back. A circuit that this process opened meanwhile stays open until its time is
 * up.
 *
 * **What is seen when.** A process sees its own failures at once, those of others with its next question: after
 * `maxStaleness`, or when the time is up that it knows the circuit to be open for; a `reset` by another process, too.
 *
 * **Which clock.** The server's, and durations on the way to the clients: no client's clock matters.
 *
 * **One bad node.** With `quorum` 2 or more, the failures of a single process open its own circuit only; the shared one
 * opens where so many processes have seen failures. Recommended for fleets.
 *
 * @since 0.1.0
 */
import type { ConfigError } from "effect/ConfigError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as CircuitBreaker from "../services/CircuitBreaker.ts"
import { decided } from "./internal/options.ts"
import * as Store from "./internal/store.ts"
import * as Redis from "./Redis.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How old the view of a closed circuit may be that a call is let through by. Default: 1 second. */
  readonly maxStaleness?: Duration.DurationInput | undefined
  /** How long a call waits for Redis at most. Default: 50 milliseconds. */
  readonly storeTimeout?: Duration.DurationInput | undefined
  /** How long successes are gathered before they are sent; failures are sent at once. Default: 100 milliseconds. */
  readonly flush?: Duration.DurationInput | undefined
  /** How long a breaker's keys are kept after their last use, beyond what they tell of. Default: 1 hour. */
  readonly idleTimeToLive?: Duration.DurationInput | undefined
  /** How many processes have to see failures for the shared circuit to open. Default: 1. */
  readonly quorum?: number | undefined
  /** Within how long. Default: 1 minute. */
  readonly quorumWindow?: Duration.DurationInput | undefined
  /** How many outcomes of one breaker may be on their way; the newest beyond are dropped and counted. Default: 1000. */
  readonly maxPending?: number | undefined
  /** How long `isolate` outlives a process that dies without releasing it. Default: 30 seconds. */
  readonly isolationLease?: Duration.DurationInput | undefined
  /** How long Redis is left alone after it failed: doubled each time up to `to`, with jitter. Default: 100 ms, 10 s. */
  readonly backOff?: { readonly from: Duration.DurationInput; readonly to: Duration.DurationInput } | undefined
}

/**
 * Keeps the state of breakers in Redis. Throws `InvalidDefinition` for an option that is wrong.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStore = (
  options: Options = {}
): Layer.Layer<CircuitBreaker.CircuitBreakerStore, never, Redis.Redis> => {
  const all = decided(options)
  return Layer.scoped(
    CircuitBreaker.CircuitBreakerStore,
    Effect.flatMap(Redis.Redis, (redis) => Effect.map(Store.make(redis, all), (make) => ({ make })))
  )
}

/**
 * Breakers that are shared through Redis.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<CircuitBreaker.CircuitBreaker, never, Redis.Redis> =>
  Layer.provide(CircuitBreaker.layer, layerStore(options))

/**
 * The same with a connection of its own, whose URL comes from the configuration. Default: `REDIS_URL`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = ({
  redis,
  ...options
}: Options & { readonly redis?: Parameters<typeof Redis.layerConfig>[0] } = {}): Layer.Layer<
  CircuitBreaker.CircuitBreaker,
  ConfigError
> => Layer.provide(layer(options), Redis.layerConfig(redis))
