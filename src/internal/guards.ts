/** What the calls of a tool share for as long as the runner lives: its breaker, slots, budgets, cache. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Bulkhead from "../policies/Bulkhead.ts"
import * as Cache from "../policies/Cache.ts"
import * as RateLimit from "../policies/RateLimit.ts"
import type * as CircuitBreaker from "../services/CircuitBreaker.ts"
import type * as RateLimiter from "../services/RateLimiter.ts"
import type * as Tool from "../Tool.ts"
import * as Budget from "./budget.ts"
import * as Latencies from "./latencies.ts"
import type { Resolved } from "./resolve.ts"

export interface Guards {
  readonly breaker: CircuitBreaker.Breaker | undefined
  readonly rateLimit:
    | {
        readonly limiter: RateLimiter.RateLimiter["Type"]
        readonly key: string
        readonly settings: RateLimit.Settings
        readonly request: ReturnType<typeof RateLimit.request>
      }
    | undefined
  readonly bulkhead: Bulkhead.Bulkhead | undefined
  readonly retryBudget: Budget.Budget | undefined
  readonly hedge: { readonly latencies: Latencies.Latencies; readonly budget: Budget.Budget } | undefined
  readonly cache: Cache.Cache | undefined
}

/** The services of the outside world that guards stand on. */
export interface Services {
  readonly breakers: CircuitBreaker.CircuitBreaker["Type"]
  readonly limiter: RateLimiter.RateLimiter["Type"]
}

/** Whatever is made first under a name is what all others get. */
const named = <A, Options>(make: (options: Options) => Effect.Effect<A>) => {
  const made = new Map<string, A>()
  return (name: string, options: Options): Effect.Effect<A> => {
    const known = made.get(name)
    if (known !== undefined) return Effect.succeed(known)
    return Effect.map(make(options), (fresh) => {
      // Another batch may have made it meanwhile.
      const first = made.get(name) ?? fresh
      made.set(name, first)
      return first
    })
  }
}

const none = Effect.succeed(undefined)

const budgetMillis = 10_000

/** Makes the guards of tools. One for each `ToolRunner`. */
export const registry = () => {
  const pool = named((bulkhead: NonNullable<Resolved["bulkhead"]>) =>
    Effect.sync(() => Bulkhead.make({ capacity: bulkhead.limit, maxQueue: bulkhead.queue }))
  )
  const retryBudget = named((budget: { readonly ratio: number; readonly floor: number; readonly cap: number }) =>
    Effect.sync(() => Budget.make({ ...budget, floorMillis: budgetMillis }))
  )
  const hedgeBudget = named((ratio: number) =>
    Effect.sync(() => Budget.make({ ratio, floor: 1, floorMillis: budgetMillis, cap: 10 }))
  )
  const latencies = named(() => Effect.sync(Latencies.make))
  // Not by name: another tool of the same name gives other answers.
  const caches = new WeakMap<Tool.Definition, Cache.Cache>()
  const cacheOf = (definition: Tool.Definition, policy: NonNullable<Resolved["cache"]>): Cache.Cache => {
    const cache = caches.get(definition) ?? Cache.make(policy)
    caches.set(definition, cache)
    return cache
  }

  const make = (definition: Tool.Definition, policy: Resolved, services: Services): Effect.Effect<Guards> =>
    Effect.gen(function* () {
      const { name } = definition
      const { bulkhead, circuitBreaker, hedge, rateLimit } = policy
      const isRead = definition.effects === "read"
      const dependency = (circuitBreaker === false ? undefined : circuitBreaker.name) ?? name
      const lease = Duration.millis(policy.attemptMillis + policy.graceMillis)
      return {
        breaker:
          circuitBreaker === false
            ? undefined
            : yield* services.breakers.get(
                dependency,
                circuitBreaker,
                Number.isFinite(policy.attemptMillis) ? lease : undefined
              ),
        rateLimit:
          rateLimit === false
            ? undefined
            : {
                limiter: services.limiter,
                key: rateLimit.name ?? name,
                settings: RateLimit.settings(rateLimit),
                request: RateLimit.request(rateLimit)
              },
        bulkhead: yield* bulkhead === undefined ? none : pool(bulkhead.pool ?? `tool ${name}`, bulkhead),
        retryBudget: yield* policy.retry?.budget === undefined ? none : retryBudget(dependency, policy.retry.budget),
        hedge:
          hedge !== undefined && isRead
            ? { latencies: yield* latencies(name, undefined), budget: yield* hedgeBudget(name, hedge.budget) }
            : undefined,
        cache: policy.cache === undefined || !isRead ? undefined : cacheOf(definition, policy.cache)
      }
    })
  return { make }
}
