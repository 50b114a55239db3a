/**
 * Two processes, one Redis: what the first one has found dead, the second one never calls.
 *
 *     npx tsx examples/redis-breaker.ts        # REDIS_URL, or a Redis on this machine
 */
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { CircuitBreaker } from "salvo"
import { Redis, RedisCircuitBreaker } from "salvo/redis"

class Refused extends Schema.TaggedError<Refused>()("Refused", { message: Schema.String }) {}

const key = "payments"
const policy = { trip: { consecutive: 3 }, openFor: "30 seconds" } as const

/** Calls the dead dependency so many times through the breaker, and tells what came of it. */
const calls = (who: string, times: number) =>
  Effect.gen(function* () {
    const reached = yield* Ref.make(0)
    const pay = Ref.update(reached, (n) => n + 1).pipe(
      Effect.zipRight(Effect.fail(new Refused({ message: "connection refused" }))),
      CircuitBreaker.execute({ key, policy })
    )
    for (let i = 1; i <= times; i++) {
      const error = yield* Effect.flip(pay)
      const wait = "retryAfter" in error ? error.retryAfter : undefined
      const again = wait === undefined ? "" : `, again in ${Math.ceil(Duration.toSeconds(wait))} s`
      yield* Console.log(`${who}: call ${i}: ${error.message}${again}`)
    }
    yield* Console.log(`${who}: ${yield* Ref.get(reached)} of ${times} calls reached the dependency`)
  })

/** The same script once more, in a process of its own. */
const second = Effect.async<void>((resume) => {
  const child = fork(fileURLToPath(import.meta.url), ["second"])
  child.once("exit", (code) => resume(code === 0 ? Effect.void : Effect.dieMessage(`the second process: ${code}`)))
})

const first = Effect.gen(function* () {
  const { client } = yield* Redis.Redis
  if (client.status !== "ready") {
    process.exitCode = 1
    return yield* Console.error("There is no Redis to share: start one, or set REDIS_URL")
  }
  const breakers = yield* CircuitBreaker.CircuitBreaker
  const breaker = yield* breakers.get(key, policy)
  // What an earlier run has left.
  yield* breaker.reset
  yield* calls("first ", 4)
  yield* second
  return yield* breaker.reset
})

const url = Config.withDefault(Config.redacted("REDIS_URL"), Redacted.make("redis://127.0.0.1:6379"))

const main = process.argv[2] === "second" ? calls("second", 3) : first

await Effect.runPromise(
  Effect.provide(
    main,
    Layer.provideMerge(RedisCircuitBreaker.layer({ storeTimeout: "1 second" }), Redis.layerConfig({ url }))
  )
)
