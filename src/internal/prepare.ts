/** Decode: what is known of a call before it may start, or why it never will. */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Tool from "../Tool.ts"
import * as ToolError from "../ToolError.ts"
import * as Failed from "./failed.ts"
import * as Input from "./input.ts"

export interface Prepared<out Protection = unknown> {
  readonly protection: Protection
  readonly definition: Tool.Definition
  readonly handler: Tool.Handler<never, unknown, unknown>
  /** The arguments before they are decoded. */
  readonly written: object
  readonly input: Input.Decoded
}

const missing = (definition: Tool.Definition, correlationId: string) =>
  new ToolError.ToolDefect({
    correlationId,
    name: "MissingImplementation",
    code: undefined,
    detail: `No layer provides the tool ${definition.name}`
  })

/** Of one tool: its handler, and the arguments by its schema. */
export const prepare = <Protection>(
  tool: Tool.Tool,
  written: object,
  handler: Option.Option<Tool.Handler<never, unknown, unknown>>,
  batchId: string,
  protection: Protection
): Either.Either<Prepared<Protection>, Failed.Failed> => {
  const { definition } = tool
  const input = Input.decode(definition, written)
  if (Either.isEither(input) && Either.isLeft(input)) return Either.left(Failed.of(input.left, definition))
  return Option.isNone(handler)
    ? Either.left(Failed.of(missing(definition, batchId), definition))
    : Either.right({ protection, definition, handler: handler.value, written, input })
}

/** What the call uses that only one call may use at a time; none where its input takes time to decode. */
export const resourceOf = ({ definition, input }: Prepared): string | undefined => {
  if (!Either.isEither(input) || Either.isLeft(input)) return undefined
  try {
    return definition.resource(input.right)
  } catch {
    // It is told when the call is run.
    return undefined
  }
}
