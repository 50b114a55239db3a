/**
 * A turn that streams over real HTTP: five calls, a block each 200 milliseconds, a second of trailing text, each call
 * reading for half a second. How long until all results are there, and until the model is asked again with them.
 */
import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { MessagesServer } from "salvo/testing"
import { type Ask, withChildren } from "./lib/child.ts"
import { median, summary } from "./lib/stats.ts"
import { readMillis } from "./stream/turn.ts"

const { reply, text, toolUse } = MessagesServer

const blockMillis = 200
const calls = [1, 2, 3, 4, 5].map((n) => toolUse("read", { n }))
const trailing = Array.from({ length: 6 }, (_, i) => text(`and so on ${i} `))
/** The longer of the stream and the last read, which can start when the block after its call does. */
const idealMillis = Math.max(
  (calls.length + trailing.length - 1) * blockMillis,
  calls.length * blockMillis + readMillis
)

const peer = (file: string) => new URL(`./stream/peers/${file}.ts`, import.meta.url)

const peers: Readonly<Record<string, URL>> = {
  Salvo: peer("salvo-early"),
  "Salvo, earlyStart: false": peer("salvo-waiting"),
  "Anthropic toolRunner, runToolsEagerly": peer("anthropic-eager"),
  "Anthropic toolRunner": peer("anthropic-waiting"),
  "AI SDK streamText": peer("ai-sdk"),
  "@effect/ai streamText": peer("effect-ai")
}

interface Times {
  readonly results: number
  readonly askedAgain: number
}

/** One turn of a peer at a server of its own, which sees when it is asked. */
const turnOf = (ask: Ask, name: string): Promise<Times> => {
  const askedAt: Array<number> = []
  const script: MessagesServer.Script = ({ turn }) =>
    Effect.sync(() => {
      askedAt.push(performance.now())
      return turn === 0
        ? reply({
            content: [...calls, ...trailing],
            stopReason: "tool_use",
            delayBetweenBlocks: `${blockMillis} millis`
          })
        : reply({ content: [text("Done.")] })
    })
  return Effect.gen(function* () {
    const server = yield* MessagesServer.MessagesServer
    const results = yield* Effect.promise(() => ask(name, server.url))
    const refused = (yield* server.rejections)[0]
    if (refused !== undefined) throw new Error(`refused: ${refused.rejection.message}`)
    const [first = Number.NaN, second = Number.NaN] = askedAt
    return { results: Number(results), askedAgain: second - first }
  }).pipe(
    Effect.provide(MessagesServer.layer(script).pipe(Layer.provide(NodeHttpServer.layer(createServer, { port: 0 })))),
    Effect.runPromise
  )
}

/** A peer does little but wait, so that all may have their turns at once. */
const rowOf = async (ask: Ask, peer: string, rounds: number, warmUp: number) => {
  const turns: Array<Times> = []
  let error: string | undefined
  try {
    for (let round = -warmUp; round < rounds; round++) {
      const turn = await turnOf(ask, peer)
      if (round >= 0) turns.push(turn)
    }
  } catch (why) {
    error = String(why)
  }
  const askedAgain = median(turns.map(({ askedAgain }) => askedAgain))
  return {
    peer,
    "ms until all results are ready": summary(turns.map(({ results }) => Math.round(results))),
    "ms until the model is asked again": summary(turns.map(({ askedAgain }) => Math.round(askedAgain))),
    [`times the ideal of ${idealMillis} ms`]: askedAgain / idealMillis,
    error
  }
}

export const run = ({ rounds, smoke }: { readonly rounds: number; readonly smoke: boolean }) =>
  withChildren(peers, (ask) =>
    Promise.all(Object.keys(peers).map((peer) => rowOf(ask, peer, smoke ? 1 : Math.min(rounds, 5), smoke ? 0 : 1)))
  )
