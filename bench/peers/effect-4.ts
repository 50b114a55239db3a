/** `effect/ai` of Effect 4: a chat with a toolkit over a stub of its `LanguageModel`. */
import { Effect, Layer, ManagedRuntime, Schema, Stream } from "effect-4"
import { AiError, Chat, LanguageModel, Prompt, type Response, Tool, Toolkit } from "effect-4/ai"
import { type Answer, type Call, type Model, outputText, type Tool as BenchTool, watches } from "../work/peer.ts"
import { servePeer } from "../work/serve.ts"

const Input = Schema.Struct({
  city: Schema.NonEmptyString,
  country: Schema.String.check(Schema.isBetweenLength(2, 2)),
  days: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 14 })),
  units: Schema.Literals(["metric", "imperial"]),
  detailed: Schema.Boolean
})

const Output = Schema.Struct({ city: Schema.String, celsius: Schema.Number })

class ForecastFailed extends Schema.TaggedError<ForecastFailed>()("ForecastFailed", { reason: Schema.String }) {}

const failed = (error: unknown) => new ForecastFailed({ reason: String(error) })

const read = ({ prompt }: LanguageModel.ProviderOptions): ReadonlyArray<Answer> => {
  const last = prompt.content.at(-1)
  if (last?.role !== "tool") return []
  return last.content.flatMap((part) =>
    part.type === "tool-result" ? [{ id: part.id, text: outputText(part.result), isError: part.isFailure }] : []
  )
}

const usage = {
  inputTokens: { uncached: 1, total: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 }
}

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
      AiError.make({
        module: "Stub",
        method: "generateText",
        reason: new AiError.InvalidOutputError({ description: String(cause) })
      })
  })

const toTool = ({ name }: BenchTool) =>
  Tool.make(name, {
    description: "The weather of a city",
    parameters: Input,
    success: Output,
    failure: ForecastFailed,
    failureMode: "return"
  })

servePeer({
  kind: "turn",
  hasDeadline: false,
  agent: async (tools) => {
    const toolkit = Toolkit.make(...tools.map(toTool))
    const handlers = toolkit.toLayer(
      Object.fromEntries(
        tools.map((tool) => {
          // Some tools answer with what is no output, on purpose.
          const run = tool.run as (input: typeof Input.Type, signal?: AbortSignal) => Promise<typeof Output.Type>
          const handler = (input: typeof Input.Type) =>
            Effect.tryPromise({ try: watches(tool) ? (signal) => run(input, signal) : () => run(input), catch: failed })
          return [tool.name, handler]
        })
      )
    )
    let current: Model = () => []
    const languageModel = Layer.effect(
      LanguageModel.LanguageModel,
      LanguageModel.make({
        generateText: (options) => Effect.suspend(() => reply(current(() => read(options)))),
        streamText: () => Stream.empty
      })
    )
    const runtime = ManagedRuntime.make(Layer.merge(handlers, languageModel))
    await runtime.context()
    const turn = Effect.gen(function* () {
      const chat = yield* Chat.empty
      let prompt: Prompt.RawInput = "Go."
      for (;;) {
        const response = yield* chat.generateText({ prompt, toolkit })
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
