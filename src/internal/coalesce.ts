/**
 * Identical reads of one batch run once: the first one leads, the others follow it and are given its result. A leader
 * that ended for reasons of its own (its time was up, it was interrupted) takes nobody with it: the next one leads.
 */
import * as Duration from "effect/Duration"
import type { ToolCall } from "../ToolCall.ts"
import type * as ToolResult from "../ToolResult.ts"

/** Whether a result speaks of the tool, and not only of the call that got it. */
export const isShared = (result: ToolResult.ToolResult): boolean => {
  if (result._tag === "Success") return true
  const { error, fault } = result
  return fault.owner !== "run" && !(error._tag === "Timeout" && (error.kind === "total" || error.kind === "batch"))
}

/** The leader's result as its follower's. */
export const share = (result: ToolResult.ToolResult, call: ToolCall, millis: number): ToolResult.ToolResult => {
  const own = { call, attempts: 0, duration: Duration.millis(millis) }
  return result._tag === "Success" ? { ...result, ...own, source: "coalesced" } : { ...result, ...own }
}

interface Flight {
  leader: number
  readonly followers: Array<number>
}

export interface Flights {
  /** What call `i` has to do: lead, follow, or take the result that is already there. */
  readonly join: (key: string, i: number) => "lead" | "follow" | ToolResult.ToolResult
  readonly leaderOf: (key: string) => number | undefined
  /** Those who followed call `i`, now that it has landed. */
  readonly landed: (key: string, i: number) => ReadonlyArray<number>
}

export const flights = (resultOf: (i: number) => ToolResult.ToolResult | undefined): Flights => {
  const byKey = new Map<string, Flight>()
  return {
    join: (key, i) => {
      const flight = byKey.get(key)
      const result = flight === undefined ? undefined : resultOf(flight.leader)
      if (flight !== undefined && result === undefined) {
        flight.followers.push(i)
        return "follow"
      }
      if (result !== undefined && isShared(result)) return result
      byKey.set(key, { leader: i, followers: [] })
      return "lead"
    },
    leaderOf: (key) => byKey.get(key)?.leader,
    landed: (key, i) => {
      const flight = byKey.get(key)
      return flight?.leader === i ? flight.followers.splice(0) : []
    }
  }
}
