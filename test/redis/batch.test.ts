/** Batches whose circuit breakers are shared through a Redis that fails under them. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as RedisCircuitBreaker from "../../src/redis/CircuitBreaker.ts"
import * as Redis from "../../src/redis/Redis.ts"
import * as ToolRunner from "../../src/services/ToolRunner.ts"
import * as Tool from "../../src/Tool.ts"
import * as Toolbox from "../../src/Toolbox.ts"
import { took } from "./connect.ts"
import { describeRedis, server } from "./server.ts"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}

const definition = {
  description: "Reads",
  input: Schema.Struct({ n: Schema.Number }),
  output: Schema.String,
  failure: Down,
  effects: "read",
  policy: {
    retry: { times: 0 },
    circuitBreaker: { name: "shared", trip: { consecutive: 2, perBatch: false }, openFor: "1 minute" }
  }
} as const

class Works extends Tool.Service<Works>()("works", { ...definition, policy: { retry: { times: 0 } } }) {}
class Fails extends Tool.Service<Fails>()("fails", definition) {}
class Hangs extends Tool.Service<Hangs>()("hangs", { ...definition, policy: { retry: { times: 0 } } }) {}

const toolbox = Toolbox.make(Works, Fails, Hangs)

const calls = (...names: ReadonlyArray<string>) => names.map((name, i) => ({ id: `toolu_${i}`, name, input: { n: i } }))

const outcomes = (...names: ReadonlyArray<string>) =>
  Effect.map(ToolRunner.run(toolbox, calls(...names)), (batch) =>
    batch.results.map((result) => (result._tag === "Success" ? result.source : result.error._tag))
  )

const layer = (url: string) =>
  Layer.mergeAll(
    Works.layer(() => Effect.succeed("fine")),
    Fails.layer(() => Effect.fail(new Down())),
    Hangs.layer(() => Effect.never),
    Layer.provide(
      ToolRunner.layer,
      Layer.provide(RedisCircuitBreaker.layer({ maxStaleness: 0, storeTimeout: "200 millis" }), Redis.layer({ url }))
    )
  )

describeRedis("a batch over a Redis that fails", () => {
  for (const fault of ["kill", "pause"] as const) {
    it.scopedLive(`${fault}: every call has its result, and a dead dependency is still left alone`, () =>
      Effect.gen(function* () {
        const redis = yield* server()
        yield* Effect.addFinalizer(() => redis.resume)
        yield* Effect.gen(function* () {
          assert.deepStrictEqual(yield* outcomes("works", "fails"), ["executed", "ToolFailure"])
          yield* redis[fault]
          const { millis, result } = yield* took(outcomes("works", "fails", "works", "works"))
          assert.deepStrictEqual(result, ["executed", "ToolFailure", "executed", "executed"])
          assert.isBelow(millis, 1000)
          assert.deepStrictEqual(yield* outcomes("fails", "works"), ["CircuitOpen", "executed"])
        }).pipe(Effect.provide(layer(redis.url)))
      })
    )

    it.scopedLive(`${fault}: it stays interruptible`, () =>
      Effect.gen(function* () {
        const redis = yield* server()
        yield* Effect.addFinalizer(() => redis.resume)
        yield* Effect.gen(function* () {
          assert.deepStrictEqual(yield* outcomes("works"), ["executed"])
          yield* redis[fault]
          const fiber = yield* Effect.fork(outcomes("works", "hangs", "fails"))
          yield* Effect.sleep("20 millis")
          assert.isBelow((yield* took(Fiber.interrupt(fiber))).millis, 500)
        }).pipe(Effect.provide(layer(redis.url)))
      })
    )
  }

  it.scopedLive("two runners share what one of them has found", () =>
    Effect.gen(function* () {
      const redis = yield* server()
      const another = Effect.provide(layer(redis.url))
      yield* another(outcomes("fails", "fails"))
      assert.deepStrictEqual(yield* another(outcomes("fails", "works")), ["CircuitOpen", "executed"])
    })
  )
})
