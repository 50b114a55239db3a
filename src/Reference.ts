/**
 * A call's input that points into the output of another call of the same turn, so that the model can plan calls that
 * depend on each other in one turn.
 *
 * In the standard syntax `{ "$ref": "#1/user/id" }` stands in place of any value: a position, a label or a call id, and
 * a JSON pointer (RFC 6901) into that call's output. `{ "$text": "Dear ${#1/name}" }` embeds values in a text, with
 * `${$}` for a dollar sign that would be misread. `{ "$literal": … }` is taken as it is, whatever is in it. `"$label"` in
 * the arguments names the call.
 *
 * References are found in what the model wrote, and once: what comes out of an output is never read as one.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Either from "effect/Either"
import * as Issues from "./internal/reference/issues.ts"
import type * as Model from "./internal/reference/model.ts"
import * as Parser from "./internal/reference/parser.ts"
import * as Pointer from "./internal/reference/pointer.ts"
import * as Standard from "./internal/reference/standard.ts"
import * as Target from "./internal/reference/target.ts"
import type { Issue, UnresolvedReference } from "./ToolError.ts"

/**
 * What a reference says: `raw` is how the model wrote it, `target` a position, a label or a call id (which of them is
 * for `lookUp` to decide), `pointer` a JSON pointer, "" for the whole output.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pointed extends Model.Pointed {}

/**
 * A reference at one place of an input. `embedded` ones are part of a text.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ref extends Model.Ref {}

/**
 * What a syntax finds in an input. `fill` gives the input with the values that `resolve` finds in place of the
 * references, without a label and other marks of the syntax; the input itself stays as it is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Parsed extends Model.Parsed {}

/**
 * What a syntax consists of: how references are found in an input, the schema of an input that may have them, and what
 * the model is told about them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Grammar extends Model.Grammar {}

/**
 * What a value of an input turned out to be: a reference in its place, a text with references, or something to be taken
 * as it is.
 *
 * @since 0.1.0
 * @category models
 */
export type Found = Model.Found

/**
 * The calls of a turn, by all that a reference may call them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Calls extends Target.Calls {}

/**
 * The syntax with `$ref`, `$text`, `$literal` and `$label`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const standard: Grammar = Standard.standard

/**
 * How references are written: the standard way, unless another is provided.
 *
 * @since 0.1.0
 * @category tags
 */
export class Syntax extends Context.Reference<Syntax>()("salvo/Reference/Syntax", {
  defaultValue: (): Grammar => standard
}) {}

/**
 * The `parse` of a grammar, from how one value is read. `read` is asked about the input, then about everything in it,
 * from the outside in; into what it finds nobody looks any further. Never throws, whatever the input.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parser: (
  read: (value: unknown) => Either.Either<Found | undefined, UnresolvedReference>
) => Grammar["parse"] = Parser.parser

/**
 * @since 0.1.0
 * @category constructors
 */
export const calls: (calls: ReadonlyArray<{ readonly id: string; readonly label?: string | undefined }>) => Calls =
  Target.calls

/**
 * Which call is meant, from 0: the position of one, else the label of one, else the id of one.
 *
 * @since 0.1.0
 * @category combinators
 */
export const lookUp: (
  reference: Pick<Pointed, "raw" | "target">,
  calls: Calls
) => Either.Either<number, UnresolvedReference> = Target.lookUp

/**
 * What is at a JSON pointer, or the reason why nothing is: how far the way led and what was there, without the values of
 * the output, which may be secrets.
 *
 * @since 0.1.0
 * @category combinators
 */
export const pointerInto: (output: unknown, pointer: string) => Either.Either<unknown, string> = Pointer.pointerInto

/**
 * Issues of a filled input; those about a value that came from an output say so.
 *
 * @since 0.1.0
 * @category combinators
 */
export const explainIssues: (issues: ReadonlyArray<Issue>, references: ReadonlyArray<Ref>) => ReadonlyArray<Issue> =
  Issues.explainIssues
