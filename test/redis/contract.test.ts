import { afterAll, beforeAll } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Redis from "../../src/redis/Redis.ts"
import * as Store from "../../src/redis/internal/store.ts"
import { contract, process } from "../breaker/contract.ts"
import { clientClock } from "./options.ts"
import { describeRedis, type Server, server } from "./server.ts"

describeRedis("the contract", () => {
  const scope = Effect.runSync(Scope.make())
  let redis: Server
  let cases = 0

  beforeAll(async () => {
    redis = await Effect.runPromise(Scope.extend(server(), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  contract({
    name: "Redis",
    processes: (count) =>
      Effect.suspend(() => {
        const options = { url: redis.url, prefix: `contract ${++cases}:`, commandTimeout: 10_000 }
        const connected = Effect.flatMap(Redis.make(options), (redis) => Store.make(redis, clientClock))
        return Effect.all(
          Array.from({ length: count }, () => Effect.flatMap(connected, process)),
          { concurrency: "unbounded" }
        )
      })
  })
})
