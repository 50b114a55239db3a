/** What the tests against a real Redis share: breakers as a process has them, in real time. */
import { afterAll, assert, beforeAll } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as MetricState from "effect/MetricState"
import * as Scope from "effect/Scope"
import * as RedisCircuitBreaker from "../../src/redis/CircuitBreaker.ts"
import * as Redis from "../../src/redis/Redis.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import { type Server, server } from "./server.ts"

export type Options = RedisCircuitBreaker.Options & { readonly redis?: Redis.Options }

/** The breakers of one process more. Where nothing else is said, a busy machine is no reason to give Redis up. */
export const connect = (redis: Server, { redis: client, ...options }: Options = {}) =>
  Effect.map(
    Layer.build(
      Layer.provideMerge(
        RedisCircuitBreaker.layer({ storeTimeout: "2 seconds", ...options }),
        Redis.layer({ url: redis.url, commandTimeout: 4000, ...client })
      )
    ),
    Context.get(CircuitBreaker.CircuitBreaker)
  )

/** A server for all tests of a file. */
export const shared = (): { readonly server: Server } => {
  const scope = Effect.runSync(Scope.make())
  const held: { server?: Server } = {}
  beforeAll(async () => {
    held.server = await Effect.runPromise(Scope.extend(server(), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return {
    get server() {
      assert(held.server !== undefined)
      return held.server
    }
  }
}

/** Asks until it is so; fails where it is not after some five seconds. */
export const eventually = <A, E>(effect: Effect.Effect<A, E>, is: (a: A) => boolean): Effect.Effect<A, E> =>
  effect.pipe(
    Effect.tap((last) => (is(last) ? Effect.void : Effect.sleep("5 millis"))),
    Effect.repeat({ until: is, times: 1000 }),
    Effect.tap((last) => assert(is(last), `still ${JSON.stringify(last)}`))
  )

/** How often the script was run. */
export const scriptRuns = (redis: Server) =>
  redis.use(async (client) => {
    const info = await client.info("commandstats")
    return [...info.matchAll(/^cmdstat_eval(?:sha)?:calls=(\d+)/gm)].reduce((sum, [, calls]) => sum + Number(calls), 0)
  })

/** How many outcomes of a breaker the shared circuit never heard of. */
export const dropped = (breaker: string) =>
  Effect.map(Metric.snapshot, (pairs) =>
    pairs
      .filter(
        ({ metricKey: { name, tags } }) =>
          name.endsWith("_dropped_outcomes") && tags.some((tag) => tag.value === breaker)
      )
      .reduce(
        (sum, { metricState }) => sum + (MetricState.isCounterState(metricState) ? Number(metricState.count) : 0),
        0
      )
  )

/** In milliseconds. */
export const took = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.timed(effect), ([duration, result]) => ({ millis: Duration.toMillis(duration), result }))
