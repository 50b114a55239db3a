/** From what a handler answered to a JSON value. */
import * as Effect from "effect/Effect"
import type * as Tool from "../Tool.ts"
import type { Issue } from "../ToolError.ts"

const issue = (message: string): ReadonlyArray<Issue> => [{ path: [], message }]

/** Whatever stands in the output that JSON cannot say: BigInt, a cycle, a getter or `toJSON` that throws, a function. */
const jsonable = (encoded: unknown): Effect.Effect<unknown, ReadonlyArray<Issue>> =>
  Effect.try({
    try: () => JSON.stringify(encoded) as string | undefined,
    catch: (error) => issue(`Cannot be written as JSON: ${error instanceof Error ? error.message : "it throws"}`)
  }).pipe(
    Effect.flatMap((text) =>
      text === undefined && encoded !== undefined
        ? Effect.fail(issue(`Cannot be written as JSON: a ${typeof encoded}`))
        : Effect.succeed(encoded)
    )
  )

/** Encodes by the tool's output schema and makes sure that the result is JSON. `undefined` is "no output". */
export const encode = (definition: Tool.Definition, output: unknown): Effect.Effect<unknown, ReadonlyArray<Issue>> =>
  Effect.suspend(() => definition.encode(output)).pipe(
    Effect.flatMap(jsonable),
    Effect.catchAllDefect((defect) =>
      Effect.fail(issue(`Reading the output throws: ${defect instanceof Error ? defect.message : typeof defect}`))
    )
  )
