/**
 * What became of a call: exactly one result per call.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { Fault } from "./Fault.ts"
import type * as Tool from "./Tool.ts"
import { ToolCall } from "./ToolCall.ts"
import * as ToolError from "./ToolError.ts"
import type { Toolbox } from "./Toolbox.ts"

/**
 * Where a success came from: the handler (`executed`; a second execution of it that was faster, `hedge`), an identical
 * call of the same batch (`coalesced`), the `cache`, the `journal` of an earlier run, or the `fallback` after the
 * handler failed.
 *
 * @since 0.1.0
 * @category models
 */
export const Source = Schema.Literal("executed", "journal", "coalesced", "cache", "fallback", "hedge")

/**
 * @since 0.1.0
 * @category models
 */
export type Source = typeof Source.Type

/**
 * Where the whole of an output is kept that is longer than the model is shown: under `key` in the `OutputStore`.
 *
 * @since 0.1.0
 * @category models
 */
export const Spilled = Schema.Struct({ key: Schema.String, characters: Schema.Number })

/**
 * @since 0.1.0
 * @category models
 */
export interface Spilled extends Schema.Schema.Type<typeof Spilled> {}

/**
 * @since 0.1.0
 * @category models
 */
export interface Success<out Output = unknown> {
  readonly _tag: "Success"
  readonly call: ToolCall
  readonly output: Output
  /** The output as a JSON value, by the tool's output schema. */
  readonly encoded: unknown
  /** How many times the handler was executed. */
  readonly attempts: number
  /** From the moment the call was ready to the moment this result landed. */
  readonly duration: Duration.Duration
  readonly source: Source
  /** What the fallback stands in for. */
  readonly replaces?: ToolError.ToolError | undefined
  readonly spilled?: Spilled | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Failure<out E = unknown> {
  readonly _tag: "Failure"
  readonly call: ToolCall
  readonly error: ToolError.ToolError<E>
  /** Who is to blame, and whether the world may have changed. */
  readonly fault: Fault
  readonly attempts: number
  readonly duration: Duration.Duration
}

/**
 * @since 0.1.0
 * @category models
 */
export type ToolResult<Tools extends Tool.Tool = Tool.Tool> = Success<Tool.Output<Tools>> | Failure<Tool.Failure<Tools>>

/**
 * @since 0.1.0
 * @category guards
 */
export const isSuccess = <O, E>(result: Success<O> | Failure<E>): result is Success<O> => result._tag === "Success"

/**
 * @since 0.1.0
 * @category guards
 */
export const isFailure = <O, E>(result: Success<O> | Failure<E>): result is Failure<E> => result._tag === "Failure"

/**
 * Whether a result is of this very tool, which narrows its output and failure.
 *
 * @since 0.1.0
 * @category guards
 */
export const isOf =
  <T extends Tool.Tool>(tool: T) =>
  (result: ToolResult): result is Success<Tool.Output<T>> | Failure<Tool.Failure<T>> =>
    result.call.name === tool.definition.name

/**
 * For those who want an `Either`: the output, or the error.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toEither = <O, E>(result: Success<O> | Failure<E>): Either.Either<O, ToolError.ToolError<E>> =>
  result._tag === "Success" ? Either.right(result.output) : Either.left(result.error)

/**
 * The schema of the results of one tool, by which they are stored, sent and read back.
 *
 * @since 0.1.0
 * @category schemas
 */
export const schemaOf = <T extends Tool.Tool>(tool: T): Schema.Schema<ToolResult<T>, unknown> => {
  const error = ToolError.schema(tool.definition.failure)
  const common = { call: ToolCall, attempts: Schema.Number, duration: Schema.Duration }
  return Schema.Union(
    Schema.TaggedStruct("Success", {
      ...common,
      output: tool.definition.output,
      encoded: Schema.Unknown,
      source: Source,
      replaces: Schema.optional(Schema.UndefinedOr(error)),
      spilled: Schema.optional(Schema.UndefinedOr(Spilled))
    }),
    Schema.TaggedStruct("Failure", { ...common, error, fault: Fault })
    // The definition's schemas are those of the tool's type.
  ) as unknown as Schema.Schema<ToolResult<T>, unknown>
}

/**
 * The schema of the results of any tool of a toolbox. Which tool's schemas hold is read off `call.name`; a call to no
 * known tool has only an error.
 *
 * @since 0.1.0
 * @category schemas
 */
export const schema = <Tools extends Tool.Tool>(toolbox: Toolbox<Tools>): Schema.Schema<ToolResult<Tools>, unknown> => {
  const byName = new Map([...toolbox.byName].map(([name, tool]) => [name, schemaOf(tool)]))
  const unknownTool = schemaOf({
    definition: { failure: Schema.Never, output: Schema.Never }
    // Only the two schemas are read.
  } as unknown as Tools)
  const named = Schema.Struct({ call: Schema.Struct({ name: Schema.String }) })
  const nameOf = (u: unknown) => (Schema.is(named)(u) ? u.call.name : "")
  return Schema.declare([], {
    decode: () => (u, options, ast) =>
      ParseResult.mapError(
        ParseResult.decodeUnknown(byName.get(nameOf(u)) ?? unknownTool, options)(u),
        (issue) => new ParseResult.Type(ast, u, ParseResult.TreeFormatter.formatIssueSync(issue))
      ),
    encode: () => (u, options, ast) =>
      ParseResult.mapError(
        ParseResult.encodeUnknown(byName.get(nameOf(u)) ?? unknownTool, options)(u),
        (issue) => new ParseResult.Type(ast, u, ParseResult.TreeFormatter.formatIssueSync(issue))
      )
  })
}
