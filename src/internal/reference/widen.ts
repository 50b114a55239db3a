/**
 * The schema of a tool's input, opened for references, as the model is given it. The tool's own decoder still decides.
 *
 * `{"$literal": …}` needs no place in it: it is for values with a key such as "$ref", and whatever takes those takes any
 * object.
 */
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import { canonical } from "../canonical.ts"
import type { JsonSchema } from "../jsonSchema.ts"
import { pointerInto } from "./pointer.ts"

/**
 * One key, and a string in it. Without `properties`, because the Messages API refuses every request that has a tool
 * with a key in `properties` that is not of `[a-zA-Z0-9_.-]{1,64}`; a "$" is not.
 */
const onlyKey = (key: string, description: string, value: JsonSchema): JsonSchema => ({
  type: "object",
  description,
  required: [key],
  maxProperties: 1,
  additionalProperties: value
})

const reference = onlyKey(
  "$ref",
  'A value of another call\'s output, such as {"$ref": "#1/user/id"}: /user/id of the output of the first call of this turn.',
  { type: "string", pattern: "^#" }
)

const text = onlyKey("$text", 'A text with values of outputs in it, such as {"$text": "Dear ${#1/user/name}, …"}.', {
  type: "string"
})

/** Not in `properties`, for the same reason. */
const labelPattern = "^[$]label$"

const label: JsonSchema = { type: "string", description: "A name for this call, to point at it from others." }

const isWidened = (root: JsonSchema): boolean => {
  const patterns = root["patternProperties"]
  return Predicate.isRecord(patterns) && canonical(patterns[labelPattern]) === canonical(label)
}

/** Deeper ones are left as they are: far from the end of the stack, and far more than any real schema has. */
const maxDepth = 200

const annotations = new Set([
  "$comment",
  "$id",
  "title",
  "description",
  "default",
  "examples",
  "deprecated",
  "readOnly",
  "writeOnly"
])

/** As `{}` does; there a reference fits as it is. */
const takesAnything = (schema: JsonSchema): boolean => Object.keys(schema).every((key) => annotations.has(key))

/** What a `$ref` of this document points at, if it is there. */
const pointedAt = (root: JsonSchema, ref: unknown): unknown =>
  typeof ref === "string" && /^#(?:\/|$)/.test(ref)
    ? Either.getOrUndefined(
        Either.flatMap(
          Either.try(() => decodeURIComponent(ref.slice(1))),
          (pointer) => pointerInto(root, pointer)
        )
      )
    : undefined

const aDefinition = /^#(?:\/(?:\$defs|definitions)\/[^/]+)?$/

const record = (entries: Iterable<readonly [string, unknown]>): JsonSchema => Object.fromEntries(entries)

const mapped = (u: unknown, f: (value: unknown) => unknown): unknown => {
  if (Array.isArray(u)) return u.map(f)
  return Predicate.isRecord(u) ? record(Object.entries(u).map(([key, value]) => [key, f(value)])) : u
}

/** Which keywords hold schemas: of a whole value, several by name or position, or of the same value once more. */
const kinds: ReadonlyMap<string, "value" | "values" | "same" | "sames"> = new Map([
  ...["additionalProperties", "unevaluatedProperties", "additionalItems", "unevaluatedItems", "contains"].map(
    (keyword) => [keyword, "value"] as const
  ),
  ...["properties", "patternProperties", "prefixItems"].map((keyword) => [keyword, "values"] as const),
  ...["then", "else"].map((keyword) => [keyword, "same"] as const),
  ...["anyOf", "oneOf", "allOf", "dependentSchemas", "$defs", "definitions"].map(
    (keyword) => [keyword, "sames"] as const
  )
])

const widening = (root: JsonSchema) => {
  const definitions = Predicate.isRecord(root["$defs"]) ? root["$defs"] : {}
  const added = new Map<string, unknown>()
  const moved = new Map<string, string>()
  const textual = new Map<unknown, boolean>()

  const define = (wanted: string, schema: unknown): string => {
    let name = wanted
    for (let n = 2; Object.hasOwn(definitions, name) || added.has(name); n++) name = `${wanted}${n}`
    added.set(name, schema)
    return `#/$defs/${name}`
  }
  const referenceRef = { $ref: define("Reference", reference) }
  const textRef = { $ref: define("Text", text) }

  /** What lies elsewhere than in a definition may lie one level deeper in the result, so it becomes one. */
  const pointing = (ref: unknown, depth: number): unknown => {
    if (typeof ref !== "string" || aDefinition.test(ref)) return ref
    const known = moved.get(ref)
    if (known !== undefined) return known
    const schema = pointedAt(root, ref)
    if (schema === undefined) return ref
    const name = define("Part", undefined)
    moved.set(ref, name) // Before its inside is seen: it may point at itself.
    added.set(name.slice("#/$defs/".length), inside(schema, depth + 1))
    return name
  }

  /** Whether a string may fit: it does not look at what else is asked of strings. */
  const takesText = (schema: unknown, depth: number): boolean => {
    if (!Predicate.isRecord(schema) || depth > maxDepth) return schema === true
    const known = textual.get(schema)
    if (known !== undefined) return known
    textual.set(schema, false) // Until it is known: a way back here adds nothing.
    const takes = (branch: unknown) => takesText(branch, depth + 1)
    const some = (u: unknown) => !Array.isArray(u) || u.some(takes)
    const { $ref, allOf, anyOf, const: constant, enum: values, oneOf, type } = schema
    const target = pointedAt(root, $ref)
    const result =
      (type === undefined || [type].flat().includes("string")) &&
      (!Array.isArray(values) || values.some(Predicate.isString)) &&
      (!("const" in schema) || typeof constant === "string") &&
      (target === undefined || takes(target)) &&
      (!Array.isArray(allOf) || allOf.every(takes)) &&
      some(anyOf) &&
      some(oneOf)
    textual.set(schema, result)
    return result
  }

  /** The same schema, with references at every place in the value, but not instead of it. */
  const inside = (schema: unknown, depth: number): unknown => {
    if (!Predicate.isRecord(schema) || depth > maxDepth) return schema
    // A "$ref" in it would start from there.
    if (typeof schema["$id"] === "string" && schema !== root) return schema
    const same = (u: unknown) => inside(u, depth + 1)
    const value = (u: unknown) => open(u, depth + 1)
    const result = new Map<string, unknown>()
    for (const [keyword, held] of Object.entries(schema)) {
      if (keyword === "$ref") result.set(keyword, pointing(held, depth))
      // Draft 7 has positions in `items`.
      else if (keyword === "items") result.set(keyword, Array.isArray(held) ? held.map(value) : value(held))
      else {
        const kind = kinds.get(keyword)
        if (kind === undefined) result.set(keyword, held)
        else if (kind === "value") result.set(keyword, value(held))
        else if (kind === "same") result.set(keyword, same(held))
        else result.set(keyword, mapped(held, kind === "values" ? value : same))
      }
    }
    // With a reference where branches differ, several may fit.
    const oneOf = result.get("oneOf")
    if (oneOf !== undefined) {
      result.delete("oneOf")
      if (!result.has("anyOf")) result.set("anyOf", oneOf)
      else result.set("allOf", [...[result.get("allOf") ?? []].flat(), { anyOf: oneOf }])
    }
    return record(result)
  }

  /** Or a reference in its place. */
  const open = (schema: unknown, depth: number): unknown => {
    const widened = inside(schema, depth)
    if (!Predicate.isRecord(schema) || !Predicate.isRecord(widened) || takesAnything(schema)) return widened
    const places = takesText(schema, depth) ? [referenceRef, textRef] : [referenceRef]
    const { description, ...rest } = widened
    const about = description === undefined ? {} : { description }
    const { anyOf, ...others } = rest
    return Array.isArray(anyOf) && Object.keys(others).length === 0
      ? { ...about, anyOf: [...anyOf, ...places] }
      : { ...about, anyOf: [rest, ...places] }
  }

  return { added, widened: inside(root, 0) as JsonSchema } // The root is a record.
}

/** The root stays an object, closed if it was; it also takes a `$label`. */
export const widen = (schema: JsonSchema): JsonSchema => {
  if (isWidened(schema)) return schema
  const { added, widened } = widening(schema)
  const patterns = Predicate.isRecord(widened["patternProperties"]) ? widened["patternProperties"] : {}
  const definitions = Predicate.isRecord(widened["$defs"]) ? widened["$defs"] : {}
  return {
    ...widened,
    patternProperties: { ...patterns, [labelPattern]: label },
    $defs: { ...definitions, ...Object.fromEntries(added) }
  }
}
