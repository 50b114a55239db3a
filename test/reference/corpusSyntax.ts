/**
 * The ways in which the corpus of real workloads points at other calls, as one syntax: `$var1.location.name$` and
 * `$var1.items[0]$` (NESTFUL), `$1` (LLMCompiler), `<node-0>` and `<node-0>.field` (TaskBench), alone or inside a text.
 */
import * as Either from "effect/Either"
import * as Reference from "../../src/Reference.ts"

const pattern =
  /\$var(?<label>\d+)(?<fields>(?:\.[^$.[\]]+|\[\d+\])*)\$|<node-(?<node>\d+)>(?<field>(?:\.[A-Za-z_]\w*)*)|(?<![\w$-])\$(?<step>[1-9])(?![\w.,]*\d|[$-])/g

const toPointer = (fields: string): string =>
  Array.from(
    fields.matchAll(/\.([^.[\]]+)|\[(\d+)\]/g),
    ([, key, position]) => `/${(key ?? position ?? "").replaceAll("~", "~0").replaceAll("/", "~1")}`
  ).join("")

const pointed = (match: RegExpExecArray): Reference.Pointed => {
  const { field = "", fields = "", label, node, step } = match.groups ?? {}
  return {
    raw: match[0],
    // Nodes count from 0, all others from 1.
    target: node === undefined ? (label ?? step ?? "") : String(Number(node) + 1),
    pointer: toPointer(node === undefined ? fields : field)
  }
}

const read = (value: unknown): Either.Either<Reference.Found | undefined> => {
  if (typeof value !== "string") return Either.right(undefined)
  const matches = [...value.matchAll(pattern)]
  const [first] = matches
  if (first === undefined) return Either.right(undefined)
  if (first[0] === value) return Either.right({ _tag: "Value", pointed: pointed(first) })
  let done = 0
  const parts = matches.flatMap((match) => {
    const before = value.slice(done, match.index)
    done = match.index + match[0].length
    return [before, pointed(match)]
  })
  return Either.right({ _tag: "Text", parts: [...parts, value.slice(done)] })
}

export const corpusSyntax: Reference.Grammar = {
  parse: Reference.parser(read),
  widen: (schema) => schema,
  guidance: ""
}
