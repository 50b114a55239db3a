/** What the log of a batch says of each operation, and which call of the present batch an operation belongs to. */
import type * as Record from "./record.ts"

/**
 * `running`: an execution began, and nothing says how it ended. `failed`: the last execution failed, and none began
 * after it. `landed`: it has its result.
 */
export type State =
  | { readonly _tag: "running" }
  | { readonly _tag: "failed"; readonly last: Record.AttemptFailed }
  | { readonly _tag: "landed"; readonly result: Record.Landed }

export interface Known {
  readonly operation: Record.Operation
  readonly attempts: number
  readonly state: State
  /** Where in the log its execution began, and where it got its result. */
  readonly begunAt: number
  readonly landedAt: number
}

export interface Ledger {
  /**
   * What is known of an operation: of that very one, or else of one with the same tool and input under the id of a call
   * that is not there any more, as when the model is asked for its turn again. What was taken is not given twice.
   */
  readonly claim: (operation: Record.Operation, isHere: (operation: Record.Operation) => boolean) => Known | undefined
  /** Whether anything is known of the operation with that key. */
  readonly has: (key: string) => boolean
}

const running: State = { _tag: "running" }

const read = (records: ReadonlyArray<Record.Record>): Map<string, Known> => {
  const byKey = new Map<string, Known>()
  /** Those that have begun and have no result since. */
  const begun = new Map<string, number>()
  const put = (
    { callId, input, isInstead, key, tool }: Record.Operation,
    attempts: number,
    state: State,
    at: number
  ) => {
    const known = byKey.get(key)
    if (!begun.has(key)) begun.set(key, at)
    // What has its result keeps it, until there is another.
    if (known?.state._tag === "landed" && state._tag !== "landed") return
    const operation = { key, callId, tool, input, isInstead }
    const begunAt = begun.get(key) ?? at
    if (state._tag === "landed") begun.delete(key)
    byKey.set(key, { operation, attempts: Math.max(attempts, known?.attempts ?? 0), state, begunAt, landedAt: at })
  }
  for (const [at, record] of records.entries()) {
    switch (record._tag) {
      case "Started":
        put(record, record.attempt, running, at)
        break
      case "AttemptFailed":
        put(record, record.attempt, { _tag: "failed", last: record }, at)
        break
      case "Landed":
        put(record, record.attempts, { _tag: "landed", result: record }, at)
        break
      default:
    }
  }
  return byKey
}

const isSame = (one: Record.Operation, other: Record.Operation): boolean =>
  one.tool === other.tool && one.input === other.input && one.isInstead === other.isInstead

export const make = (records: ReadonlyArray<Record.Record>): Ledger => {
  const left = read(records)
  const take = (known: Known): Known => {
    left.delete(known.operation.key)
    return known
  }
  return {
    has: (key) => left.has(key),
    claim: (operation, isHere) => {
      if (left.size === 0) return undefined
      const own = left.get(operation.key)
      if (own !== undefined) return isSame(own.operation, operation) ? take(own) : undefined
      // JSON cannot say what it was given, so nothing says that it is the same.
      if (operation.input === undefined) return undefined
      for (const known of left.values()) {
        if (!isSame(known.operation, operation)) continue
        // It may have gone on under this id before.
        if (known.operation.callId === operation.callId || !isHere(known.operation)) return take(known)
      }
      return undefined
    }
  }
}
