/** A batch on `Promise.allSettled` and zod. */
import { type Call, loop, outputText, type ResultBlock, type Tool } from "../work/peer.ts"
import { input } from "./schema.ts"

export type Execute = (
  tool: Tool,
  input: Parameters<Tool["run"]>[0],
  signal: AbortSignal | undefined
) => Promise<unknown>

const block = (call: Call, settled: PromiseSettledResult<string> | undefined): ResultBlock =>
  settled?.status === "fulfilled"
    ? { type: "tool_result", tool_use_id: call.id, content: settled.value }
    : { type: "tool_result", tool_use_id: call.id, content: String(settled?.reason), is_error: true }

/** The same for all that only differ in how they execute a tool. */
export const settledLoop = (tools: ReadonlyArray<Tool>, execute: Execute) => {
  const byName = new Map(tools.map((tool) => [tool.name, tool]))
  return loop(async (calls, signal) => {
    const settled = await Promise.allSettled(
      calls.map(async (call) => {
        const tool = byName.get(call.name)
        if (tool === undefined) throw new Error(`there is no tool ${call.name}`)
        return outputText(await execute(tool, input.parse(JSON.parse(call.input)), signal))
      })
    )
    return calls.map((call, i) => block(call, settled[i]))
  })
}
