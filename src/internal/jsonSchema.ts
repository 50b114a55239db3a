/** Effect schemas as the JSON Schema the Messages API takes for a tool's input: 2020-12, the root an object. */
import * as JSONSchema from "effect/JSONSchema"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import { InvalidDefinition, kindOf } from "./definition.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type JsonSchema = Readonly<Record<string, unknown>>

const definitions = "#/$defs/"

const isEmptyStruct = (root: JsonSchema): boolean => Array.isArray(root["anyOf"]) && root["$id"] === "/schemas/%7B%7D"

/** `Schema.Class` gives a root `$ref` and `Struct({})` a root `anyOf`: the API refuses both. */
const normalise = (generated: JsonSchema): JsonSchema => {
  const { $schema: _, $defs, ...root } = generated
  const defs = Predicate.isRecord($defs) && Object.keys($defs).length > 0 ? { $defs } : {}
  if (isEmptyStruct(root)) return { type: "object", properties: {}, additionalProperties: false }
  const ref = root["$ref"]
  if (typeof ref === "string" && ref.startsWith(definitions) && Predicate.isRecord($defs)) {
    const target = $defs[ref.slice(definitions.length)]
    if (Predicate.isRecord(target)) return normalise({ ...target, $defs })
  }
  return { ...root, ...defs }
}

/** The input schema of a tool for the model; throws `InvalidDefinition` where the API would refuse it. */
export const inputSchema = <A, I>(schema: Schema.Schema<A, I>, subject: string): JsonSchema => {
  const root = normalise({ ...JSONSchema.make(schema, { target: "jsonSchema2020-12" }) })
  if (root["type"] !== "object") {
    throw new InvalidDefinition({
      subject,
      field: "input",
      actual: `a schema of ${root["type"] === undefined ? "a union or unknown value" : kindOf(root["type"])}`,
      accepts: "a schema of one object, such as Schema.Struct (the model calls tools with named arguments)"
    })
  }
  return root
}
