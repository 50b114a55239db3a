/** A call's entry in the journal of its batch: what is known of it, and where what happens to it is written down. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { JournalError, Log } from "../../services/Journal.ts"
import type * as Tool from "../../Tool.ts"
import * as ToolError from "../../ToolError.ts"
import { canonical } from "../canonical.ts"
import type { Failed } from "../failed.ts"
import type { Answer } from "../job.ts"
import * as Ledger from "./ledger.ts"
import type * as Record from "./record.ts"

export interface Entry {
  readonly operation: Record.Operation
  readonly known: Ledger.Known | undefined
  /** Whether a write may not be started while the journal fails, or does not say what happened before. */
  readonly stopsWrites: boolean
  readonly isKnown: boolean
  /** Whether that tool was asked in its place by an earlier process. */
  readonly wasAskedInstead: (tool: string) => boolean
  readonly started: (attempt: number) => Effect.Effect<void, JournalError>
  readonly attemptFailed: (attempt: number, failed: Failed) => Effect.Effect<void, JournalError>
  readonly landed: (attempts: number, result: Answer | Failed) => Effect.Effect<void, JournalError>
}

/** The journal of one batch. */
export interface Entries {
  /** `since`: where in the log whatever the call waited for has changed last. */
  readonly entry: (
    definition: Tool.Definition,
    operation: Record.Operation,
    isHere: (operation: Record.Operation) => boolean,
    since: number
  ) => Entry
}

export const isAnswer = (result: Answer | Failed): result is Answer => "source" in result

/** An error as the tool's schemas write it; nothing of one that they refuse, or that JSON cannot say. */
const encodeError = (definition: Tool.Definition, error: ToolError.ToolError): Effect.Effect<unknown> =>
  Effect.orElseSucceed(
    Effect.filterOrFail(Schema.encode(ToolError.schema(definition.failure))(error), isJson),
    () => undefined
  )

const isJson = (u: unknown): boolean => canonical(u) !== undefined

/** Names the work of another tool in a call's place. */
export const insteadKey = (key: string, tool: string): string => `${key}/${tool}`

/** Of a read that the call has to wait for now, and has not waited for then. */
const isOutOfDate = ({ effects }: Tool.Definition, { begunAt, state }: Ledger.Known, since: number): boolean =>
  effects === "read" && state._tag === "landed" && begunAt < since

export const make = (log: Log, whenFailing: "go on" | "stop before writes"): Entries => {
  const ledger = Ledger.make(log.records)
  /** What calls came to and could not be recorded. What is begun after it is not recorded without it. */
  const missed = new Set<Record.Record>()

  const append = (record: Record.Record) =>
    Effect.tapError(log.append(record), () => Effect.sync(() => missed.add(record)))

  const appendMissed = Effect.suspend(() =>
    Effect.forEach(
      missed,
      (record) =>
        Effect.map(log.append(record), () => {
          missed.delete(record)
        }),
      { discard: true }
    )
  )
  return {
    entry: (definition, asked, isHere, since) => {
      const claimed = ledger.claim(asked, isHere)
      const known = claimed !== undefined && isOutOfDate(definition, claimed, since) ? undefined : claimed
      // One that was begun under another call's id goes on under its own key.
      const operation = claimed === undefined ? asked : { ...asked, key: claimed.operation.key }
      return {
        operation,
        known,
        stopsWrites: whenFailing === "stop before writes",
        isKnown: log.isKnown,
        wasAskedInstead: (tool) => ledger.has(insteadKey(operation.key, tool)),
        started: (attempt) => Effect.zipRight(appendMissed, log.append({ _tag: "Started", ...operation, attempt })),
        attemptFailed: (attempt, { error, fault }) =>
          Effect.flatMap(encodeError(definition, error), (error) =>
            append({ _tag: "AttemptFailed", ...operation, attempt, error, fault })
          ),
        landed: (attempts, result) =>
          isAnswer(result)
            ? Effect.flatMap(
                result.replaces === undefined ? Effect.succeed(undefined) : encodeError(definition, result.replaces),
                (replaces) =>
                  append({
                    _tag: "Landed",
                    ...operation,
                    attempts,
                    source: result.source,
                    outcome: { _tag: "Success", encoded: result.encoded, replaces }
                  })
              )
            : Effect.flatMap(encodeError(definition, result.error), (error) =>
                append({
                  _tag: "Landed",
                  ...operation,
                  attempts,
                  source: "executed",
                  outcome: { _tag: "Failure", error, fault: result.fault }
                })
              )
      }
    }
  }
}
