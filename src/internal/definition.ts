/** Checking what a programmer defines: tools, toolboxes, policies. */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

/**
 * A tool, toolbox or policy was defined wrongly. Thrown where it is defined, since it is a mistake in the program:
 * names the field, what stands there and what would be accepted.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidDefinition extends Schema.TaggedError<InvalidDefinition>("salvo/InvalidDefinition")(
  "InvalidDefinition",
  { subject: Schema.String, field: Schema.String, actual: Schema.String, accepts: Schema.String }
) {
  override get message() {
    return `${this.subject}: ${this.field} is ${this.actual}; it takes ${this.accepts}`
  }
}

const maxShown = 60

/** The kind of a value and, where it is short, the value itself. */
export const kindOf = (u: unknown): string => {
  if (u === null || u === undefined) return String(u)
  if (Array.isArray(u)) return `an array of ${u.length}`
  switch (typeof u) {
    case "string":
      return u.length <= maxShown ? `the string ${JSON.stringify(u)}` : `a string of ${u.length} characters`
    case "object":
    case "function":
      return `${typeof u === "object" ? "an object" : "a function"}`
    default:
      return `the ${typeof u} ${String(u)}`
  }
}

const at = (u: unknown, path: ReadonlyArray<PropertyKey>): unknown =>
  path.reduce<unknown>(
    (value, key) => (typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined),
    u
  )

/** Throws `InvalidDefinition` for the first field of `value` that `schema` refuses. */
export const checkAgainst = <A, I>(
  schema: Schema.Schema<A, I>,
  value: unknown,
  subject: string,
  field: string
): void => {
  const checked = Schema.decodeUnknownEither(schema, { onExcessProperty: "error" })(value)
  if (Either.isRight(checked)) return
  const issue = ParseResult.ArrayFormatter.formatErrorSync(checked.left)[0]
  const path = issue?.path ?? []
  throw new InvalidDefinition({
    subject,
    field: [field, ...path.map(String)].join("."),
    actual: kindOf(at(value, path)),
    accepts: issue?._tag === "Unexpected" ? "no such field" : (issue?.message ?? "something else")
  })
}
