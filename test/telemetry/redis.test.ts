import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { BatchEvents, CircuitBreaker } from "../../src/index.ts"
import { connect, eventually, shared } from "../redis/connect.ts"
import { describeRedis } from "../redis/server.ts"
import { listening } from "./listening.ts"

describeRedis("a circuit that processes share", () => {
  const redis = shared()

  it.scopedLive("tells each of them of each change once, as it hears of it", () =>
    Effect.gen(function* () {
      const policy = { trip: { consecutive: 1 }, openFor: "1 second" } as const
      /** A process with events of its own, and calls through the breaker in it. */
      const process = Effect.gen(function* () {
        const { events, service } = listening()
        const breakers = yield* connect(redis.server, { maxStaleness: 0 }).pipe(
          Effect.provideService(BatchEvents.BatchEvents, service)
        )
        const through = (effect: Effect.Effect<void, string>) =>
          Effect.exit(CircuitBreaker.execute(effect, { key: "payments", policy })).pipe(
            Effect.provideService(CircuitBreaker.CircuitBreaker, breakers),
            Effect.provideService(BatchEvents.BatchEvents, service)
          )
        const changes = Effect.sync(() =>
          events.flatMap((event) => (event._tag === "CircuitChanged" ? [`${event.from} > ${event.to}`] : []))
        )
        return { through, changes }
      })
      const [first, second] = [yield* process, yield* process]
      yield* second.through(Effect.void)
      yield* first.through(Effect.fail("down"))
      yield* second.through(Effect.void)
      for (const { changes } of [first, second]) yield* eventually(changes, (changes) => changes.length > 0)
      assert.deepStrictEqual([yield* first.changes, yield* second.changes], [["Closed > Open"], ["Closed > Open"]])
      yield* Effect.sleep("1100 millis")
      yield* first.through(Effect.void)
      yield* eventually(first.changes, (changes) => changes.length === 3)
      yield* second.through(Effect.void)
      yield* eventually(second.changes, (changes) => changes.at(-1)?.endsWith("> Closed") === true)
      yield* Effect.sleep("50 millis")
      assert.deepStrictEqual(yield* first.changes, ["Closed > Open", "Open > HalfOpen", "HalfOpen > Closed"])
      const heard = yield* second.changes
      assert.lengthOf(new Set(heard), heard.length)
    })
  )
})
