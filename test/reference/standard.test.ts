import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Reference from "../../src/Reference.ts"
import * as ToolError from "../../src/ToolError.ts"
import { fillHoles, type Hole, json, jsonObject, withHoles } from "./arbitrary.ts"

const parse = (input: object): Reference.Parsed => Either.getOrThrowWith(Reference.standard.parse(input), (e) => e)

const refusal = (input: object): ToolError.UnresolvedReference =>
  Either.match(Reference.standard.parse(input), {
    onLeft: (error) => error,
    onRight: () => assert.fail("it was accepted")
  })

/** Outputs by target. */
const filled = (input: object, outputs: Readonly<Record<string, unknown>> = {}): unknown =>
  Either.getOrThrowWith(
    parse(input).fill(({ pointer, raw, target }) =>
      Either.mapLeft(
        Reference.pointerInto(outputs[target], pointer),
        (reason) => new ToolError.UnresolvedReference({ reference: raw, reason })
      )
    ),
    (e) => e
  )

describe("a reference in place of a value", () => {
  it("is found anywhere in objects and arrays, with its place, target and pointer", () => {
    const parsed = parse({ a: { $ref: "#1/user/id" }, b: [1, { c: { $ref: "#user" } }], d: { $ref: "#toolu_x/~01/0" } })
    assert.deepStrictEqual(parsed.references, [
      { path: ["a"], raw: "#1/user/id", target: "1", pointer: "/user/id", embedded: false },
      { path: ["b", 1, "c"], raw: "#user", target: "user", pointer: "", embedded: false },
      { path: ["d"], raw: "#toolu_x/~01/0", target: "toolu_x", pointer: "/~01/0", embedded: false }
    ])
    assert.isUndefined(parsed.label)
  })

  it("is found at every place that holds the same object", () => {
    const shared = { $ref: "#1" }
    assert.deepStrictEqual(filled({ a: shared, b: [{ c: shared }] }, { 1: 5 }), { a: 5, b: [{ c: 5 }] })
    const container = { x: [shared] }
    assert.deepStrictEqual(filled({ a: container, b: container }, { 1: 5 }), { a: { x: [5] }, b: { x: [5] } })
  })

  it("may take the place of the whole input, if an object does", () => {
    assert.deepStrictEqual(filled({ $ref: "#1/args" }, { 1: { args: { a: 1 } } }), { a: 1 })
    const error = parse({ $ref: "#1" }).fill(() => Either.right([1]))
    assert.isTrue(Either.isLeft(error))
  })

  it("is replaced by exactly its value, at exactly its place, and nothing else changes", () => {
    FastCheck.assert(
      FastCheck.property(withHoles, (plan) => {
        const holes: Array<{ readonly path: ReadonlyArray<string | number>; readonly value: unknown }> = []
        const input = fillHoles(plan, ({ value }, path) => ({ $ref: `#${holes.push({ path, value })}/x` })) as object // Its outermost part is never a hole.
        const expected = fillHoles(plan, ({ value }: Hole) => value)
        const before = structuredClone(input)
        const parsed = parse(input)
        assert.deepStrictEqual(
          parsed.references.map(({ path }) => path),
          holes.map(({ path }) => path)
        )
        const result = parsed.fill(({ target }) => Either.right(holes[Number(target) - 1]?.value))
        assert.deepStrictEqual(Either.getOrThrow(result), expected as object)
        assert.deepStrictEqual(input, before)
      }),
      { numRuns: 500 }
    )
  })

  it("is resolved once: an output that looks like a reference, template or label is passed on as it is", () => {
    const lookalike = { $ref: "#2", $label: "x" }
    assert.deepStrictEqual(filled({ a: { $ref: "#1" }, b: { $text: "<${#2}>" } }, { 1: lookalike, 2: "${#1}" }), {
      a: lookalike,
      b: "<${#1}>"
    })
  })

  it("gives the first failure to resolve", () => {
    const error = new ToolError.UnresolvedReference({ reference: "#1", reason: "gone" })
    const result = parse({ a: { $ref: "#1" }, b: { $text: "${#1}" } }).fill(() => Either.left(error))
    assert.deepStrictEqual(result, Either.left(error))
  })
})

describe("an input without references", () => {
  it("is left as it is", () => {
    FastCheck.assert(
      FastCheck.property(jsonObject, (input) => {
        const parsed = parse(input)
        assert.lengthOf(parsed.references, 0)
        assert.strictEqual(Either.getOrThrow(parsed.fill(() => assert.fail("nothing to resolve"))), input)
      }),
      { numRuns: 500 }
    )
  })

  it("may have other keys that begin with a dollar sign, and plain strings that look like references", () => {
    const input = { $set: { a: 1 }, list: [{ $gt: 1, $lt: 2 }], text: "#1/user/id and ${#1}", nested: { $label: "x" } }
    assert.strictEqual(filled(input), input)
  })
})

describe("a text with references", () => {
  const outputs = { 1: { name: "Ada", n: 1.5, yes: true, none: null, list: [1, "a"], o: { a: "b" } }, 2: "plain" }
  const cases: ReadonlyArray<readonly [string, string]> = [
    ["Hello ${#1/name}, ${#2}!", "Hello Ada, plain!"],
    ["${#1/n} ${#1/yes} ${#1/none}", "1.5 true null"],
    ["${#1/list} ${#1/o}", '[1,"a"] {"a":"b"}'],
    ["${#2}${#2}", "plainplain"],
    ["", ""],
    ["no reference", "no reference"],
    ["${name} $ {#1} $(#1) {#1} $", "${name} $ {#1} $(#1) {#1} $"],
    ["It costs $${#1/n}.", "It costs $1.5."],
    ["${$}{#1} is ${#1/n}", "${#1} is 1.5"],
    ["${$}${$}${#2}", "$$plain"],
    ["${${#2}", "${plain"],
    ["\\${#2}", "\\plain"]
  ]
  it.each(cases)("turns %j into %j", (text, expected) => {
    assert.deepStrictEqual(filled({ a: [{ $text: text }] }, outputs), { a: [expected] })
  })

  it("has references that say they are embedded, at the place of the text", () => {
    assert.deepStrictEqual(parse({ a: [{ $text: "x ${#1/name} ${#2}" }] }).references, [
      { path: ["a", 0], raw: "#1/name", target: "1", pointer: "/name", embedded: true },
      { path: ["a", 0], raw: "#2", target: "2", pointer: "", embedded: true }
    ])
  })

  it("keeps any text when its dollar signs before a brace are written out", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(FastCheck.constantFrom("$", "{", "}", "#", "1", "/", "\\", "é")), (chars) => {
        const text = chars.join("")
        assert.deepStrictEqual(filled({ a: { $text: text.replaceAll("${", "${$}{") } }), { a: text })
      })
    )
  })

  it("is refused when it would grow beyond all measure", () => {
    const long = () => Either.right("x".repeat(1_000_000))
    assert.isTrue(Either.isRight(parse({ a: { $text: "${#1}".repeat(9) } }).fill(long)))
    for (const input of [
      { a: { $text: "${#1}".repeat(20) } },
      { a: Array.from({ length: 20 }, () => ({ $text: "${#1}" })) }
    ]) {
      const result = parse(input).fill(long)
      assert.include(Either.isLeft(result) ? result.left.reason : "", "10000000 characters")
    }
  })
})

describe("$literal", () => {
  it("passes on anything as it is", () => {
    const marked = FastCheck.oneof(
      json,
      FastCheck.constantFrom({ $ref: "#1" }, { $text: "${#1}" }, { $literal: 1 }, [{ $ref: 5 }], { $text: {}, b: 1 })
    )
    FastCheck.assert(
      FastCheck.property(marked, (value) => {
        const parsed = parse({ a: [{ $literal: value }] })
        assert.lengthOf(parsed.references, 0)
        assert.deepStrictEqual(
          parsed.fill(() => assert.fail("nothing to resolve")),
          Either.right({ a: [value] })
        )
      })
    )
  })

  it("around the whole input keeps an argument that is itself named $label or $ref", () => {
    assert.deepStrictEqual(filled({ $literal: { $label: "mine", $ref: 1 } }), { $label: "mine", $ref: 1 })
  })
})

describe("$label", () => {
  it("names the call and is no part of its input", () => {
    const parsed = parse({ $label: "user", a: { $ref: "#2" } })
    assert.strictEqual(parsed.label, "user")
    assert.deepStrictEqual(
      parsed.fill(() => Either.right(1)),
      Either.right({ a: 1 })
    )
    assert.deepStrictEqual(filled({ $label: "user", a: 1 }), { a: 1 })
  })

  it.each(["a", "user", "the user", "user-1", "1st", "größe", "x".repeat(64)])("may be %j", (label) => {
    assert.strictEqual(parse({ $label: label }).label, label)
  })

  it.each([1, null, {}, "", " ", "1", "12", "a/b", "a}b", "x".repeat(65), " a"])("is refused as %j", ($label) => {
    assert.include(refusal({ $label }).reason, "a $label is a string of 1 to 64 characters")
  })
})

describe("a malformed reference", () => {
  const cases: ReadonlyArray<readonly [object, string, string]> = [
    [{ a: { $ref: 1 } }, "$ref", '$ref takes a string such as "#1/user/id", not the number 1'],
    [{ a: { $ref: "user/id" } }, "user/id", 'a reference begins with "#" and the call, such as "#1/user/id" (at a)'],
    [{ a: { $ref: "#" } }, "#", '"#" is followed by the call'],
    [{ a: { $ref: "#/$defs/user" } }, "#/$defs/user", '"#" is followed by the call'],
    [{ a: { $ref: "#1/~2" } }, "#1/~2", 'in a path "~" is written as "~0"'],
    [{ a: { $ref: "#1", b: 1 } }, "#1", "$ref stands alone in its object"],
    [{ a: { $text: { $search: "x" } } }, "$text", "$text takes a string such as"],
    [{ a: { $text: "x", b: 1 } }, "x", "$text stands alone in its object"],
    [{ a: { $literal: 1, b: 1 } }, "$literal", "$literal stands alone in its object"],
    [{ a: [0, { $text: "x ${#1/a" }] }, "${#1/a", 'no closing "}"'],
    [{ a: { $text: "x ${#}" } }, "#", '"#" is followed by the call']
  ]
  it.each(cases)("%j is told what would be right", (input, reference, reason) => {
    const error = refusal(input)
    assert.strictEqual(error.reference, reference)
    assert.include(error.reason, reason)
    assert.match(error.reason, /\(at a(\.1)?\)$/)
  })

  it("is told how to pass such an object on, and that way works", () => {
    const query = { $text: { $search: "coffee" } }
    assert.include(refusal({ query }).reason, '{"$literal": …}')
    assert.deepStrictEqual(filled({ query: { $literal: query } }), { query })
  })
})

describe("a hostile input", () => {
  const nested = (levels: number, innermost: string) => `${'{"a":['.repeat(levels)}${innermost}${"]}".repeat(levels)}`

  it("may be nested as deep as it likes without references", () => {
    const input = JSON.parse(nested(50_000, "1")) as object
    assert.strictEqual(filled(input), input)
  })

  it("is refused where a reference is nested absurdly deep", () => {
    assert.include(refusal(JSON.parse(nested(50_000, '{"$ref":"#1"}'))).reason, "200 levels")
    assert.lengthOf(parse(JSON.parse(nested(99, '{"$ref":"#1"}'))).references, 1)
  })

  it("is refused with more references than any call needs", () => {
    assert.lengthOf(parse({ a: Array.from({ length: 1000 }, () => ({ $ref: "#1" })) }).references, 1000)
    assert.include(refusal({ a: Array.from({ length: 1001 }, () => ({ $ref: "#1" })) }).reason, "1000 references")
    assert.include(refusal({ a: { $text: "${#1}".repeat(100_000) } }).reason, "1000 references")
  })

  it("may have megabytes in it", () => {
    const input = { a: Array.from({ length: 300_000 }, (_, i) => ({ i })), b: { $ref: "#1" }, c: "x".repeat(5_000_000) }
    const result = filled(input, { 1: "here" }) as Record<string, unknown>
    assert.strictEqual(result["b"], "here")
    assert.strictEqual(result["a"], input.a)
    assert.isBelow(refusal({ a: { $ref: "x".repeat(5_000_000) } }).reference.length, 300)
    assert.isBelow(refusal({ a: { $text: "${#".repeat(1_000_000) } }).reference.length, 300)
  })

  it("cannot reach a prototype", () => {
    const input = JSON.parse('{"__proto__":{"polluted":{"$ref":"#1"}},"constructor":{"prototype":{"$ref":"#1"}}}')
    const result = filled(input, { 1: "yes" }) as object
    assert.deepStrictEqual(Object.keys(result), ["__proto__", "constructor"])
    assert.strictEqual(Object.getPrototypeOf(result), Object.prototype)
    assert.strictEqual(JSON.stringify(result), '{"__proto__":{"polluted":"yes"},"constructor":{"prototype":"yes"}}')
    assert.isUndefined(Reflect.get({}, "polluted"))
  })

  it("that contains itself is left to the decoder, references outside the circle included", () => {
    const loop: Record<string, unknown> = { a: { $ref: "#1" } }
    loop["self"] = loop
    const result = filled(loop, { 1: 5 }) as Record<string, unknown>
    assert.strictEqual(result["a"], 5)
    assert.strictEqual(result["self"], loop)
  })

  it("that throws when it is read is refused", () => {
    const throwing = { get: () => assert.fail("read"), enumerable: true }
    const proxy = new Proxy({}, { ownKeys: () => assert.fail("read") })
    for (const input of [Object.defineProperty({}, "a", throwing), { a: proxy }, proxy]) {
      assert.strictEqual(refusal(input).reason, "it cannot be read")
    }
    const result = parse({ a: { $text: "${#1}" } }).fill(() => Either.right(Object.defineProperty({}, "a", throwing)))
    assert.isTrue(Either.isLeft(result))
    const deep: unknown = JSON.parse(nested(50_000, "1"))
    assert.isTrue(Either.isLeft(parse({ a: { $text: "${#1}" } }).fill(() => Either.right(deep))))
  })
})

describe("the syntax", () => {
  it.effect("is the standard one unless another is provided", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Reference.Syntax, Reference.standard)
      const other: Reference.Grammar = { ...Reference.standard, guidance: "none" }
      const provided = Effect.map(Reference.Syntax, ({ guidance }) => guidance)
      assert.strictEqual(yield* Effect.provideService(provided, Reference.Syntax, other), "none")
      assert.strictEqual(Context.get(Context.empty(), Reference.Syntax), Reference.standard)
    })
  )

  it("teaches nothing that it does not read", () => {
    const inputs = Reference.standard.guidance.matchAll(/\{"(?:[^{}]|\$\{[^}]*\}|\{[^{}]*\})*\}/g)
    const read = Array.from(inputs, ([text]) => text.replace("…}", "1}")).map((text) =>
      parse(JSON.parse(text) as object)
    )
    assert.deepStrictEqual(
      read.flatMap(({ references }) => references.map(({ raw }) => raw)),
      ["#1/user/id", "#1/user/name", "#1/id"]
    )
  })
})
