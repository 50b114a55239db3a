/** Salvo as a library: `ToolRunner.run`. */
import * as Effect from "effect/Effect"
import { Report, ToolRunner } from "salvo"
import { loop, type ResultBlock } from "../work/peer.ts"
import { servePeer } from "../work/serve.ts"
import { setUp } from "./salvo.ts"

servePeer({
  kind: "library",
  hasDeadline: true,
  agent: async (tools, options) => {
    const { runtime, toolbox } = setUp(tools, options)
    await runtime.runtime()
    return loop((calls, signal) =>
      runtime.runPromise(
        Effect.map(ToolRunner.run(toolbox, calls), (batch) => Report.toolResults(batch) as Array<ResultBlock>),
        { signal }
      )
    )
  }
})
