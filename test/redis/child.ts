/** A process that shares a breaker: does what its parent tells it, one order after the other, and answers. */
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as RedisCircuitBreaker from "../../src/redis/CircuitBreaker.ts"
import * as Redis from "../../src/redis/Redis.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"

export type Order = { readonly breaker: string } &
  /** Is let through so often as it can, and keeps the permits. */
  (
    | { readonly do: "admit"; readonly times: number }
    /** Records failures for all permits it keeps, at once. */
    | { readonly do: "fail" }
    /** Probes for so long, and watches how many do so at the same time in all processes. */
    | { readonly do: "probe"; readonly millis: number }
    | { readonly do: "isolate" }
    | { readonly do: "reset" }
    | { readonly do: "leave" }
  )

export interface Answer {
  readonly permits: number
  readonly probes: number
  readonly most: number
  readonly mode: CircuitBreaker.Mode
  readonly openings: number
  readonly opened: number
}

const [url = ""] = process.argv.slice(2)

const policy = { trip: { consecutive: 3 }, openFor: "100 millis", lease: "1 second" } as const

const main = Effect.gen(function* () {
  const { client } = yield* Redis.Redis
  const breakers = yield* CircuitBreaker.CircuitBreaker
  const orders = yield* Queue.unbounded<Order>()
  const heard = yield* Queue.unbounded<CircuitBreaker.Transition>()
  yield* Effect.forkScoped(Stream.runForEach(breakers.transitions, (transition) => Queue.offer(heard, transition)))
  process.on("message", (order: Order) => Queue.unsafeOffer(orders, order))

  let permits: Array<CircuitBreaker.Permit> = []
  let probes = 0
  let most = 0

  const admit = (breaker: CircuitBreaker.Breaker) => Effect.uninterruptibleMask((restore) => breaker.admit(restore))

  const probe = Effect.fnUntraced(function* (breaker: CircuitBreaker.Breaker) {
    const permit = yield* admit(breaker)
    if (permit.token === undefined) return yield* breaker.record(permit, { _tag: "Failure" })
    probes += 1
    most = Math.max(most, yield* Effect.promise(() => client.incr("probing")))
    yield* Effect.sleep("15 millis")
    yield* Effect.promise(() => client.decr("probing"))
    // Open again, but for every third.
    return yield* breaker.record(permit, { _tag: probes % 3 === 0 ? "Success" : "Failure" })
  })

  const obey = Effect.fnUntraced(function* (order: Order, breaker: CircuitBreaker.Breaker) {
    switch (order.do) {
      case "admit": {
        const answers = yield* Effect.replicateEffect(Effect.either(admit(breaker)), order.times)
        permits = answers.filter(Either.isRight).map(({ right }) => right)
        return
      }
      case "fail":
        return yield* Effect.forEach(permits, (permit) => breaker.record(permit, { _tag: "Failure" }), {
          concurrency: "unbounded",
          discard: true
        })
      case "probe": {
        const until = (yield* Clock.currentTimeMillis) + order.millis
        while ((yield* Clock.currentTimeMillis) < until) {
          yield* Effect.ignore(probe(breaker))
          yield* Effect.sleep("3 millis")
        }
        return
      }
      case "isolate":
        return yield* breaker.isolate
      case "reset":
        return yield* breaker.reset
      case "leave":
        return
    }
  })

  process.send?.("ready")
  for (;;) {
    const order = yield* Queue.take(orders)
    const breaker = yield* breakers.get(order.breaker, policy)
    yield* obey(order, breaker)
    const { mode, openings } = yield* breaker.state
    const transitions = Chunk.toReadonlyArray(yield* Queue.takeAll(heard))
    const opened = transitions.filter(({ from, to }) => from === "Closed" && to === "Open").length
    const answer: Answer = { permits: permits.length, probes, most, mode, openings, opened }
    process.send?.(answer)
    if (order.do === "leave") return process.disconnect()
  }
})

await Effect.runPromise(
  main.pipe(
    Effect.scoped,
    Effect.provide(
      Layer.provideMerge(
        RedisCircuitBreaker.layer({ maxStaleness: "50 millis", storeTimeout: "5 seconds", isolationLease: "1 second" }),
        Redis.layer({ url })
      )
    )
  )
)
