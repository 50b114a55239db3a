/** Issues of a filled input, told in terms of what the model wrote. */
import * as Arr from "effect/Array"
import type { Issue } from "../../ToolError.ts"
import type { Ref } from "./model.ts"
import { quote } from "./pointer.ts"

const maxNamed = 3
const maxShown = 120

/** Schemas say positions as numbers, validators of JSON Schema as strings. */
const keyOf = (path: ReadonlyArray<string | number>): string => JSON.stringify(path.map(String))

const origin = (references: ReadonlyArray<Ref>): string => {
  const names = references.slice(0, maxNamed).map(({ raw }) => quote(raw, maxShown))
  const more = references.length > maxNamed ? " and others" : ""
  return `${references[0]?.embedded === true ? "text with " : ""}the value of ${names.join(", ")}${more}`
}

export const explainIssues = (issues: ReadonlyArray<Issue>, references: ReadonlyArray<Ref>): ReadonlyArray<Issue> => {
  if (references.length === 0) return issues
  const byPath = new Map(Object.entries(Arr.groupBy(references, ({ path }) => keyOf(path))))
  return issues.map((issue) => {
    for (let length = 0; length <= issue.path.length; length++) {
      const from = byPath.get(keyOf(issue.path.slice(0, length)))
      if (from !== undefined) return { ...issue, message: `${issue.message} (${origin(from)})` }
    }
    return issue
  })
}
