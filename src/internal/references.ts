/** The arguments of a call with the values that its references point to. */
import * as Either from "effect/Either"
import * as Reference from "../Reference.ts"
import * as ToolError from "../ToolError.ts"
import type { ToolResult } from "../ToolResult.ts"
import * as Failed from "./failed.ts"
import type { Looked, Ready } from "./jobs.ts"

type OutputOf = (name: string) => ToolResult | undefined

const valueOf =
  (outputOf: OutputOf) =>
  ({ pointer, raw, target }: Reference.Ref): Either.Either<unknown, ToolError.UnresolvedReference> => {
    const refuse = (reason: string) => new ToolError.UnresolvedReference({ reference: raw, reason })
    const result = outputOf(target)
    return result?._tag === "Success"
      ? // A copy: what this handler does to its input must not change the other call's result.
        Either.mapBoth(Reference.pointerInto(result.encoded, pointer), {
          onLeft: refuse,
          onRight: (value) => structuredClone(value)
        })
      : Either.left(refuse("the call it names has no output"))
  }

/** A wrong value that came from an output is told as that reference's. */
const explained =
  ({ references }: Reference.Parsed) =>
  (failed: Failed.Failed): Failed.Failed =>
    failed.error._tag === "InvalidInput"
      ? {
          ...failed,
          error: new ToolError.InvalidInput({ issues: Reference.explainIssues(failed.error.issues, references) })
        }
      : failed

/** Fills and decodes the arguments. The calls that they point to have succeeded. */
export const readyWith = (
  parsed: Reference.Parsed | undefined,
  looked: Looked,
  outputOf: OutputOf,
  prepare: (looked: Looked) => Either.Either<Ready, Failed.Failed>
): Either.Either<Ready, Failed.Failed> =>
  parsed === undefined
    ? prepare(looked)
    : parsed.fill(valueOf(outputOf)).pipe(
        Either.mapLeft((error) => Failed.of(error)),
        Either.flatMap((written) => prepare({ ...looked, written })),
        Either.mapLeft(explained(parsed))
      )
