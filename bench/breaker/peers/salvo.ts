/** Salvo's breakers in memory, around an effect. */
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { CircuitBreaker } from "salvo"
import { answer, fail, type Loop, openMillis, serveLoops } from "../timed.ts"

const runtime = ManagedRuntime.make(CircuitBreaker.layerMemory)

const looped =
  (call: () => Effect.Effect<unknown, never, CircuitBreaker.CircuitBreaker>): Loop =>
  (calls) =>
    runtime.runPromise(
      Effect.suspend(() => {
        let i = 0
        return Effect.whileLoop({ while: () => i < calls, body: call, step: () => void (i += 1) })
      })
    )

const dependency = Effect.promise(answer)
const openFor = openMillis

const guarded = (options: CircuitBreaker.ExecuteOptions<number, never>) => () =>
  dependency.pipe(CircuitBreaker.execute(options), Effect.ignore)

const failing = Effect.tryPromise(fail).pipe(
  CircuitBreaker.execute({ key: "open", policy: { openFor } }),
  Effect.ignore
)
await runtime.runPromise(Effect.replicateEffect(failing, 5))

serveLoops({
  bare: looped(() => Effect.ignore(dependency)),
  closed: looped(guarded({ key: "closed", policy: { openFor } })),
  rate: looped(guarded({ key: "rate", policy: { openFor, trip: { failureRate: 0.5 } } })),
  open: looped(guarded({ key: "open" }))
})
