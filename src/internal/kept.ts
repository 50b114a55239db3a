/** What the calls of an incomplete turn have found out, for the same calls of the turn that is asked instead. */
import type { ToolCall } from "../ToolCall.ts"
import type * as ToolResult from "../ToolResult.ts"
import { canonical } from "./canonical.ts"

export interface Kept {
  /** The answers, for one turn: each is given once. */
  readonly forTurn: () => {
    /** `input` has its references resolved. */
    readonly recall: (call: ToolCall, input: object) => ToolResult.Success | undefined
    /** The turn is incomplete: keeps the answers that it has found itself. */
    readonly keep: (results: ReadonlyArray<ToolResult.ToolResult>) => void
  }
  readonly forget: () => void
}

type Answers = Map<string, ReadonlyArray<ToolResult.Success>>

export const make = (): Kept => {
  const kept: Answers = new Map()

  const forTurn: Kept["forTurn"] = () => {
    const left: Answers = new Map(kept)
    /** Of the calls that were not answered from here. */
    const keys = new Map<string, string>()
    return {
      recall: (call, input) => {
        const text = canonical(input)
        if (text === undefined) return undefined
        const key = `${call.name} ${text}`
        const [answer, ...others] = left.get(key) ?? []
        left.set(key, others)
        if (answer === undefined) keys.set(call.id, key)
        return answer
      },
      keep: (results) => {
        for (const result of results) {
          const key = keys.get(result.call.id)
          if (result._tag === "Success" && key !== undefined) kept.set(key, [...(kept.get(key) ?? []), result])
        }
      }
    }
  }

  return { forTurn, forget: () => kept.clear() }
}
