/**
 * A process that runs batches until it is killed. Says `ready`, waits until it is told to begin, and in the end says how
 * many calls were answered. Where its batches have points to stop at it kills itself as soon as all have come there.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { writeSync } from "node:fs"
import { Job, Place, runAll } from "../outside.ts"
import type { Life } from "../points.ts"

const Order = Schema.parseJson(Schema.Struct({ place: Place, number: Schema.Number, jobs: Schema.Array(Job) }))

const { jobs, number, place } = Schema.decodeUnknownSync(Order)(process.argv[2])

const say = (line: string) => Effect.sync(() => void writeSync(1, `${line}\n`))

const begin = Effect.async<void>((resume) => {
  process.stdin.once("data", () => resume(Effect.void))
})

/** The batches that stand at their points. */
const arrived = new Set<string>()

const lifeOf = ({ id, stopAt }: Job): Life => {
  let isCut = false
  return {
    isCutAt: (name) => (isCut ||= name === stopAt),
    cut: Effect.zipRight(
      Effect.sync(() => arrived.add(id).size === jobs.length && process.kill(process.pid, "SIGKILL")),
      Effect.never
    )
  }
}

await Effect.runPromise(
  Effect.gen(function* () {
    yield* say("ready")
    yield* begin
    const batches = yield* runAll(place, jobs, number, lifeOf)
    yield* say(`answered ${batches.reduce((sum, { results }) => sum + results.length, 0)}`)
  })
)
