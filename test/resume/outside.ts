/** A batch in a real process: its journal in files or in Redis, and an outside world in a file that is only added to. */
import * as NodeKeyValueStore from "@effect/platform-node/NodeKeyValueStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import { existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs"
import { Journal, ToolCall, ToolRunner } from "../../src/index.ts"
import * as RedisJournal from "../../src/redis/Journal.ts"
import * as Redis from "../../src/redis/Redis.ts"
import * as Points from "./points.ts"
import * as Tools from "./tools.ts"

/** Where the journal is kept. */
export const Place = Schema.Union(
  Schema.Struct({ folder: Schema.String }),
  Schema.Struct({ url: Schema.String, prefix: Schema.String })
)

export type Place = typeof Place.Type

export const Job = Schema.Struct({
  id: Schema.String,
  /** Where the outside world keeps what it has seen. */
  ledger: Schema.String,
  calls: Schema.Array(ToolCall.ToolCall),
  /** The point at which this batch waits for the end of its process. */
  stopAt: Schema.optional(Schema.String)
})

export type Job = typeof Job.Type

/** No machine is so busy that its journal would fail. */
export const timeout = "1 minute"

export const storeIn = (place: Place): Layer.Layer<Journal.JournalStore> =>
  "folder" in place
    ? Layer.provide(Journal.layerStoreKeyValueStore(), Layer.orDie(NodeKeyValueStore.layerFileSystem(place.folder)))
    : Layer.provide(
        RedisJournal.layerStore({ timeout }),
        Redis.layer({ url: place.url, prefix: place.prefix, commandTimeout: 60_000 })
      )

/** Is there when it is written, and survives the power. */
const adding = (path: string) => {
  const file = openSync(path, "a")
  return (line: string) => {
    writeSync(file, `${line}\n`)
    fsyncSync(file)
  }
}

const linesOf = (path: string) => (existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [])

const entry = Schema.parseJson(Tools.Entry)
const decode = Schema.decodeSync(entry)
const encode = Schema.encodeSync(entry)

export const entriesOf = ({ ledger }: Pick<Job, "ledger">): ReadonlyArray<Tools.Entry> =>
  linesOf(ledger).map((line) => decode(line))

/** Of a process the calls whose results it had recorded for certain. */
export const finishedBy = ({ ledger }: Job, process: number): ReadonlyArray<string> => linesOf(`${ledger}.${process}`)

export const outsideOf = (job: Pick<Job, "ledger">): Tools.Outside => {
  const add = adding(job.ledger)
  return { entries: () => entriesOf(job), note: (entry) => add(encode(entry)) }
}

/** Says what is finished. */
const saying = (job: Job, number: number, life: Points.Life): Points.Life => {
  const add = adding(`${job.ledger}.${number}`)
  return {
    cut: life.cut,
    isCutAt: (name) => {
      const [, call] = /^after Landed (.*)$/.exec(name) ?? []
      if (call !== undefined) add(call)
      return life.isCutAt(name)
    }
  }
}

const endless: Points.Life = { isCutAt: () => false, cut: Effect.never }

/** An execution takes a few milliseconds. */
export const pause = Effect.flatMap(Random.nextIntBetween(0, 6), (millis) => Effect.sleep(millis))

/** Runs a batch as the process of that number. */
export const run = (job: Job, number: number, life: Points.Life = endless) =>
  Effect.gen(function* () {
    const told = saying(job, number, life)
    const store = Points.withPoints(yield* Journal.JournalStore, told)
    const journal = yield* Effect.provideService(Journal.make({ timeout }), Journal.JournalStore, store)
    const tools = Tools.implement({
      outside: outsideOf(job),
      number,
      point: Points.point(told),
      pause,
      changes: true
    })
    return yield* ToolRunner.run(Tools.toolbox, job.calls, { id: job.id }).pipe(
      Effect.provideService(Journal.Journal, journal),
      Effect.provide(tools)
    )
  })

/** Runs batches side by side in one process, to their ends. */
export const runAll = (place: Place, jobs: ReadonlyArray<Job>, number: number, lifeOf?: (job: Job) => Points.Life) =>
  Effect.forEach(jobs, (job) => run(job, number, lifeOf?.(job)), { concurrency: "unbounded" }).pipe(
    Effect.provide(ToolRunner.layer),
    Effect.provide(storeIn(place))
  )
