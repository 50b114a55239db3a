/** The same, with a deadline raced against each tool. */
import { type Input, type Tool, watches } from "../work/peer.ts"
import { servePeer } from "../work/serve.ts"
import { settledLoop } from "./settled.ts"

const withDeadline = async (millis: number, tool: Tool, input: Input): Promise<unknown> => {
  const abort = watches(tool) ? new AbortController() : undefined
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`timed out after ${millis} ms`))
      abort?.abort()
    }, millis)
  })
  try {
    return await Promise.race([tool.run(input, abort?.signal), late])
  } finally {
    clearTimeout(timer)
  }
}

servePeer({
  kind: "library",
  hasDeadline: true,
  agent: async (tools, { toolMillis }) => settledLoop(tools, (tool, input) => withDeadline(toolMillis, tool, input))
})
