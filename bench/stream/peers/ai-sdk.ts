/** Vercel's AI SDK: `streamText` with its Anthropic provider. */
import { createAnthropic } from "@ai-sdk/anthropic"
import { stepCountIs, streamText, tool } from "ai"
import { z } from "zod"
import { serveTurn } from "../turn.ts"

serveTurn(async (url, read) => {
  const anthropic = createAnthropic({ apiKey: "none", baseURL: `${url}/v1` })
  const result = streamText({
    model: anthropic("claude-haiku-4-5"),
    tools: {
      read: tool({
        description: "Reads for half a second",
        inputSchema: z.object({ n: z.number() }),
        execute: ({ n }) => read(n)
      })
    },
    prompt: "Go.",
    stopWhen: stepCountIs(5),
    maxRetries: 0,
    onError: ({ error }) => {
      throw error
    }
  })
  await result.consumeStream()
})
