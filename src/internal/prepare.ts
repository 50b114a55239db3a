/** Decode: what is known of a call before it may start, or why it never will. */
import type * as Context from "effect/Context"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Tool from "../Tool.ts"
import * as ToolError from "../ToolError.ts"
import * as Failed from "./failed.ts"
import * as Input from "./input.ts"

export interface Prepared {
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
export const prepare = (
  tool: Tool.Tool,
  written: object,
  context: Context.Context<never>,
  batchId: string
): Either.Either<Prepared, Failed.Failed> => {
  const { definition } = tool
  const refuse = (error: ToolError.CallError) => Either.left(Failed.of(error, definition))
  const decoded = Input.decode(definition, written)
  if (Either.isEither(decoded) && Either.isLeft(decoded)) return refuse(decoded.left)
  const handler = tool.handler(context)
  if (Option.isNone(handler)) return refuse(missing(definition, batchId))
  return Either.right({ definition, handler: handler.value, written, input: decoded })
}

/** What the call uses that only one call may use at a time; none where its input takes time to decode. */
export const resourceOf = ({ definition, input }: Prepared): string | undefined =>
  Either.isEither(input) && Either.isRight(input)
    ? Either.getOrElse(
        Either.try(() => definition.resource(input.right)),
        () => undefined
      )
    : undefined
