/** An agent whose process can be cut off at any point, and a model that refuses what the API would refuse. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Agent, Model, Toolbox } from "../../src/index.ts"
import * as MessagesRules from "../../src/testing/MessagesRules.ts"
import * as World from "./world.ts"

export const conversationId = "conversation"

export interface Asked {
  readonly tool: Parameters<typeof World.call>[1]
  readonly input: object
}

/** What the model says turn by turn, and how each ends. */
export type Script = ReadonlyArray<{ readonly asks: ReadonlyArray<Asked>; readonly stopReason?: string }>

export const ask = (tool: Asked["tool"], n: unknown, how?: string): Asked => ({
  tool,
  input: how === undefined ? { n } : { n, how }
})

const turnsIn = (messages: ReadonlyArray<Model.Message>) => messages.filter(({ role }) => role === "assistant").length

/** Fails where the API would not take the messages. */
export const assertAccepted = (messages: ReadonlyArray<Model.Message>, story?: string) =>
  assert.isUndefined(
    MessagesRules.check({
      model: "claude-haiku-5-5",
      max_tokens: 4096,
      tools: Toolbox.describe(World.toolbox),
      messages
    }),
    `${story} ${JSON.stringify(messages)}`
  )

/** Names its calls as the API does: never the same twice. `positional` as gateways do. */
const idOf = {
  unique: (asked: number, i: number) => `toolu_${asked}_${i}`,
  positional: (_: number, i: number) => `call_${i}`
}

export interface Options extends World.Setup {
  readonly ids?: keyof typeof idOf
  readonly agent?: Partial<Agent.LoopOptions<World.Tools>>
}

const turnOf = ({ asks, stopReason }: Script[number], asked: number, ids: keyof typeof idOf): Model.Turn => {
  const calls = asks.map(({ input, tool }, i) => ({ id: idOf[ids](asked, i), name: tool, input }))
  return {
    content: [
      { type: "text", text: asks.length === 0 ? "Done." : "Let me see." },
      ...calls.map((call) => ({ type: "tool_use", ...call }))
    ],
    calls,
    stopReason: stopReason ?? (asks.length === 0 ? "end_turn" : "tool_use"),
    usage: { inputTokens: 10, outputTokens: 5 }
  }
}

const eventsOf = (turn: Model.Turn): ReadonlyArray<Model.TurnEvent> => [
  ...turn.content.flatMap((block, index): ReadonlyArray<Model.TurnEvent> => [
    { _tag: "BlockStarted", index, type: block.type },
    { _tag: "BlockCompleted", index, block, call: turn.calls[index - 1] }
  ]),
  { _tag: "TurnCompleted", turn }
]

export const make = (script: Script) =>
  Effect.gen(function* () {
    const world = yield* World.make
    let asked = 0

    const process = ({ agent, ids = "unique", ...setup }: Options = {}) => {
      const made = world.process(setup)
      const { point } = made
      const model: Model.Model["Type"] = {
        streamTurn: ({ messages }) =>
          Stream.unwrap(
            Effect.gen(function* () {
              const n = turnsIn(messages)
              yield* point(`before turn ${n}`)
              assertAccepted(messages, made.points.join(", "))
              const turn = turnOf(script[n] ?? { asks: [] }, asked++, ids)
              return Stream.mapEffect(Stream.fromIterable(eventsOf(turn)), (event) =>
                // Those that start early get their turn.
                Effect.yieldNow().pipe(
                  Effect.repeatN(9),
                  Effect.zipRight(point(`${event._tag} in turn ${n}`)),
                  Effect.as(event)
                )
              )
            })
          )
      }
      const options = { toolbox: World.toolbox, modelRetry: Schedule.stop, ...agent }
      const provide = <A, E>(effect: Effect.Effect<A, E, World.Services | Model.Model>) =>
        made.provide(Effect.provideService(effect, Model.Model, model))
      /** In the caller's fiber, to be interrupted with it. */
      const runHere = (prompt = "Go.") => provide(Agent.run({ prompt, id: conversationId, ...options }))
      const run = (prompt?: string) => made.live(runHere(prompt))
      const resume = made.live(provide(Effect.either(Agent.resume(conversationId, options))))
      return {
        ...made,
        run,
        runHere,
        resume,
        /** As whoever starts the next process does: begins where nothing was begun. */
        goOn: Effect.flatMap(resume, (resumed) =>
          resumed === undefined
            ? Effect.succeed(undefined)
            : Either.isRight(resumed)
              ? Effect.succeed(resumed.right)
              : resumed.left._tag === "NoSuchConversation" && resumed.left.reason === "unknown"
                ? run()
                : Effect.fail(resumed.left)
        )
      }
    }
    return { ...world, process, asked: () => asked }
  })

/** What the model was told of the calls, in order. */
export const results = (messages: ReadonlyArray<Model.Message>) =>
  messages.flatMap(({ content }) =>
    typeof content === "string"
      ? []
      : content.flatMap((block) => (block.type === "tool_result" ? [block["content"]] : []))
  )

export const roles = (messages: ReadonlyArray<Model.Message>) => messages.map(({ role }) => role).join(" ")
