/** `@effect/ai`: a chat with a toolkit over a stub of its `LanguageModel`, its failures returned to the model. */
import * as AiError from "@effect/ai/AiError"
import * as Chat from "@effect/ai/Chat"
import * as LanguageModel from "@effect/ai/LanguageModel"
import * as Prompt from "@effect/ai/Prompt"
import type * as Response from "@effect/ai/Response"
import * as Tool from "@effect/ai/Tool"
import * as Toolkit from "@effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import { type Answer, type Call, type Model, outputText, type Tool as BenchTool } from "../work/peer.ts"
import { ForecastFailed, handlerOf, Input, Output } from "../work/schema.ts"
import { servePeer } from "../work/serve.ts"

const read = ({ prompt }: LanguageModel.ProviderOptions): ReadonlyArray<Answer> => {
  const last = prompt.content.at(-1)
  if (last?.role !== "tool") return []
  return last.content.map((part) => ({ id: part.id, text: outputText(part.result), isError: part.isFailure }))
}

const usage = { inputTokens: 1, outputTokens: 1, totalTokens: 2 }

/** As the adapters of the package do: JSON that does not parse fails the reply. */
const reply = (calls: ReadonlyArray<Call>): Effect.Effect<Array<Response.PartEncoded>, AiError.AiError> =>
  Effect.try({
    try: () => [
      ...(calls.length === 0 ? [{ type: "text" as const, text: "Done." }] : []),
      ...calls.map(({ id, input, name }) => ({
        type: "tool-call" as const,
        id,
        name,
        params: JSON.parse(input) as unknown,
        providerExecuted: false
      })),
      { type: "finish" as const, reason: calls.length === 0 ? ("stop" as const) : ("tool-calls" as const), usage }
    ],
    catch: (cause) =>
      new AiError.MalformedOutput({ module: "Stub", method: "generateText", description: String(cause), cause })
  })

const toTool = ({ name }: BenchTool) =>
  Tool.make(name, {
    description: "The weather of a city",
    parameters: Input.fields,
    success: Output,
    failure: ForecastFailed,
    failureMode: "return"
  })

servePeer({
  kind: "turn",
  hasDeadline: false,
  agent: async (tools) => {
    const toolkit = Toolkit.make(...tools.map(toTool))
    const handlers = toolkit.toLayer(Object.fromEntries(tools.map((tool) => [tool.name, handlerOf(tool)])))
    let current: Model = () => []
    const languageModel = Layer.effect(
      LanguageModel.LanguageModel,
      LanguageModel.make({
        generateText: (options) => Effect.suspend(() => reply(current(() => read(options)))),
        streamText: () => Stream.empty
      })
    )
    const runtime = ManagedRuntime.make(Layer.merge(handlers, languageModel))
    await runtime.runtime()
    const turn = Effect.gen(function* () {
      const chat = yield* Chat.empty
      let prompt: Prompt.RawInput = "Go."
      for (;;) {
        const response = yield* chat.generateText({ prompt, toolkit, concurrency: "unbounded" })
        if (response.toolCalls.length === 0) return
        prompt = Prompt.empty
      }
    })
    return async (model, signal) => {
      current = model
      await runtime.runPromise(turn, signal === undefined ? {} : { signal })
    }
  }
})
