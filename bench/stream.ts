/**
 * A turn that streams over real HTTP: five reads, a block each 200 ms, a second of trailing text, each read taking
 * 500 ms. How long until all results are there, when reads start while the model is still writing and when they wait
 * for the end of its message.
 */
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Agent, Tool, Toolbox, ToolRunner } from "salvo"
import * as Anthropic from "salvo/anthropic"
import { MessagesServer } from "salvo/testing"

class Read extends Tool.Service<Read>()("read", {
  description: "Reads for half a second",
  input: Schema.Struct({ n: Schema.Number }),
  output: Schema.Number,
  effects: "read"
}) {}

const { reply, text, toolUse } = MessagesServer

const calls = [1, 2, 3, 4, 5].map((n) => toolUse("read", { n }))
// The last call's block ends at 800 ms, the message at 2000 ms.
const trailing = Array.from({ length: 6 }, (_, i) => text(`and so on ${i} `))

const script: MessagesServer.Script = ({ turn }) =>
  Effect.succeed(
    turn === 0
      ? reply({ content: [...calls, ...trailing], stopReason: "tool_use", delayBetweenBlocks: "200 millis" })
      : reply({ content: [text("Done.")] })
  )

/** Milliseconds from the request to the end of the message and to the last result. */
const turn = (earlyStart: boolean) =>
  Effect.gen(function* () {
    const server = yield* MessagesServer.MessagesServer
    const started = performance.now()
    const since = () => performance.now() - started
    let message = Number.NaN
    let results = Number.NaN
    const read = Read.layer(({ n }) => Effect.delay(Effect.succeed(n), "500 millis"))
    yield* Agent.run({
      prompt: "Go.",
      toolbox: Toolbox.make(Read),
      earlyStart,
      onEvent: ({ _tag }) =>
        Effect.sync(() => {
          if (_tag === "TurnCompleted" && Number.isNaN(message)) message = since()
        }),
      onExchange: () =>
        Effect.sync(() => {
          if (Number.isNaN(results)) results = since()
        })
    }).pipe(
      Effect.provide(Layer.merge(read, ToolRunner.layer)),
      Effect.provide(Anthropic.layer({ apiKey: Redacted.make("embedded"), baseURL: server.url }))
    )
    return { message, results }
  }).pipe(
    Effect.provide(MessagesServer.layer(script).pipe(Layer.provide(NodeHttpServer.layer(createServer, { port: 0 }))))
  )

const median = (values: ReadonlyArray<number>) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

export const run = async (rounds: number) => {
  const early: Array<{ readonly message: number; readonly results: number }> = []
  const late: typeof early = []
  for (let round = 0; round < Math.min(rounds, 5); round++) {
    early.push(await Effect.runPromise(turn(true)))
    late.push(await Effect.runPromise(turn(false)))
  }
  const row = (way: string, all: typeof early) => ({
    way,
    messageMillis: Math.round(median(all.map(({ message }) => message)) ?? Number.NaN),
    resultsMillis: Math.round(median(all.map(({ results }) => results)) ?? Number.NaN)
  })
  const rows = [row("while it streams", early), row("after the message", late)]
  return { rows, resultsPerMessage: rows.map(({ messageMillis, resultsMillis }) => resultsMillis / messageMillis) }
}
