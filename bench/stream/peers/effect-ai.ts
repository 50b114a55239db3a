/**
 * `@effect/ai`: a streaming chat with a toolkit on its Anthropic layer. The server also sends an event of a type that
 * nobody knows, as the API says it may; the layer fails on it, so it is spared that.
 */
import * as Chat from "@effect/ai/Chat"
import * as Prompt from "@effect/ai/Prompt"
import * as Tool from "@effect/ai/Tool"
import * as Toolkit from "@effect/ai/Toolkit"
import * as AnthropicClient from "@effect/ai-anthropic/AnthropicClient"
import * as AnthropicLanguageModel from "@effect/ai-anthropic/AnthropicLanguageModel"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { serveTurn } from "../turn.ts"

const toolkit = Toolkit.make(
  Tool.make("read", {
    description: "Reads for half a second",
    parameters: { n: Schema.Number },
    success: Schema.Number
  })
)

const turn = Effect.gen(function* () {
  const chat = yield* Chat.empty
  let prompt: Prompt.RawInput = "Go."
  for (let called = true; called;) {
    called = false
    yield* chat.streamText({ prompt, toolkit, concurrency: "unbounded" }).pipe(
      Stream.runForEach((part) =>
        Effect.sync(() => {
          called ||= part.type === "tool-call"
        })
      )
    )
    prompt = Prompt.empty
  }
})

/** The response without its unknown events. */
const fetchKnown: typeof fetch = async (...request) => {
  const response = await fetch(...request)
  let rest = ""
  const known = new TransformStream<string, string>({
    transform: (chunk, controller) => {
      const events = (rest + chunk).split("\n\n")
      rest = events.pop() ?? ""
      for (const event of events) if (!event.includes("salvo_unknown_event")) controller.enqueue(`${event}\n\n`)
    }
  })
  const body = response.body
    ?.pipeThrough(new TextDecoderStream())
    .pipeThrough(known)
    .pipeThrough(new TextEncoderStream())
  return new Response(body, response)
}

serveTurn((url, read) => {
  const model = AnthropicLanguageModel.layer({ model: "claude-haiku-4-5" }).pipe(
    Layer.provide(AnthropicClient.layer({ apiKey: Redacted.make("none"), apiUrl: url })),
    Layer.provide(FetchHttpClient.layer),
    Layer.provide(Layer.succeed(FetchHttpClient.Fetch, fetchKnown))
  )
  const handlers = toolkit.toLayer({ read: ({ n }) => Effect.promise(() => read(n)) })
  return Effect.runPromise(Effect.provide(turn, Layer.merge(model, handlers)))
})
