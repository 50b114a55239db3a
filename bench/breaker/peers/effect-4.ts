/** The breaker that Effect 4 has and Effect 3 has not, in memory. */
import { Context, Effect, Layer, ManagedRuntime } from "effect-4"
import { CircuitBreaker } from "effect-4/persistence"
import { answer, fail, type Loop, openMillis, serveLoops } from "../timed.ts"

const breaker = (tripPolicy: CircuitBreaker.TripPolicy) =>
  CircuitBreaker.make({ tripPolicy, openDuration: openMillis, maxOpenDuration: openMillis })

class Breakers extends Context.Service<
  Breakers,
  { readonly closed: CircuitBreaker.CircuitBreaker; readonly rate: CircuitBreaker.CircuitBreaker }
>()("bench/Breakers") {}

const runtime = ManagedRuntime.make(
  Layer.effect(
    Breakers,
    Effect.all({
      closed: breaker(CircuitBreaker.consecutive(5)),
      rate: breaker(CircuitBreaker.rate({ threshold: 0.5, size: 100 }))
    })
  ).pipe(Layer.provide(CircuitBreaker.layerStoreMemory()))
)

const { closed, rate } = await runtime.runPromise(Effect.service(Breakers))

const looped =
  (call: () => Effect.Effect<unknown>): Loop =>
  (calls) =>
    runtime.runPromise(
      Effect.suspend(() => {
        let i = 0
        return Effect.whileLoop({ while: () => i < calls, body: call, step: () => void (i += 1) })
      })
    )

const dependency = Effect.promise(answer)

const failing = Effect.tryPromise(fail).pipe(closed.execute({ key: "open" }), Effect.ignore)
await runtime.runPromise(Effect.replicateEffect(failing, 5))

serveLoops({
  bare: looped(() => Effect.ignore(dependency)),
  closed: looped(() => dependency.pipe(closed.execute({ key: "closed" }), Effect.ignore)),
  rate: looped(() => dependency.pipe(rate.execute({ key: "rate" }), Effect.ignore)),
  open: looped(() => dependency.pipe(closed.execute({ key: "open" }), Effect.ignore))
})
