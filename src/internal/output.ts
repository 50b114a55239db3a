/** From what a handler answered to a JSON value. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Tool from "../Tool.ts"
import type { Issue } from "../ToolError.ts"

type Issues = ReadonlyArray<Issue>

/** An `Either` where the schema encodes at once, as nearly all do; then nothing has to be waited for. */
export type Encoded = Either.Either<unknown, Issues> | Effect.Effect<unknown, Issues>

const refuse = (message: string): Either.Either<never, Issues> => Either.left([{ path: [], message }])

/** Whatever stands in the output that JSON cannot say: BigInt, a cycle, a getter or `toJSON` that throws, a function. */
const jsonable = (encoded: unknown): Either.Either<unknown, Issues> => {
  try {
    const text = JSON.stringify(encoded) as string | undefined
    return text === undefined && encoded !== undefined
      ? refuse(`Cannot be written as JSON: a ${typeof encoded}`)
      : Either.right(encoded)
  } catch (thrown) {
    return refuse(`Cannot be written as JSON: ${thrown instanceof Error ? thrown.message : "it throws"}`)
  }
}

const unreadable = (defect: unknown) =>
  refuse(`Reading the output throws: ${defect instanceof Error ? defect.message : typeof defect}`)

/** Encodes by the tool's output schema and makes sure that the result is JSON. `undefined` is "no output". */
export const encode = (definition: Tool.Definition, output: unknown): Encoded => {
  let found: ReturnType<typeof definition.encode>
  try {
    found = definition.encode(output)
  } catch (defect) {
    return unreadable(defect)
  }
  if (Either.isEither(found)) return Either.isLeft(found) ? Either.left(found.left) : jsonable(found.right)
  return found.pipe(Effect.flatMap(jsonable), Effect.catchAllDefect(unreadable))
}
