import { assert, it } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Redis from "../../src/redis/Redis.ts"
import * as Store from "../../src/redis/internal/store.ts"
import * as Model from "../breaker/model.ts"
import { clientClock } from "./options.ts"
import { describeRedis, server } from "./server.ts"

/** More of them find more, and take longer. */
const runs = Number(process.env["SALVO_MODEL_RUNS"] ?? 60)

const agree = Effect.fnUntraced(function* (options: Partial<Store.Options>) {
  const { url } = yield* server()
  const redis = yield* Redis.make({ url, commandTimeout: 10_000 })
  const tally = yield* Model.agree({ make: yield* Store.make(redis, { ...clientClock, ...options }), runs })
  yield* Console.log("model over Redis", JSON.stringify(tally))
  assert.isAtLeast(tally.halfOpens, runs / 2)
  assert.isAtLeast(tally.closes, runs / 4)
  // A few runs may miss what is rare.
  const rare = runs < 500 ? 0 : runs / 40
  assert.isAtLeast(tally.reopens, rare)
  assert.isAtLeast(tally.lost, rare)
  assert.isAtLeast(tally.late, runs / 2)
})

describeRedis("the store in Redis answers as a naive breaker that keeps every outcome and recounts", () => {
  it.scopedLive("where it asks every time", () => agree({}), 120_000)

  it.scopedLive("and where it goes by what it last heard", () => agree({ maxStaleness: 1_000_000_000 }), 120_000)
})
