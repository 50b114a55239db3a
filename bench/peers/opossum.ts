/** opossum: a circuit breaker with a deadline for each tool. */
import CircuitBreaker from "opossum"
import type { Input } from "../work/peer.ts"
import { servePeer } from "../work/serve.ts"
import { settledLoop } from "./settled.ts"

servePeer({
  kind: "library",
  hasDeadline: true,
  agent: async (tools, { toolMillis }) => {
    const breakers = new Map(
      tools.map((tool) => [
        tool,
        new CircuitBreaker((input: Input, signal: AbortSignal | undefined) => tool.run(input, signal), {
          timeout: toolMillis,
          // Without it the first failure opens the circuit.
          volumeThreshold: 5
        })
      ])
    )
    return settledLoop(tools, async (tool, input, signal) => breakers.get(tool)?.fire(input, signal))
  }
})
