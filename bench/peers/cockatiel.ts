/** cockatiel: retry around a circuit breaker around a deadline, one for each tool. */
import {
  circuitBreaker,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleAll,
  retry,
  timeout,
  TimeoutStrategy,
  wrap
} from "cockatiel"
import { servePeer } from "../work/serve.ts"
import { settledLoop } from "./settled.ts"

const policy = (toolMillis: number) =>
  wrap(
    retry(handleAll, { maxAttempts: 2, backoff: new ExponentialBackoff({ initialDelay: 10 }) }),
    circuitBreaker(handleAll, { halfOpenAfter: 10_000, breaker: new ConsecutiveBreaker(5) }),
    timeout(toolMillis, TimeoutStrategy.Aggressive)
  )

servePeer({
  kind: "library",
  hasDeadline: true,
  agent: async (tools, { toolMillis }) => {
    const policies = new Map(tools.map((tool) => [tool, policy(toolMillis)]))
    return settledLoop(tools, async (tool, input, signal) =>
      policies.get(tool)?.execute(({ signal }) => tool.run(input, signal), signal)
    )
  }
})
