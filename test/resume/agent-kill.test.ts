/** An agent on Anthropic's client whose process is killed by SIGKILL, and resumed by another one. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { createServer } from "node:http"
import { join } from "node:path"
import * as MessagesServer from "../../src/testing/MessagesServer.ts"
import { bundle } from "../bundle.ts"
import { killed, temporary } from "./kill.ts"
import { entriesOf } from "./outside.ts"

const { reply, text, toolUse } = MessagesServer

const script = bundle(new URL("child/agent.ts", import.meta.url))

/** Two turns with calls, then the end. The first reply to a request of turn `stalls` never comes to its end. */
const model = (stalls?: number): MessagesServer.Script => {
  let hasStalled = false
  return ({ turn }) =>
    Effect.sync(() => {
      if (turn === 2) return reply({ content: [text("Done.")] })
      const isStalled = turn === stalls && !hasStalled
      hasStalled ||= isStalled
      const content =
        turn === 0
          ? [toolUse("look", { n: 1 }), toolUse("pay", { n: 2 }), toolUse("put", { n: 3 })]
          : [toolUse("look", { n: 4 }), toolUse("send", { n: 5 })]
      return reply({ content, ...(isStalled ? { fault: { kind: "stall", after: 10 } as const } : {}) })
    })
}

const End = Schema.parseJson(
  Schema.Struct({
    answer: Schema.String,
    stop: Schema.String,
    messages: Schema.Array(Schema.Struct({ role: Schema.String, content: Schema.Unknown }))
  })
)

const Results = Schema.Array(
  Schema.Struct({ type: Schema.Literal("tool_result"), tool_use_id: Schema.String, content: Schema.String })
)

interface Case {
  readonly name: string
  readonly stopAt?: readonly [point: string, time: number]
  /** Which turn is never said to its end. */
  readonly stalls?: number
  /** Whether nobody knows what became of the payment. */
  readonly isUnknown?: boolean
  /** The writes that each process has executed. */
  readonly writes: readonly [first: ReadonlyArray<string>, second: ReadonlyArray<string>]
}

const pay = "pay toolu_000001_01"

const cases: ReadonlyArray<Case> = [
  { name: "while a turn streams", stalls: 0, writes: [[], ["pay 2", "send 5"]] },
  { name: "before its calls begin", stopAt: ["after TurnReceived", 1], writes: [[], ["pay 2", "send 5"]] },
  {
    name: "when it has paid, before that is recorded",
    stopAt: [`after ${pay}`, 1],
    isUnknown: true,
    writes: [["pay 2"], ["send 5"]]
  },
  {
    name: "when it has paid and that is recorded",
    stopAt: [`after Landed ${pay}`, 1],
    writes: [["pay 2"], ["send 5"]]
  },
  // The first is the prompt's.
  { name: "before its calls are answered", stopAt: ["before Said", 2], writes: [["pay 2"], ["send 5"]] },
  { name: "when they are answered", stopAt: ["after Said", 2], writes: [["pay 2"], ["send 5"]] },
  { name: "in the middle of its last words", stopAt: ["half of Said", 4], writes: [["pay 2", "send 5"], []] },
  { name: "when it has said them", stopAt: ["after Said", 4], writes: [["pay 2", "send 5"], []] }
]

describe("an agent whose process is killed", () => {
  for (const { isUnknown, name, stalls, stopAt, writes } of cases) {
    it.scopedLive(
      `${name} is resumed by the next, with a history that the API takes`,
      () =>
        Effect.gen(function* () {
          const server = yield* MessagesServer.MessagesServer
          const folder = yield* temporary
          const order = { url: server.url, folder: join(folder, "journal"), ledger: join(folder, "ledger") }
          const hasBegun = Effect.sync(() => entriesOf(order).length > 0).pipe(
            Effect.delay("5 millis"),
            Effect.repeat({ until: (is) => is })
          )
          const first = yield* killed(
            script,
            { ...order, number: 1, stopAt },
            stalls === undefined ? undefined : hasBegun
          )
          assert.deepStrictEqual([first.said, first.signal], ["ready\n", "SIGKILL"])
          const second = yield* killed(script, { ...order, number: 2 })
          assert.strictEqual(second.signal, null)
          const { answer, messages, stop } = yield* Schema.decode(End)(second.said.replace("ready\n", ""))

          assert.deepStrictEqual(yield* server.rejections, [])
          assert.deepStrictEqual([stop, answer], ["end_turn", "Done."])
          assert.strictEqual(messages.map(({ role }) => role).join(" "), "user assistant user assistant user assistant")
          const results = yield* Schema.decodeUnknown(Results)([messages[2]?.content, messages[4]?.content].flat())
          assert.deepStrictEqual(
            results.map(({ content }) => (content.startsWith("Outcome unknown") ? "unknown" : content)),
            [1, 2, 3, 4, 5].map((n) => (n === 2 && isUnknown === true ? "unknown" : JSON.stringify({ got: n })))
          )
          const executed = (process: number) =>
            entriesOf(order)
              .filter((entry) => entry.what === "begun" && entry.process === process)
              .flatMap(({ n, tool }) => (tool === "pay" || tool === "send" ? [`${tool} ${n}`] : []))
          assert.deepStrictEqual([executed(1), executed(2)], writes)
        }).pipe(
          Effect.provide(
            MessagesServer.layer(model(stalls)).pipe(Layer.provide(NodeHttpServer.layer(createServer, { port: 0 })))
          )
        ),
      60_000
    )
  }
})
