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
  /**
   * What call `i` has to do: lead, follow, or take the result that is already there. Only calls of one `bucket` can be
   * the same; `keyOf` tells which of them are, and is asked where there are several.
   */
  readonly join: (
    bucket: number,
    i: number,
    keyOf: (i: number) => string | undefined
  ) => "lead" | { readonly follows: number } | ToolResult.ToolResult
  /** Those who followed call `i`, now that it has landed. */
  readonly landed: (i: number) => ReadonlyArray<number>
}

/** Of calls that may be the same. One that is alone there is only its position. */
interface Bucket {
  readonly byKey: Map<string, Flight>
}

const none: ReadonlyArray<number> = []

export const flights = (resultOf: (i: number) => ToolResult.ToolResult | undefined): Flights => {
  const buckets = new Map<number, Bucket | number>()
  const led = new Map<number, Flight>()

  const lead = (byKey: Map<string, Flight>, key: string, i: number): "lead" => {
    const flight = { leader: i, followers: [] }
    byKey.set(key, flight)
    led.set(i, flight)
    return "lead"
  }

  const take = ({ byKey }: Bucket, key: string, i: number) => {
    const flight = byKey.get(key)
    // A follower that has to start afresh asks again.
    if (flight === undefined || flight.leader === i) return lead(byKey, key, i)
    const result = resultOf(flight.leader)
    if (result === undefined) {
      flight.followers.push(i)
      return { follows: flight.leader }
    }
    return isShared(result) ? result : lead(byKey, key, i)
  }

  return {
    join: (bucket, i, keyOf) => {
      const found = buckets.get(bucket)
      // Most calls are alone, and never need a key.
      if (found === undefined) {
        buckets.set(bucket, i)
        return "lead"
      }
      const all: Bucket = typeof found === "number" ? { byKey: new Map() } : found
      if (typeof found === "number") {
        buckets.set(bucket, all)
        const key = keyOf(found)
        if (key !== undefined) lead(all.byKey, key, found)
      }
      const key = keyOf(i)
      return key === undefined ? "lead" : take(all, key, i)
    },
    landed: (i) => led.get(i)?.followers.splice(0) ?? none
  }
}
