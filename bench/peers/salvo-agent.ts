/** Salvo as an agent: `Agent.run` with a stub of its `Model`. */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Agent, Model } from "salvo"
import type { Answer, Call, Model as BenchModel } from "../work/peer.ts"
import { servePeer } from "../work/serve.ts"
import { setUp } from "./salvo.ts"

const text = (content: unknown): string =>
  Array.isArray(content) ? content.map((block) => String(block.text)).join("") : String(content)

const read = (request: Model.TurnRequest) => (): ReadonlyArray<Answer> => {
  const content = request.messages.at(-1)?.content
  return (Array.isArray(content) ? content : [])
    .filter(({ type }) => type === "tool_result")
    .map((block) => ({
      id: String(block["tool_use_id"]),
      text: text(block["content"]),
      isError: block["is_error"] === true
    }))
}

const parsed = (json: string): unknown => {
  try {
    return JSON.parse(json)
  } catch {
    return json
  }
}

/** What the adapter of a streaming API says of a turn with these calls. */
const eventsOf = (calls: ReadonlyArray<Call>): ReadonlyArray<Model.TurnEvent> => {
  const made = calls.map((call) => ({ id: call.id, name: call.name, input: parsed(call.input) }))
  const content =
    calls.length === 0
      ? [{ type: "text", text: "Done." }]
      : made.map((call) => ({ type: "tool_use", ...call, input: Object(call.input) === call.input ? call.input : {} }))
  const turn: Model.Turn = {
    content,
    calls: made,
    stopReason: calls.length === 0 ? "end_turn" : "tool_use",
    usage: { inputTokens: 0, outputTokens: 0 }
  }
  return [
    ...content.flatMap((block, index): ReadonlyArray<Model.TurnEvent> => [
      { _tag: "BlockStarted", index, type: block.type },
      { _tag: "BlockCompleted", index, block, call: made[index] }
    ]),
    { _tag: "TurnCompleted", turn }
  ]
}

const stub = (model: BenchModel) => ({
  streamTurn: (request: Model.TurnRequest) =>
    Stream.suspend(() => Stream.fromChunk(Chunk.unsafeFromArray(eventsOf(model(read(request))))))
})

servePeer({
  kind: "turn",
  hasDeadline: true,
  agent: async (tools, options) => {
    const { runtime, toolbox } = setUp(tools, options)
    await runtime.runtime()
    return async (model, signal) => {
      await runtime.runPromise(
        Effect.provideService(Agent.run({ prompt: "Go.", toolbox }), Model.Model, stub(model)),
        signal === undefined ? {} : { signal }
      )
    }
  }
})
