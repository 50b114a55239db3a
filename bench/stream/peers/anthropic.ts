/** The streaming tool runner of Anthropic's SDK, as it is or with `runToolsEagerly`. */
import Anthropic from "@anthropic-ai/sdk"
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod"
import { z } from "zod"
import type { Turn } from "../turn.ts"

export const anthropic =
  (runToolsEagerly: boolean): Turn =>
  async (url, read) => {
    const client = new Anthropic({ apiKey: "none", baseURL: url, maxRetries: 0 })
    const tool = betaZodTool({
      name: "read",
      description: "Reads for half a second",
      inputSchema: z.object({ n: z.number() }),
      run: async ({ n }) => JSON.stringify(await read(n))
    })
    const runner = client.beta.messages.toolRunner({
      model: "claude-haiku-4-5",
      max_tokens: 1024,
      messages: [{ role: "user", content: "Go." }],
      tools: [tool],
      stream: true,
      // The server knows no message threads.
      thread: false,
      runToolsEagerly
    })
    await runner.runUntilDone()
  }
