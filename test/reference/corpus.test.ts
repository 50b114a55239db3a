import { assert, describe, it } from "@effect/vitest"
import { Ajv2020 } from "ajv/dist/2020.js"
import * as Arr from "effect/Array"
import * as Either from "effect/Either"
import { existsSync, readFileSync } from "node:fs"
import * as Reference from "../../src/Reference.ts"
import { toPointer } from "./arbitrary.ts"
import { corpusSyntax } from "./corpusSyntax.ts"

interface Row {
  readonly id: string
  readonly source: string
  readonly issues?: ReadonlyArray<unknown>
  readonly tools: ReadonlyArray<{ readonly name: string; readonly input_schema: Readonly<Record<string, unknown>> }>
  readonly calls: ReadonlyArray<{
    readonly id: string
    readonly name: string
    readonly input: object
    readonly refs: ReadonlyArray<{
      readonly path: string
      readonly from: string
      readonly pointer: string
      readonly raw: string
      readonly embedded?: boolean
    }>
  }>
}

/** Not part of the repository. */
const corpus = new URL("../../../shared/corpus/workloads.jsonl", import.meta.url)
const isThere = existsSync(corpus)

const rows = (): ReadonlyArray<Row> =>
  readFileSync(corpus, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Row)

const clean = () => rows().filter(({ issues = [] }) => issues.length === 0)

describe.skipIf(!isThere)(`real workloads${isThere ? "" : " (corpus absent)"}`, () => {
  it("have exactly the references that they say, each to the call it says", () => {
    const found = { rows: 0, references: 0, embedded: 0, withPointer: 0, sources: new Set<string>() }
    for (const { calls, id, source } of clean()) {
      const known = Reference.calls(calls)
      for (const call of calls) {
        const { references } = Either.getOrThrow(corpusSyntax.parse(call.input))
        const actual = references.map((reference) => ({
          path: toPointer(reference.path),
          from: calls[Either.getOrThrow(Reference.lookUp(reference, known))]?.id,
          pointer: reference.pointer,
          raw: reference.raw,
          embedded: reference.embedded
        }))
        const expected = call.refs.map(({ embedded = false, from, path, pointer, raw }) => ({
          path,
          from,
          pointer,
          raw,
          embedded
        }))
        assert.deepStrictEqual(actual, expected, id)
        found.references += references.length
        found.embedded += references.filter(({ embedded }) => embedded).length
        found.withPointer += references.filter(({ pointer }) => pointer !== "").length
        if (references.length > 0) found.sources.add(source)
      }
      found.rows++
    }
    // All of them were looked at, and they are of every kind.
    assert.isAbove(found.rows, 600)
    assert.isAbove(found.references, 200)
    assert.isAbove(found.embedded, 0)
    assert.isAbove(found.withPointer, 100)
    assert.isAbove(found.sources.size, 4)
  })

  it("are filled at those places, and nowhere else", () => {
    for (const { calls, id } of clean()) {
      for (const { input, refs } of calls) {
        const parsed = Either.getOrThrow(corpusSyntax.parse(input))
        const result = Either.getOrThrow(parsed.fill(({ raw }) => Either.right(`value of ${raw}`)))
        if (refs.length === 0) assert.strictEqual(result, input, id)
        const byPath = Arr.groupBy(refs, ({ path }) => path)
        for (const [path, there] of Object.entries(byPath)) {
          const written = String(Either.getOrThrow(Reference.pointerInto(input, path)))
          const expected = there.reduce((text, { raw }) => text.replace(raw, () => `value of ${raw}`), written)
          assert.strictEqual(Either.getOrThrow(Reference.pointerInto(result, path)), expected, id)
        }
      }
    }
  })

  it("fit the widened schemas of their tools, as written and with the standard references in place of their own", () => {
    const ajv = new Ajv2020({ strict: false, validateFormats: false })
    let checked = 0
    for (const { calls, id, tools } of clean().filter(({ calls }) => calls.some(({ refs }) => refs.length > 0))) {
      const widened = new Map(
        tools.map(({ input_schema, name }) => [name, ajv.compile({ ...Reference.standard.widen(input_schema) })])
      )
      for (const { input, name } of calls) {
        const parsed = Either.getOrThrow(corpusSyntax.parse(input))
        if (parsed.references.some(({ embedded }) => embedded)) continue
        const standard = Either.getOrThrow(
          parsed.fill(({ pointer, target }) => Either.right({ $ref: `#${target}${pointer}` }))
        )
        const validate = widened.get(name)
        assert.isTrue(validate?.(standard), `${id} ${JSON.stringify(validate?.errors)}`)
        checked++
      }
    }
    assert.isAbove(checked, 300)
  })

  it("have nothing in them that the standard syntax takes for its own", () => {
    for (const { calls, id } of rows()) {
      for (const { input } of calls) {
        const parsed = Either.getOrThrow(Reference.standard.parse(input))
        assert.strictEqual(Either.getOrThrow(parsed.fill(() => assert.fail("nothing to resolve"))), input, id)
      }
    }
  })
})
