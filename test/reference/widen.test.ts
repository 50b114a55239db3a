import { assert, describe, it } from "@effect/vitest"
import { Ajv } from "ajv"
import { Ajv2020 } from "ajv/dist/2020.js"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import * as Reference from "../../src/Reference.ts"
import * as Tool from "../../src/Tool.ts"
import { object } from "./arbitrary.ts"

type JsonSchema = Readonly<Record<string, unknown>>

const { widen } = Reference.standard

const ajv = new Ajv2020({ strict: false, validateFormats: false })

const accepts = (schema: JsonSchema, value: unknown): boolean => {
  assert.isTrue(ajv.validateSchema({ ...schema }), "not JSON Schema 2020-12")
  return ajv.compile({ ...schema })(value)
}

const fits = (schema: JsonSchema, ...values: ReadonlyArray<unknown>): void => {
  for (const value of values) assert.isTrue(accepts(widen(schema), value), JSON.stringify(value))
}

const fitsNot = (schema: JsonSchema, ...values: ReadonlyArray<unknown>): void => {
  for (const value of values) assert.isFalse(accepts(widen(schema), value), JSON.stringify(value))
}

const closed = (properties: JsonSchema, rest: JsonSchema = {}): JsonSchema => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...rest
})

const ref = { $ref: "#1/user/id" }
const text = { $text: "Hello ${#1}" }

/** The widened schema of an Effect schema, as the model is given it. */
const ofEffect = (input: Schema.Schema.AnyNoContext): JsonSchema => {
  class Probe extends Tool.Service<Probe>()("probe", {
    description: "Probe",
    input,
    output: Schema.Void,
    effects: "read"
  }) {}
  return Probe.definition.inputSchema
}

describe("a widened tool schema", () => {
  const schema = closed(
    {
      name: { type: "string", minLength: 3, description: "The name" },
      age: { type: "integer", minimum: 0 },
      tags: { type: "array", items: { type: "string" }, minItems: 1 },
      address: closed({ city: { type: "string" }, zip: { type: ["string", "null"] } })
    },
    { required: ["name", "tags"] }
  )

  it("still takes what the tool takes", () => {
    fits(
      schema,
      { name: "Ada", tags: ["a"] },
      { name: "Ada", age: 36, tags: ["a", "b"], address: { city: "London", zip: null } }
    )
  })

  it("takes a reference in place of any value", () => {
    fits(
      schema,
      { name: ref, tags: ref, age: ref, address: ref },
      { name: "Ada", tags: ["a", ref], address: { city: ref, zip: ref } }
    )
  })

  it("takes a text with references where the tool takes a string, and only there", () => {
    fits(schema, { name: text, tags: [text], address: { city: "x", zip: text } })
    fitsNot(schema, { name: "Ada", tags: text }, { name: "Ada", tags: ["a"], age: text })
  })

  it("takes a label, and only a string", () => {
    fits(schema, { $label: "user", name: "Ada", tags: ["a"] })
    fitsNot(schema, { $label: 1, name: "Ada", tags: ["a"] }, { $label: ref, name: "Ada", tags: ["a"] })
    fitsNot(schema, { name: "Ada", tags: ["a"], address: { $label: "x", city: "London", zip: null } })
  })

  it("takes no more than that: what is required, and closed, stays so", () => {
    fitsNot(
      schema,
      {},
      { name: "Ada" },
      { name: ref },
      { name: "Ad", tags: ["a"] },
      { name: "Ada", tags: [] },
      { name: "Ada", tags: [1] },
      { name: "Ada", tags: ["a"], age: -1 },
      { name: "Ada", tags: ["a"], other: ref },
      { name: "Ada", tags: ["a"], address: { city: "London" } },
      { name: "Ada", tags: ["a"], address: { city: "London", zip: null, other: 1 } },
      [],
      ref
    )
  })

  it("takes no malformed reference", () => {
    for (const bad of [
      { $ref: 1 },
      { $ref: "user" },
      { $ref: "#1", more: "#2" },
      { $text: 1 },
      { $text: "x", more: "y" },
      {}
    ]) {
      fitsNot(schema, { name: bad, tags: ["a"] })
    }
  })

  it("is one of an object, with descriptions where the model looks for them", () => {
    const widened = widen(schema)
    assert.strictEqual(widened["type"], "object")
    assert.deepNestedInclude(widened, { "properties.name.description": "The name" })
  })

  it("is the same when it is widened again, also after a journey as text", () => {
    const once = widen(schema)
    assert.deepStrictEqual(widen(once), once)
    assert.deepStrictEqual(widen(JSON.parse(JSON.stringify(once)) as JsonSchema), once)
  })

  it("leaves the given schema as it was", () => {
    const before = structuredClone(schema)
    widen(schema)
    assert.deepStrictEqual(schema, before)
  })

  it("has no property names that the Messages API would refuse", () => {
    const names = (u: unknown): ReadonlyArray<string> =>
      typeof u !== "object" || u === null
        ? []
        : Object.entries(u).flatMap(([key, value]: readonly [string, unknown]) =>
            (key === "properties" ? Object.keys(value as object) : []).concat(names(value))
          )
    assert.isNotEmpty(names(widen(schema)))
    for (const name of names(widen(schema))) assert.match(name, /^[a-zA-Z0-9_.-]{1,64}$/)
  })

  it("defines a reference and a text once, and grows by a few words for each place", () => {
    const deep = (levels: number): JsonSchema =>
      levels === 0 ? { type: "string" } : closed({ a: deep(levels - 1), b: { type: "number" } })
    const grown = (levels: number) => JSON.stringify(widen(deep(levels))).length - JSON.stringify(deep(levels)).length
    assert.isBelow(grown(41) - grown(40), 150)
    assert.strictEqual(grown(81) - grown(80), grown(41) - grown(40))
    assert.deepStrictEqual(Object.keys(widen(deep(40))["$defs"] as object), ["Reference", "Text"])
  })
})

describe("widening", () => {
  it("finds values in every keyword that describes one", () => {
    const number = { type: "number" }
    fits({ type: "object", additionalProperties: number }, { a: 1, b: ref })
    fits({ type: "object", patternProperties: { "^a": number } }, { a: ref })
    fits({ type: "object", properties: { a: number }, unevaluatedProperties: number }, { a: 1, b: ref })
    fits(closed({ a: { type: "array", prefixItems: [number], items: false } }), { a: [ref] })
    fits(closed({ a: { type: "array", prefixItems: [number], unevaluatedItems: number } }), { a: [1, ref] })
    fits(closed({ a: { type: "array", contains: { const: 1 } } }), { a: [ref] })
    for (const keyword of ["then", "else"]) {
      fits(
        { type: "object", if: { required: [keyword === "then" ? "a" : "b"] }, [keyword]: closed({ a: number }) },
        { a: ref }
      )
    }
    fits({ type: "object", dependentSchemas: { a: { properties: { b: number } } } }, { a: 1, b: ref })
    fitsNot(closed({ a: { type: "array", prefixItems: [number], items: false } }), { a: [1, ref] })
    fitsNot({ type: "object", additionalProperties: number }, { a: "x" })
  })

  it("takes references for constants and enumerations, and texts if one of them is a string", () => {
    const schema = closed({ a: { const: 1 }, b: { enum: ["x", 2] }, c: { const: "x" }, d: { enum: [1, 2] } })
    fits(schema, { a: ref, b: ref, c: ref, d: ref }, { a: 1, b: text, c: text, d: 2 })
    fitsNot(
      schema,
      { a: text, b: "x", c: "x", d: 1 },
      { a: 1, b: "x", c: "x", d: text },
      { a: 2, b: "x", c: "x", d: 1 }
    )
  })

  it("goes inside alternatives, also where only a reference tells them apart no more", () => {
    const kind = (name: string) => closed({ kind: { const: name }, value: { type: "string" } })
    for (const keyword of ["anyOf", "oneOf"]) {
      const schema = closed({ shape: { [keyword]: [kind("a"), kind("b")] } })
      fits(
        schema,
        { shape: ref },
        { shape: { kind: "a", value: "x" } },
        { shape: { kind: "a", value: ref } },
        { shape: { kind: ref, value: "x" } },
        { shape: { kind: "b", value: text } }
      )
      fitsNot(schema, { shape: text }, { shape: { kind: "c", value: "x" } }, { shape: { kind: "a", value: 1 } })
    }
    const both = closed({
      a: { anyOf: [{ maxLength: 1 }, { pattern: "^a" }], oneOf: [{ const: "ab" }, { const: "cd" }] }
    })
    fits(both, { a: "ab" }, { a: ref })
    fitsNot(both, { a: "ax" }, { a: "cd" })
  })

  it("goes inside all parts that have to hold together", () => {
    const schema = closed({
      a: {
        allOf: [{ properties: { x: { type: "number" } } }, { properties: { y: { type: "string" } }, required: ["y"] }],
        type: "object",
        unevaluatedProperties: false
      }
    })
    fits(schema, { a: ref }, { a: { x: ref, y: text } }, { a: { x: 1, y: "y" } })
    fitsNot(schema, { a: { x: "no", y: "y" } }, { a: { x: 1 } }, { a: { x: 1, y: "y", z: 1 } })
  })

  it("leaves what takes anything as it is, and what takes nothing closed", () => {
    const schema = closed({ any: {}, also: true, described: { description: "Anything" } }, { required: [] })
    assert.deepInclude(widen(schema), { properties: schema["properties"] })
    fits(schema, { any: ref, also: text, described: ref })
    fitsNot({ type: "object", properties: { never: false } }, { never: ref })
  })

  it("follows definitions, which may point at themselves", () => {
    const schema = closed(
      { tree: { $ref: "#/$defs/Tree" } },
      {
        $defs: {
          Tree: closed(
            { name: { $ref: "#/$defs/Name" }, children: { type: "array", items: { $ref: "#/$defs/Tree" } } },
            { required: ["name"] }
          ),
          Name: { type: "string" }
        }
      }
    )
    fits(
      schema,
      { tree: ref },
      { tree: { name: text, children: ref } },
      { tree: { name: "a", children: [ref, { name: ref }, { name: "b", children: [{ name: text }] }] } }
    )
    fitsNot(
      schema,
      { tree: text },
      { tree: { name: 1 } },
      { tree: { name: "a", children: [{ name: "b", children: [1] }] } }
    )
  })

  it("follows a reference to the schema itself", () => {
    const schema = { type: "object", properties: { name: { type: "string" }, next: { $ref: "#" } }, required: ["name"] }
    fits(schema, { name: "a", next: { name: ref, next: ref } })
    fitsNot(schema, { name: "a", next: {} }, { name: "a", next: text })
  })

  it("follows references to places inside the schema, as some generators write them", () => {
    const schema = closed({
      from: closed({ point: closed({ x: { type: "number" } }), more: { $ref: "#/properties/from/properties/point" } }),
      to: { $ref: "#/properties/from" },
      via: { type: "array", items: { $ref: "#/properties/from/properties/point" } },
      "a/b c": { type: "boolean" },
      flag: { $ref: "#/properties/a~1b%20c" }
    })
    const from = { point: { x: 1 }, more: { x: ref } }
    fits(
      schema,
      { from, to: { point: ref, more: { x: 2 } }, via: [{ x: 1 }, ref, { x: ref }], "a/b c": true, flag: false },
      { from, to: ref, via: ref, "a/b c": ref, flag: ref }
    )
    fitsNot(
      schema,
      { from, to: {}, via: [], "a/b c": true, flag: true },
      { from, to: ref, via: [1], "a/b c": true, flag: true },
      { from, to: ref, via: [], "a/b c": true, flag: "yes" }
    )
  })

  it("follows a part that points at itself", () => {
    const schema = closed({
      tree: closed({ children: { type: "array", items: { $ref: "#/properties/tree" } } })
    })
    fits(schema, { tree: { children: [{ children: [ref] }, ref] } })
    fitsNot(schema, { tree: { children: [{ children: [1] }] } })
    assert.deepStrictEqual(Object.keys(widen(schema)["$defs"] as object), ["Reference", "Text", "Part"])
  })

  it("leaves the inside of a part with an address of its own as it is, where definitions are out of reach", () => {
    const schema = closed({ a: { $id: "https://example.com/part", ...closed({ b: { type: "number" } }) } })
    fits(schema, { a: { b: 1 } }, { a: ref })
    fitsNot(schema, { a: { b: ref } }, { a: { b: "x" } })
  })

  it("keeps clear of definitions of the same names", () => {
    const schema = closed(
      { a: { $ref: "#/$defs/Reference" }, b: { $ref: "#/$defs/Text" } },
      { $defs: { Reference: { type: "number" }, Text: { type: "boolean" } } }
    )
    fits(schema, { a: 1, b: true }, { a: ref, b: ref })
    fitsNot(schema, { a: "x", b: true }, { a: 1, b: text })
  })

  it("does not touch what only looks like a schema: constants, defaults, and properties named like keywords", () => {
    const schema = closed({
      properties: { type: "object", default: { items: { type: "string" } } },
      anyOf: { const: { properties: { a: { type: "string" } } } },
      items: { enum: [{ items: { type: "number" } }] }
    })
    const input = {
      properties: {},
      anyOf: { properties: { a: { type: "string" } } },
      items: { items: { type: "number" } }
    }
    fits(schema, input, { properties: ref, anyOf: ref, items: ref })
    fitsNot(schema, { ...input, anyOf: {} })
  })

  it("works on draft 7 as well", () => {
    const schema = {
      $schema: "http://json-schema.org/draft-07/schema#",
      ...closed({
        pair: { type: "array", items: [{ type: "number" }, { $ref: "#/definitions/D" }], additionalItems: false }
      }),
      definitions: { D: closed({ x: { type: "string" } }) }
    }
    const validate = new Ajv({ strict: false }).compile(widen(schema))
    for (const pair of [ref, [ref, ref], [1, { x: text }]]) assert.isTrue(validate({ pair }))
    for (const pair of [text, ["x", { x: "x" }], [1, { x: 1 }], [1, ref, 1]]) assert.isFalse(validate({ pair }))
  })

  it("works on what Effect makes of its schemas", () => {
    interface Tree {
      readonly name: string
      readonly children: ReadonlyArray<Tree>
    }
    const Tree: Schema.Schema<Tree> = Schema.Struct({
      name: Schema.NonEmptyString,
      children: Schema.Array(Schema.suspend((): Schema.Schema<Tree> => Tree))
    }).annotations({ identifier: "Tree" })
    const schema = ofEffect(
      Schema.Struct({
        tree: Tree,
        kind: Schema.Literal("a", "b"),
        when: Schema.optional(Schema.NullOr(Schema.Int)),
        any: Schema.Unknown,
        bag: Schema.Record({ key: Schema.String, value: Schema.Number }),
        pair: Schema.Tuple(Schema.String, Schema.Number),
        shape: Schema.Union(
          Schema.Struct({ _tag: Schema.Literal("Circle"), radius: Schema.Positive }),
          Schema.Struct({ _tag: Schema.Literal("Square"), side: Schema.Positive })
        ),
        none: Schema.Struct({})
      })
    )
    const input = {
      tree: { name: "a", children: [{ name: "b", children: [] }] },
      kind: "a",
      when: null,
      any: { whatever: 1 },
      bag: { x: 1 },
      pair: ["a", 1],
      shape: { _tag: "Circle", radius: 1 },
      none: {}
    }
    fits(schema, input, {
      ...input,
      tree: { name: ref, children: [ref, { name: text, children: ref }] },
      kind: text,
      when: ref,
      any: ref,
      bag: { x: ref },
      pair: [text, ref],
      shape: { _tag: ref, radius: ref }
    })
    fits(schema, Object.fromEntries(Object.keys(input).map((key) => [key, ref])))
    fitsNot(
      schema,
      { ...input, tree: { name: "", children: [] } },
      { ...input, when: "x" },
      { ...input, bag: { x: "x" } },
      { ...input, pair: [1, 1] },
      { ...input, shape: { _tag: "Circle", side: 1 } }
    )
  })

  it("ends on schemas that are absurdly deep, or that point at nothing", () => {
    const deep = JSON.parse(`${'{"type":"array","items":'.repeat(20_000)}{}${"}".repeat(20_000)}`) as unknown
    widen(closed({ a: deep }))
    const alternatives = JSON.parse(`${'{"anyOf":['.repeat(20_000)}{}${"]}".repeat(20_000)}`) as unknown
    widen(closed({ a: alternatives }))
    for (const $ref of ["#/nowhere/else", "#/%", "#anchor", "https://example.com/schema", 5])
      widen(closed({ a: { $ref } }))
    const levels = Array.from({ length: 60 }, (_, i) => {
      const next = { $ref: `#/$defs/L${i + 1}` }
      return [`L${i}`, { anyOf: [next, next] }] as const
    })
    widen(closed({ a: { $ref: "#/$defs/L0" } }, { $defs: { ...Object.fromEntries(levels), L60: { type: "number" } } }))
  })

  interface Case {
    readonly schema: JsonSchema
    readonly value: unknown
  }
  const keys = FastCheck.uniqueArray(FastCheck.constantFrom("a", "b", "c", "items", "anyOf", "$ref"), { maxLength: 3 })
  /** A schema with a value that fits. */
  const cases = FastCheck.letrec<{ readonly any: Case }>((tie) => ({
    any: FastCheck.oneof(
      { maxDepth: 3 },
      FastCheck.constantFrom<Case>(
        { schema: { type: "string", maxLength: 5 }, value: "text" },
        { schema: { type: "integer" }, value: 5 },
        { schema: { type: ["null", "boolean"] }, value: null },
        { schema: { enum: ["x", 1] }, value: "x" },
        { schema: {}, value: [1, { a: 1 }] }
      ),
      FastCheck.array(tie("any"), { minLength: 1, maxLength: 3 }).map((of) => ({
        schema: { type: "array", prefixItems: of.map(({ schema }) => schema), items: false },
        value: of.map(({ value }) => value)
      })),
      FastCheck.tuple(tie("any"), FastCheck.nat(3)).map(([{ schema, value }, length]) => ({
        schema: { type: "array", items: schema },
        value: Array.from({ length }, () => value)
      })),
      FastCheck.tuple(keys, FastCheck.array(tie("any"), { minLength: 3, maxLength: 3 })).map(([keys, of]) => ({
        schema: closed(Object.fromEntries(keys.map((key, i) => [key, of[i]?.schema]))),
        value: Object.fromEntries(keys.map((key, i) => [key, of[i]?.value]))
      })),
      FastCheck.array(tie("any"), { minLength: 1, maxLength: 3 }).map((of) => ({
        schema: { anyOf: of.map(({ schema }) => schema) },
        value: of[0]?.value
      }))
    )
  })).any

  const withReferences = (value: unknown, pick: () => boolean): unknown => {
    if (pick()) return ref
    if (Array.isArray(value)) return value.map((item) => withReferences(item, pick))
    return typeof value === "object" && value !== null
      ? object(Object.entries(value).map(([key, item]) => [key, withReferences(item, pick)]))
      : value
  }

  it("takes, for any schema and value, the value and the value with references anywhere in it", () => {
    FastCheck.assert(
      FastCheck.property(cases, FastCheck.infiniteStream(FastCheck.boolean()), ({ schema, value }, picks) => {
        const root = closed({ a: schema })
        const validate = ajv.compile({ ...widen(root) })
        assert.isTrue(validate({ a: value }))
        assert.isTrue(validate({ a: withReferences(value, () => picks.next().value) }))
        assert.isFalse(validate({}))
        assert.isFalse(validate({ a: value, b: 1 }))
      }),
      { numRuns: 200 }
    )
  })
})
