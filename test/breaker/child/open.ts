/** Leaves a circuit open, half-open and isolated behind, and is done. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as CircuitBreaker from "../../../src/services/CircuitBreaker.ts"

const program = Effect.gen(function* () {
  const breakers = yield* CircuitBreaker.CircuitBreaker
  const policy = { trip: { consecutive: 1 }, openFor: "1 hour", halfOpen: { atMost: "1 hour" } } as const
  const failing = CircuitBreaker.execute(Effect.fail("no"), { key: "a", policy })
  yield* Effect.ignore(failing)
  yield* Effect.forkDaemon(Effect.flatMap(breakers.get("b"), (breaker) => breaker.opened))
  const { mode } = yield* Effect.flatMap(breakers.get("a"), (breaker) => breaker.state)
  yield* Console.log(mode)
})

await Effect.runPromise(Effect.provide(program, CircuitBreaker.layerMemory))
