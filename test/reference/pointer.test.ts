import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { pointerInto } from "../../src/Reference.ts"
import { json, places, toPointer } from "./arbitrary.ts"

const reasonOf = (output: unknown, pointer: string): string =>
  Either.match(pointerInto(output, pointer), {
    onLeft: (reason) => reason,
    onRight: (value) => assert.fail(`found ${JSON.stringify(value)}`)
  })

/** Token by token, by nothing but comparison of keys. */
const naive = (value: unknown, pointer: string): { readonly value: unknown } | undefined => {
  if (pointer === "") return { value }
  const [, token = "", rest = ""] = /^\/([^/]*)(.*)$/s.exec(pointer) ?? []
  const entries: ReadonlyArray<readonly [string, unknown]> = Array.isArray(value)
    ? value.map((item, i) => [String(i), item] as const)
    : typeof value === "object" && value !== null
      ? Object.entries(value)
      : []
  const entry = entries.find(([key]) => key.split("~").join("~0").split("/").join("~1") === token)
  return entry === undefined ? undefined : naive(entry[1], rest)
}

describe("a pointer into an output (RFC 6901)", () => {
  const document: unknown = JSON.parse(
    String.raw`{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}`
  )
  const examples: ReadonlyArray<readonly [string, unknown]> = [
    ["", document],
    ["/foo", ["bar", "baz"]],
    ["/foo/0", "bar"],
    ["/", 0],
    ["/a~1b", 1],
    ["/c%d", 2],
    ["/e^f", 3],
    ["/g|h", 4],
    ["/i\\j", 5],
    ['/k"l', 6],
    ["/ ", 7],
    ["/m~0n", 8]
  ]
  it.each(examples)("finds the RFC's own example %j, section 5", (pointer, value) => {
    assert.deepStrictEqual(pointerInto(document, pointer), Either.right(value))
  })

  it("reads ~01 as the key ~1, not as a slash", () => {
    assert.deepStrictEqual(pointerInto({ "~1": 1, "/": 2 }, "/~01"), Either.right(1))
  })

  it.each([
    "/foo/-",
    "/foo/00",
    "/foo/01",
    "/foo/2",
    "/foo/-1",
    "/foo/1.0",
    "/foo/1e0",
    "/foo/+1",
    "/foo/ 1",
    "/foo/length"
  ])("finds nothing at %j", (pointer) => {
    assert.include(reasonOf(document, pointer), "/foo is an array of 2, counted from 0")
  })

  it("reaches every place of a value", () => {
    FastCheck.assert(
      FastCheck.property(json, (output) => {
        for (const [path, value] of places(output)) {
          assert.deepStrictEqual(pointerInto(output, toPointer(path)), Either.right(value))
        }
      })
    )
  })

  it("agrees with a naive reading, also where nothing is", () => {
    const token = FastCheck.oneof(
      FastCheck.constantFrom("0", "1", "-", "00", "length", "__proto__", "constructor", "a~1b", "m~0n", ""),
      FastCheck.string({ maxLength: 3 }).map((text) => text.replaceAll(/[~/]/g, ""))
    )
    const pointer = FastCheck.array(token, { maxLength: 3 }).map((path) => path.map((token) => `/${token}`).join(""))
    FastCheck.assert(
      FastCheck.property(json, pointer, (output, pointer) => {
        const expected = naive(output, pointer)
        const actual = pointerInto(output, pointer)
        if (expected === undefined) assert.isTrue(Either.isLeft(actual))
        else assert.deepStrictEqual(actual, Either.right(expected.value))
      }),
      { numRuns: 1000 }
    )
  })

  it("never reaches a prototype", () => {
    for (const pointer of ["/__proto__", "/constructor", "/constructor/prototype", "/toString", "/a/length", "/b/0"]) {
      assert.isTrue(Either.isLeft(pointerInto({ a: [], b: "text" }, pointer)), pointer)
    }
    assert.deepStrictEqual(pointerInto(JSON.parse('{"__proto__":{"x":1}}'), "/__proto__/x"), Either.right(1))
  })
})

describe("the reason why a pointer leads nowhere", () => {
  const output = { user: { name: "Ada", age: 36 }, tags: ["x", "y", "z"], note: "hush", none: null, empty: {}, no: [] }
  const cases: ReadonlyArray<readonly [string, string]> = [
    ["/user/id", 'there is no "id", /user has the keys "name", "age"'],
    ["/id", 'there is no "id", the output has the keys "user", "tags", "note", "none", "empty", "no"'],
    ["/tags/3", 'there is no "3", /tags is an array of 3, counted from 0'],
    ["/tags/first", 'there is no "first", /tags is an array of 3, counted from 0'],
    ["/note/0", 'there is no "0", /note is a string'],
    ["/user/age/years", 'there is no "years", /user/age is a number'],
    ["/none/x", 'there is no "x", /none is null'],
    ["/empty/x/y", 'there is no "x", /empty is an empty object'],
    ["/no/0", 'there is no "0", /no is an empty array'],
    ["user", 'a path into an output begins with "/"'],
    ["/~2", 'in a path "~" is written as "~0", and a "/" in a key as "~1"'],
    ["/user~", 'in a path "~" is written as "~0", and a "/" in a key as "~1"']
  ]
  it.each(cases)("says for %j how far it led and what was there", (pointer, reason) => {
    assert.strictEqual(reasonOf(output, pointer), reason)
  })

  it("says that there is no output at all", () => {
    assert.strictEqual(reasonOf(undefined, ""), "that call has no output")
    assert.strictEqual(reasonOf(undefined, "/a"), "that call has no output")
  })

  it("has no values of the output in it", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.constantFrom("/x", "/a/x", "/a/0/x", "/b/x"), (pointer) => {
        const secret = "s3cr3t-value"
        assert.notInclude(reasonOf({ a: [secret], b: { c: secret } }, pointer), secret)
      })
    )
  })

  it("stays short, however long the keys, the pointer and the output", () => {
    const long = "k".repeat(100_000)
    const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`${long}${i}`, i] as const).slice(0, 50))
    assert.isBelow(reasonOf({ [long]: many }, `/${long}/${long}`).length, 1000)
    assert.isBelow(reasonOf({}, `/a${"/b".repeat(100_000)}`).length, 1000)
  })

  it("is given where reading throws", () => {
    const hostile = Object.defineProperty({}, "a", {
      enumerable: true,
      get: () => assert.fail("read")
    })
    assert.strictEqual(reasonOf(hostile, "/a"), "the output cannot be read there")
  })
})
