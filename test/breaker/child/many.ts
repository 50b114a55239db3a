/** Makes a great many calls of every kind through a breaker and tells how its heap has grown since it was warm. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as CircuitBreaker from "../../../src/services/CircuitBreaker.ts"

const collect = Effect.sync(() => {
  // There with --expose-gc.
  globalThis.gc?.()
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
})

const policy = {
  trip: { consecutive: 3, failureRate: 0.4, window: { time: "100 millis" } },
  openFor: "1 millis",
  probes: 2
} as const

const work = [Effect.void, Effect.fail("no"), Effect.die("broken"), Effect.void, Effect.interrupt, Effect.yieldNow()]

const through = work.map((effect) => Effect.exit(CircuitBreaker.execute(effect, { key: "a", policy })))

const some = (n: number) =>
  Effect.forEach(
    Array.from({ length: n / 100 }),
    () =>
      Effect.gen(function* () {
        const breaker = yield* Effect.flatMap(CircuitBreaker.CircuitBreaker, (all) => all.get("a", policy))
        const waiting = yield* Effect.fork(breaker.opened)
        yield* Effect.all(
          Array.from({ length: 100 }, (_, n) => through[n % through.length] ?? Effect.void),
          { concurrency: 10 }
        )
        yield* Fiber.interrupt(waiting)
      }),
    { discard: true }
  )

const program = Effect.gen(function* () {
  yield* some(50_000)
  const before = yield* collect
  yield* some(100_000)
  const after = yield* collect
  const { mode, rejected } = yield* Effect.flatMap(
    Effect.flatMap(CircuitBreaker.CircuitBreaker, (all) => all.get("a", policy)),
    (breaker) => breaker.state
  )
  const fibers = [...Fiber.unsafeRoots()].length
  yield* Console.log(JSON.stringify({ grown: after - before, mode, rejected, fibers }))
})

await Effect.runPromise(Effect.provide(program, CircuitBreaker.layerMemory))
