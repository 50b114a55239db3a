/**
 * A process that appends records to a log as fast as it can, in several fibers, until it is killed. Says `opening` when it
 * begins, and names each record that was acknowledged, a line each: `fiber:number`.
 */
import * as NodeKeyValueStore from "@effect/platform-node/NodeKeyValueStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RedisJournal from "../../../src/redis/Journal.ts"
import * as Redis from "../../../src/redis/Redis.ts"
import * as Journal from "../../../src/services/Journal.ts"
import { ended, stops } from "../world.ts"

const [place = "", name = "", fibers = "1"] = process.argv.slice(2)

const journal = place.startsWith("redis:")
  ? Layer.provide(RedisJournal.layer({ timeout: "1 minute" }), Redis.layer({ url: place, commandTimeout: 60_000 }))
  : Layer.provide(
      Journal.layerKeyValueStore({ timeout: "1 minute" }),
      Layer.orDie(NodeKeyValueStore.layerFileSystem(place))
    )

/** Waits until it is said, however slow the reader, so that it is before the fiber's next record is there. */
const say = (line: string) =>
  Effect.async<void>((resume) => void process.stdout.write(`${line}\n`, () => resume(Effect.void)))

const main = Effect.gen(function* () {
  const { open } = yield* Journal.Journal
  yield* say("opening")
  const log = yield* open(name)
  if (!log.isKnown) return yield* Effect.dieMessage("the log is not known")
  const found = stops(log)
  const append = (fiber: number) =>
    Effect.gen(function* () {
      for (let n = found.filter((stop) => stop.startsWith(`${fiber}:`)).length; ; n++) {
        yield* log.append(ended(`${fiber}:${n}`))
        yield* say(`${fiber}:${n}`)
      }
    })
  yield* Effect.forEach(Array.from({ length: Number(fibers) }).keys(), append, { concurrency: "unbounded" })
})

await Effect.runPromise(main.pipe(Effect.scoped, Effect.provide(journal)))
