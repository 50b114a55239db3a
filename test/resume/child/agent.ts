/**
 * A process that runs an agent, or resumes it, until it is killed. Says `ready`, waits until it is told to begin, and in the
 * end says what the conversation has come to, as JSON.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { writeSync } from "node:fs"
import * as Anthropic from "../../../src/adapters/Anthropic.ts"
import { Agent, Journal, ToolRunner } from "../../../src/index.ts"
import { outsideOf, pause, storeIn, timeout } from "../outside.ts"
import * as Points from "../points.ts"
import * as Tools from "../tools.ts"

const Order = Schema.parseJson(
  Schema.Struct({
    folder: Schema.String,
    ledger: Schema.String,
    url: Schema.String,
    number: Schema.Number,
    /** The point at which it kills itself, when it comes there for that time. */
    stopAt: Schema.optional(Schema.Tuple(Schema.String, Schema.Number))
  })
)

const order = Schema.decodeUnknownSync(Order)(process.argv[2])

const say = (line: string) => Effect.sync(() => void writeSync(1, `${line}\n`))

const begin = Effect.async<void>((resume) => {
  process.stdin.once("data", () => resume(Effect.void))
})

let times = 0
let isCut = false

const life: Points.Life = {
  isCutAt: (name) => {
    const [stopAt, time] = order.stopAt ?? []
    if (name === stopAt) isCut ||= ++times === time
    return isCut
  },
  cut: Effect.zipRight(
    Effect.sync(() => process.kill(process.pid, "SIGKILL")),
    Effect.never
  )
}

const tools = Tools.implement({
  outside: outsideOf(order),
  number: order.number,
  point: Points.point(life),
  pause
})

const journal = Effect.flatMap(Journal.JournalStore, (store) =>
  Effect.provideService(Journal.make({ timeout }), Journal.JournalStore, Points.withPoints(store, life))
)

const services = Layer.mergeAll(
  Layer.effect(Journal.Journal, journal).pipe(Layer.provide(storeIn(order))),
  Layer.succeedContext(tools),
  ToolRunner.layer,
  // It warns of a record that is torn.
  Logger.remove(Logger.defaultLogger),
  Anthropic.layer({ apiKey: Redacted.make("key"), baseURL: order.url })
)

const id = "conversation"
const options = { toolbox: Tools.toolbox }
const agent = order.number === 1 ? Agent.run({ ...options, id, prompt: "Go." }) : Agent.resume(id, options)

await Effect.runPromise(
  Effect.gen(function* () {
    yield* say("ready")
    yield* begin
    const { answer, messages, stop } = yield* agent
    yield* say(JSON.stringify({ answer, messages, stop }))
  }).pipe(Effect.provide(services))
)
