/** The other calls that a call names: what it says it depends on, and references in what the model wrote. */
import * as Either from "effect/Either"
import type * as Reference from "../Reference.ts"
import type { ToolCall } from "../ToolCall.ts"
import * as Failed from "./failed.ts"
import type { Looked } from "./jobs.ts"
import type { Target } from "./node.ts"

export const parse = (
  syntax: Reference.Syntax["Type"],
  looked: Either.Either<Looked, Failed.Failed>
): Either.Either<Reference.Parsed, Failed.Failed> =>
  Either.flatMap(looked, ({ written }) => Either.mapLeft(syntax.parse(written), (error) => Failed.of(error)))

const none: ReadonlyArray<Target> = []

export const of = ({ dependsOn = [] }: ToolCall, parsed: Reference.Parsed | undefined): ReadonlyArray<Target> => {
  const references = parsed?.references ?? []
  if (dependsOn.length === 0 && references.length === 0) return none
  return [
    ...dependsOn.map((name) => ({ name, kind: "id", isReference: false }) as const),
    ...references.map(({ target, raw }) => ({ name: target, raw, kind: "any", isReference: true }) as const)
  ]
}
