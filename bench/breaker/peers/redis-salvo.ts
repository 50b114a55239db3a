/** Salvo's breakers over Redis. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { CircuitBreaker } from "salvo"
import { Redis, RedisCircuitBreaker } from "salvo/redis"
import { consecutive, dependency, failing, type Mode, openMillis, serveProcess, type Timed } from "../redis/process.ts"

/** As many probes as there are calls, so that all of them are probes. */
const probes = 1_000_000

const policies = (mode: Mode) => ({ trip: { consecutive }, openFor: openMillis(mode), probes })

const policy = { closed: policies("closed"), open: policies("open"), "half-open": policies("half-open") }

const well = Effect.promise(dependency)
const ill = Effect.promise(failing)

/** Within the fiber of whoever calls, without the start of a fiber. */
const timed = <R>(effect: Effect.Effect<unknown, unknown, R>): Effect.Effect<Timed, never, R> =>
  Effect.suspend(() => {
    const started = performance.now()
    return Effect.match(effect, {
      onFailure: () => ({ millis: performance.now() - started, refused: true }),
      onSuccess: () => ({ millis: performance.now() - started, refused: false })
    })
  })

serveProcess(["closed", "open", "half-open"], async (port) => {
  const runtime = ManagedRuntime.make(
    Layer.provideMerge(RedisCircuitBreaker.layer(), Redis.layer({ host: "127.0.0.1", port }))
  )
  const { client } = await runtime.runPromise(Redis.Redis)
  return {
    ping: () => client.ping(),
    bare: () => runtime.runPromise(timed(well)),
    call: (mode, key, fails) => {
      const call = CircuitBreaker.execute(fails ? ill : well, { key, policy: policy[mode] })
      return runtime.runPromise(timed(Effect.catchAllDefect(call, Effect.fail)))
    }
  }
})
