/** Vercel's AI SDK: `generateText`, with a model of its own provider interface. */
import type { LanguageModelV3, LanguageModelV3CallOptions, LanguageModelV3ToolResultOutput } from "@ai-sdk/provider"
import { generateText, stepCountIs, tool } from "ai"
import type { Answer, Call, Model } from "../work/peer.ts"
import { servePeer } from "../work/serve.ts"
import { input } from "./schema.ts"

const text = (output: LanguageModelV3ToolResultOutput): string => {
  if (!("value" in output)) return String(output.reason)
  return typeof output.value === "string" ? output.value : JSON.stringify(output.value)
}

const read = ({ prompt }: LanguageModelV3CallOptions): ReadonlyArray<Answer> => {
  const last = prompt.at(-1)
  if (last?.role !== "tool") return []
  return last.content.flatMap((part) =>
    part.type === "tool-result"
      ? [{ id: part.toolCallId, text: text(part.output), isError: part.output.type.startsWith("error") }]
      : []
  )
}

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 1, text: 1, reasoning: 0 }
}

const reply = (calls: ReadonlyArray<Call>) => ({
  content:
    calls.length === 0
      ? [{ type: "text" as const, text: "Done." }]
      : calls.map(({ id, input, name }) => ({ type: "tool-call" as const, toolCallId: id, toolName: name, input })),
  finishReason: { unified: calls.length === 0 ? ("stop" as const) : ("tool-calls" as const), raw: undefined },
  usage,
  warnings: []
})

const stub = (model: Model): LanguageModelV3 => ({
  specificationVersion: "v3",
  provider: "stub",
  modelId: "stub",
  supportedUrls: {},
  doGenerate: async (options) => reply(model(() => read(options))),
  doStream: () => Promise.reject(new Error("not streamed here"))
})

servePeer({
  kind: "turn",
  hasDeadline: false,
  agent: async (tools) => {
    const toolSet = Object.fromEntries(
      tools.map(({ name, run }) => [
        name,
        tool({
          description: "The weather of a city",
          inputSchema: input,
          execute: (input, { abortSignal }) => run(input, abortSignal)
        })
      ])
    )
    return async (model, abortSignal) => {
      await generateText({
        model: stub(model),
        tools: toolSet,
        prompt: "Go.",
        stopWhen: stepCountIs(20),
        maxRetries: 0,
        ...(abortSignal === undefined ? {} : { abortSignal })
      })
    }
  }
})
