/** From what the model wrote to what a handler takes. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import type * as Tool from "../Tool.ts"
import * as ToolError from "../ToolError.ts"
import { kindOf } from "./definition.ts"

type Refused = ToolError.MalformedInput | ToolError.InvalidInput

/** An `Either` where the schema decodes at once, as nearly all do; then nothing has to be waited for. */
export type Decoded = Either.Either<unknown, Refused> | Effect.Effect<unknown, Refused>

const endedEarly = /unexpected end|unterminated|end of (json|data)/i

const parse = (text: string): Either.Either<unknown, Refused> =>
  text.trim() === ""
    ? Either.right({}) // A tool without arguments is called with no text at all.
    : Either.try({
        try: () => JSON.parse(text) as unknown,
        catch: (error) => {
          const reason = error instanceof Error ? error.message : String(error)
          return new ToolError.MalformedInput({ reason, truncated: endedEarly.test(reason) })
        }
      })

const invalid = (issues: ReadonlyArray<ToolError.Issue>) => new ToolError.InvalidInput({ issues })

const notAnObject = (input: unknown) =>
  invalid([{ path: [], message: `Expected an object of arguments, got ${kindOf(input)}` }])

/** A schema that throws or dies on an input has refused it. */
const crashed = () => invalid([{ path: [], message: "The input cannot be read with the tool's schema" }])

/** The arguments the model wrote: an object, or the JSON text of one. */
export const read = (input: unknown): Either.Either<object, Refused> => {
  const parsed = typeof input === "string" ? parse(input) : Either.right(input)
  if (Either.isLeft(parsed)) return Either.left(parsed.left)
  return Predicate.isRecord(parsed.right) ? Either.right(parsed.right) : Either.left(notAnObject(parsed.right))
}

/** Checks and decodes the arguments by the tool's schema. */
export const decode = (definition: Tool.Definition, input: object): Decoded => {
  let found: ReturnType<typeof definition.decode>
  try {
    found = definition.decode(input)
  } catch {
    return Either.left(crashed())
  }
  if (!Either.isEither(found)) {
    return found.pipe(
      Effect.mapError(invalid),
      Effect.catchAllDefect(() => Effect.fail(crashed()))
    )
  }
  // A right one says nothing of issues.
  return Either.isLeft(found) ? Either.left(invalid(found.left)) : (found as Either.Either<unknown>)
}
