/** `Promise.allSettled` and zod: what one writes without a library. */
import { servePeer } from "../work/serve.ts"
import { settledLoop } from "./settled.ts"

servePeer({
  kind: "library",
  hasDeadline: false,
  agent: async (tools) => settledLoop(tools, (tool, input, signal) => tool.run(input, signal))
})
