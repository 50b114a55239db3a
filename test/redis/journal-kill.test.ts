import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RedisJournal from "../../src/redis/Journal.ts"
import * as Redis from "../../src/redis/Redis.ts"
import * as Journal from "../../src/services/Journal.ts"
import { bundle } from "../bundle.ts"
import { killAndLook, kills, script } from "../journal/kill.ts"
import { shared } from "./connect.ts"
import { describeRedis } from "./server.ts"

const program = bundle(script)

describeRedis("a process that is killed while it writes to Redis", () => {
  const redis = shared()

  it.scopedLive(
    `loses nothing that it acknowledged, and invents nothing (${kills} times)`,
    () =>
      Effect.suspend(() => {
        const { url } = redis.server
        const journal = Layer.provide(
          RedisJournal.layer({ timeout: "1 minute" }),
          Redis.layer({ url, commandTimeout: 60_000 })
        )
        return killAndLook(program, url, (log) =>
          Effect.flatMap(Journal.Journal, ({ open }) => open(log)).pipe(
            Effect.scoped,
            Effect.provide(Layer.fresh(journal))
          )
        )
      }),
    30_000 + 20_000 * kills
  )
})
