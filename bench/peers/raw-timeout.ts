/** The same, with a deadline raced against each tool. */
import { servePeer } from "../work/serve.ts"
import { settledLoop } from "./settled.ts"

const withDeadline = async <A>(millis: number, run: (signal: AbortSignal) => Promise<A>): Promise<A> => {
  const abort = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`timed out after ${millis} ms`))
      abort.abort()
    }, millis)
  })
  try {
    return await Promise.race([run(abort.signal), late])
  } finally {
    clearTimeout(timer)
  }
}

servePeer({
  kind: "library",
  hasDeadline: true,
  agent: async (tools, { toolMillis }) =>
    settledLoop(tools, (tool, input) => withDeadline(toolMillis, (signal) => tool.run(input, signal)))
})
