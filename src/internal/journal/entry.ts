/** A call's entry in the journal of its batch: what is known of it, and where what happens to it is written down. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { JournalError, Log } from "../../services/Journal.ts"
import type * as Tool from "../../Tool.ts"
import * as ToolError from "../../ToolError.ts"
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
  readonly started: (attempt: number) => Effect.Effect<void, JournalError>
  readonly attemptFailed: (attempt: number, failed: Failed) => Effect.Effect<void, JournalError>
  readonly landed: (attempts: number, result: Answer | Failed) => Effect.Effect<void, JournalError>
}

/** The journal of one batch. */
export interface Entries {
  readonly entry: (
    definition: Tool.Definition,
    operation: Record.Operation,
    isHere: (callId: string) => boolean
  ) => Entry
}

export const isAnswer = (result: Answer | Failed): result is Answer => "source" in result

/** An error as the tool's schemas write it. One that they refuse is still told by its tag. */
const encodeError = (definition: Tool.Definition, error: ToolError.ToolError): Effect.Effect<unknown> =>
  Effect.orElseSucceed(Schema.encode(ToolError.schema(definition.failure))(error), () => undefined)

export const make = (log: Log, whenFailing: "go on" | "stop before writes"): Entries => {
  const ledger = Ledger.make(log.records)
  return {
    entry: (definition, asked, isHere) => {
      const known = ledger.claim(asked, isHere)
      // One that was begun under another call's id goes on under its own key.
      const operation = known === undefined ? asked : { ...asked, key: known.operation.key }
      return {
        operation,
        known,
        stopsWrites: whenFailing === "stop before writes",
        isKnown: log.isKnown,
        started: (attempt) => log.append({ _tag: "Started", ...operation, attempt }),
        attemptFailed: (attempt, { error, fault }) =>
          Effect.flatMap(encodeError(definition, error), (error) =>
            log.append({ _tag: "AttemptFailed", ...operation, attempt, error, fault })
          ),
        landed: (attempts, result) =>
          isAnswer(result)
            ? Effect.flatMap(
                result.replaces === undefined ? Effect.succeed(undefined) : encodeError(definition, result.replaces),
                (replaces) =>
                  log.append({
                    _tag: "Landed",
                    ...operation,
                    attempts,
                    source: result.source,
                    outcome: { _tag: "Success", encoded: result.encoded, replaces }
                  })
              )
            : Effect.flatMap(encodeError(definition, result.error), (error) =>
                log.append({
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
