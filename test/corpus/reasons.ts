/** What the corpus says of a call, in the runner's words: all reasons for which it may be refused. Knows no scheduler. */
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js"
import * as Either from "effect/Either"
import type { ToolError } from "../../src/index.ts"
import { filled } from "./outputs.ts"
import { type Call, type JsonSchema, needs, type Row } from "./rows.ts"
import type { Fault } from "./world.ts"

export type Tag = ToolError.ToolError["_tag"]

export interface Expected {
  /** Reasons of its own, and `DependencyFailed`. It succeeds where there is none. */
  readonly reasons: ReadonlySet<Tag>
  /** What it does not do without, and which does not succeed. */
  readonly failedNeeds: ReadonlyArray<string>
  /** The references that lead nowhere. */
  readonly unresolved: ReadonlyArray<string>
  /** What its handler is given. */
  readonly input: unknown
}

const ajv = new Ajv2020({ allErrors: true, strict: false, validateFormats: false, logger: false })
const compiled = new Map<string, ValidateFunction>()

const fits = (schema: JsonSchema, input: unknown): boolean => {
  const key = JSON.stringify(schema)
  const validate = compiled.get(key) ?? ajv.compile(schema)
  compiled.set(key, validate)
  return validate(input) === true
}

/** The calls that wait for themselves, as far as `needsOf` tells what each call waits for. */
export const onCycles = ({ calls }: Row, needsOf: (call: Call) => ReadonlyArray<string>): ReadonlySet<string> => {
  const byId = new Map(calls.map((call) => [call.id, needsOf(call)]))
  const waitsFor = (id: string): ReadonlySet<string> => {
    const all = new Set(byId.get(id))
    for (const one of all) for (const next of byId.get(one) ?? []) all.add(next)
    return all
  }
  return new Set([...byId.keys()].filter((id) => waitsFor(id).has(id)))
}

/** What an execution that goes wrong comes to. In `order` rows all tools write, and no write is tried again. */
const ofFault = (fault: Fault, { dependency }: Row): Tag | undefined => {
  switch (fault) {
    case "none":
      return undefined
    case "flaky":
      return dependency === "order" ? "ToolFailure" : undefined
    case "fails":
      return "ToolFailure"
    case "crashes":
      return "ToolDefect"
    case "hangs":
      return "Timeout"
  }
}

/** What is wrong with a call by itself, before anything runs. */
const refusals = (row: Row, call: Call, input: ReturnType<typeof filled>): ReadonlySet<Tag> => {
  const schema = row.tools.find(({ name }) => name === call.name)?.input_schema
  const tags: ReadonlyArray<readonly [Tag, boolean]> = [
    ["UnknownTool", schema === undefined],
    ["MalformedInput", call.malformed === true],
    ["UnresolvedReference", Either.isLeft(input)],
    ["InvalidInput", Either.isRight(input) && schema !== undefined && !fits(schema, input.right)]
  ]
  return new Set(tags.flatMap(([tag, applies]) => (applies ? [tag] : [])))
}

/** For every call of a row, by id, what has to become of it. */
export const expected = (
  row: Row,
  outputs: ReadonlyMap<string, unknown>,
  faultOf: (call: Call) => Fault
): ReadonlyMap<string, Expected> => {
  const byId = new Map(row.calls.map((call) => [call.id, call]))
  const cyclic = onCycles(row, (call) => needs(row, call))
  const known = new Map<string, Expected>()

  const verdict = (call: Call): Expected => {
    const before = known.get(call.id)
    if (before !== undefined) return before
    const input = filled(call, outputs)
    const reasons = new Set(refusals(row, call, input))
    const failedNeeds = needs(row, call).filter((id) => cyclic.has(id) || !succeeds(id))
    if (cyclic.has(call.id)) reasons.add("DependencyCycle")
    if (failedNeeds.length > 0) reasons.add("DependencyFailed")
    const fault = ofFault(faultOf(call), row)
    // Only what runs can go wrong while it runs.
    if (fault !== undefined && reasons.size === 0) reasons.add(fault)
    const one = {
      reasons,
      failedNeeds,
      unresolved: Either.isLeft(input) ? input.left : [],
      input: Either.getOrUndefined(input)
    }
    known.set(call.id, one)
    return one
  }

  /** Asked only of calls that are on no cycle, so that it comes to an end. */
  const succeeds = (id: string): boolean => {
    const call = byId.get(id)
    return call !== undefined && verdict(call).reasons.size === 0
  }

  for (const call of row.calls) verdict(call)
  return known
}
