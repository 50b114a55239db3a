/** A batch on `Promise.allSettled` and zod, kept as the blocks that the model reads. */
import { input } from "../../peers/schema.ts"
import { type Call, outputText, type ResultBlock, type Tool } from "../../work/peer.ts"
import type { Batch } from "../held.ts"

export const settled =
  (execute: Tool["run"]): Batch =>
  async (calls) => {
    const all = await Promise.allSettled(
      calls.map(async (call: Call) => outputText(await execute(input.parse(JSON.parse(call.input)), undefined)))
    )
    return calls.map(({ id }, i): ResultBlock => {
      const one = all[i]
      return one?.status === "fulfilled"
        ? { type: "tool_result", tool_use_id: id, content: one.value }
        : { type: "tool_result", tool_use_id: id, content: String(one?.reason), is_error: true }
    })
  }
