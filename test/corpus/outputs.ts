/** Simulated outputs: recorded ones where there are any, else values that have what the references of a row point to. */
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as Reference from "../../src/Reference.ts"
import type { Call, JsonSchema, Row } from "./rows.ts"

const inside = (schema: unknown, key: string): unknown => (Predicate.isRecord(schema) ? schema[key] : undefined)

/** A value that fits a schema, as far as the schemas of the corpus go. */
const sample = (schema: unknown): unknown => {
  const { enum: allowed, items, minimum, properties, type } = Predicate.isRecord(schema) ? (schema as JsonSchema) : {}
  if (Array.isArray(allowed)) return allowed[0] as unknown
  switch (type) {
    case "object":
      return Object.fromEntries(
        Object.entries(Predicate.isRecord(properties) ? properties : {}).map(([key, value]) => [key, sample(value)])
      )
    case "array":
      return [sample(items)]
    case "number":
    case "integer":
      return typeof minimum === "number" ? minimum : 7
    case "boolean":
      return true
    case "null":
      return null
    default:
      return "text"
  }
}

const keysOf = (pointer: string): ReadonlyArray<string> =>
  pointer
    .split("/")
    .slice(1)
    .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"))

/** The schema of one place of an input. */
const schemaAt = (schema: unknown, pointer: string): unknown =>
  keysOf(pointer).reduce((at, key) => inside(inside(at, "properties"), key) ?? inside(at, "items"), schema)

const put = (into: unknown, [key, ...rest]: ReadonlyArray<string>, value: unknown): unknown => {
  if (key === undefined) return value
  if (Array.isArray(into) || (into === undefined && /^\d+$/.test(key))) {
    const list = Array.isArray(into) ? into.slice() : []
    list[Number(key)] = put(list[Number(key)], rest, value)
    return list
  }
  const record = Predicate.isRecord(into) ? into : {}
  return { ...record, [key]: put(record[key], rest, value) }
}

/** What every call of a row answers with, by id. */
export const outputsOf = ({ calls, outputs = {}, tools }: Row): ReadonlyMap<string, unknown> => {
  const toolOf = new Map(tools.map((tool) => [tool.name, tool]))
  const all = new Map(
    calls.map(({ id, name }) => [id, id in outputs ? outputs[id] : sample(toolOf.get(name)?.output_schema)])
  )
  for (const { name, refs } of calls) {
    for (const { embedded, from, missing_field, path, pointer, type_mismatch } of refs) {
      // The corpus says what does not fit; that has to stay as it is.
      if (from === null || from in outputs || missing_field !== undefined || type_mismatch !== undefined) continue
      const wanted = schemaAt(toolOf.get(name)?.input_schema, path)
      const value = embedded === true || wanted === undefined ? "text" : sample(wanted)
      all.set(from, put(all.get(from), keysOf(pointer), value))
    }
  }
  return all
}

const rendered = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value))

/** The input with the outputs in place of its references, or the references that lead nowhere. */
export const filled = (
  { input, refs }: Call,
  outputs: ReadonlyMap<string, unknown>
): Either.Either<unknown, ReadonlyArray<string>> => {
  const values = refs.map((ref) => ({
    ref,
    value: ref.from === null ? Either.left("no such call") : Reference.pointerInto(outputs.get(ref.from), ref.pointer)
  }))
  const missing = values.flatMap(({ ref, value }) => (Either.isLeft(value) ? [ref.raw] : []))
  if (missing.length > 0) return Either.left(missing)
  return Either.right(
    values.reduce((whole: unknown, { ref, value }) => {
      const here = Either.getOrThrow(value)
      const written = Either.getOrThrow(Reference.pointerInto(whole, ref.path))
      const text = ref.embedded === true ? String(written).replace(ref.raw, () => rendered(here)) : here
      return put(whole, keysOf(ref.path), text)
    }, input)
  )
}
