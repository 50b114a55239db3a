import * as Command from "@effect/platform/Command"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { shared } from "./connect.ts"
import { describeRedis } from "./server.ts"

describeRedis("examples/redis-breaker.ts", () => {
  const redis = shared()

  it.live(
    "the second process never calls the dependency the first one found dead",
    () =>
      Effect.gen(function* () {
        const output = yield* Command.make("npx", "tsx", "examples/redis-breaker.ts").pipe(
          Command.env({ REDIS_URL: redis.server.url }),
          Command.string
        )
        assert.include(output, "first : 3 of 4 calls reached the dependency")
        assert.include(output, "second: 0 of 3 calls reached the dependency")
      }).pipe(Effect.provide(NodeContext.layer)),
    60_000
  )
})
