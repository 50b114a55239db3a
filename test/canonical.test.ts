import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as FastCheck from "effect/FastCheck"
import { canonical } from "../src/internal/canonical.ts"

const nested = (levels: number, wrap: (inner: unknown) => unknown): unknown => {
  let value: unknown = 1
  for (let i = 0; i < levels; i++) value = wrap(value)
  return value
}

/** The same value with the keys of every object in another order. */
const reordered = (value: unknown, flip: boolean): unknown => {
  if (Array.isArray(value)) return value.map((item) => reordered(item, !flip))
  if (typeof value !== "object" || value === null) return value
  const entries = Object.entries(value).map(([key, item]) => [key, reordered(item, !flip)] as const)
  // `__proto__` is an ordinary key in JSON; assigning it is not.
  return Object.fromEntries(flip ? entries.toReversed() : entries)
}

const json = FastCheck.jsonValue({ noUnicodeString: false, maxDepth: 6 })

/** As JSON has it: there is no negative zero. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

/** Deep equality without a word of canonical form. */
const same = (a: unknown, b: unknown): boolean => {
  try {
    assert.deepStrictEqual(plain(a), plain(b))
    return true
  } catch {
    return false
  }
}

const double = (hex: string): number => Buffer.from(hex, "hex").readDoubleBE()

describe("canonical JSON (RFC 8785)", () => {
  it("gives the RFC's own example, section 3.2.4", () => {
    const value: unknown = JSON.parse(`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\"\\/",
      "literals": [null, true, false]
    }`)
    assert.strictEqual(
      canonical(value),
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
  })

  it("sorts keys by UTF-16 code units, section 3.2.3", () => {
    const text = canonical({
      "\u20ac": "Euro Sign",
      "\r": "Carriage Return",
      "\ufb33": "Hebrew Letter Dalet With Dagesh",
      "1": "One",
      "\ud83d\ude00": "Emoji: Grinning Face",
      "\u0080": "Control",
      "\u00f6": "Latin Small Letter O With Diaeresis"
    })
    assert.deepStrictEqual(text?.match(/(?<=:")[^"]*/g), [
      "Carriage Return",
      "One",
      "Control",
      "Latin Small Letter O With Diaeresis",
      "Euro Sign",
      "Emoji: Grinning Face",
      "Hebrew Letter Dalet With Dagesh"
    ])
  })

  it("does not take keys that look like positions for numbers", () => {
    assert.strictEqual(canonical({ 9: 1, 10: 2, "-1": 3 }), '{"-1":3,"10":2,"9":1}')
  })

  it.each([
    ["0000000000000000", "0"],
    ["8000000000000000", "0"],
    ["0000000000000001", "5e-324"],
    ["8000000000000001", "-5e-324"],
    ["7fefffffffffffff", "1.7976931348623157e+308"],
    ["4340000000000000", "9007199254740992"],
    ["4430000000000000", "295147905179352830000"],
    ["44b52d02c7e14af5", "9.999999999999997e+22"],
    ["44b52d02c7e14af6", "1e+23"],
    ["444b1ae4d6e2ef4e", "999999999999999700000"],
    ["444b1ae4d6e2ef50", "1e+21"],
    ["3eb0c6f7a0b5ed8c", "9.999999999999997e-7"],
    ["3eb0c6f7a0b5ed8d", "0.000001"],
    ["41b3de4355555557", "333333333.33333343"],
    ["becbf647612f3696", "-0.0000033333333333333333"],
    ["43143ff3c1cb0959", "1424953923781206.2"]
  ])("writes the number %s of appendix B as %s", (hex, text) => {
    assert.strictEqual(canonical(double(hex)), text)
  })

  it("reads back as the value it was made of", () => {
    FastCheck.assert(
      FastCheck.property(json, (value) => {
        const text = canonical(value)
        if (text === undefined)
          return !JSON.stringify(value).isWellFormed() || /\\ud[89a-f]/i.test(JSON.stringify(value))
        assert.deepStrictEqual(JSON.parse(text), plain(value))
        return true
      }),
      { numRuns: 1000 }
    )
  })

  it("does not depend on the order of keys", () => {
    FastCheck.assert(
      FastCheck.property(json, FastCheck.boolean(), (value, flip) => {
        assert.strictEqual(canonical(reordered(value, flip)), canonical(value))
      }),
      { numRuns: 1000 }
    )
  })

  it("is equal for equal values and for no others", () => {
    // Few keys and few leaves, so that equal values do come up.
    const { value } = FastCheck.letrec((tie) => ({
      value: FastCheck.oneof(
        { maxDepth: 3 },
        FastCheck.constantFrom<unknown>(null, true, 0, -0, 1, "", "1", "null", '{"a":1}'),
        FastCheck.array(tie("value"), { maxLength: 2 }),
        FastCheck.dictionary(FastCheck.constantFrom("a", "b", '":'), tie("value"), { maxKeys: 2 })
      )
    }))
    let equal = 0
    FastCheck.assert(
      FastCheck.property(value, value, (a, b) => {
        const expected = same(a, b)
        if (expected) equal++
        assert.strictEqual(canonical(a) === canonical(b), expected)
      }),
      { numRuns: 5000, seed: 1 }
    )
    assert.isAbove(equal, 100)
  })

  it("does as JSON.stringify with what is not plain", () => {
    const at = DateTime.toDate(DateTime.unsafeMake(0))
    const odd = {
      left: undefined,
      list: [undefined, 1],
      at,
      own: { toJSON: (key: string) => `of ${key}` }
    }
    assert.deepStrictEqual(JSON.parse(canonical(odd) ?? ""), plain(odd))
    assert.strictEqual(canonical(Array.from({ length: 2 })), "[null,null]")
    assert.strictEqual(canonical({ toJSON: () => undefined }), undefined)
    assert.strictEqual(canonical(JSON.parse('{"__proto__":1}')), '{"__proto__":1}')
  })

  const cycle: Array<unknown> = []
  cycle.push([cycle], { again: cycle })

  it.each<[string, unknown]>([
    ["nothing", undefined],
    ["a cycle", cycle],
    ["a BigInt", { a: [1n] }],
    ["a boxed BigInt", Object(1n)],
    ["a boxed number", [Object(1)]],
    ["a boxed string", [Object("a")]],
    ["a function", { a: () => 1 }],
    ["a symbol", { a: Symbol.iterator }],
    ["NaN", [Number.NaN]],
    ["infinity", -Infinity],
    ["half a character", "\ud800"],
    ["half a character in a key", { "\udc00": 1 }],
    [
      "a getter that throws",
      {
        get a() {
          throw new Error("no")
        }
      }
    ],
    [
      "a toJSON that throws",
      {
        toJSON: () => {
          throw new Error("no")
        }
      }
    ],
    ["a toJSON without end", { toJSON: () => nested(100_000, (inner) => ({ toJSON: () => inner })) }],
    ["1,001 levels", nested(1001, (inner) => [inner])],
    ["100,000 levels of arrays", nested(100_000, (inner) => [inner])],
    ["100,000 levels of objects", nested(100_000, (a) => ({ a }))]
  ])("has no form for %s", (_, value) => {
    assert.strictEqual(canonical(value), undefined)
  })

  it("takes the same object twice where that is no cycle", () => {
    const shared = { a: 1 }
    assert.strictEqual(canonical([shared, { b: shared }]), '[{"a":1},{"b":{"a":1}}]')
  })

  it("has a form for a thousand levels", () => {
    assert.strictEqual(canonical(nested(1000, (inner) => [inner])), "[".repeat(1000) + "1" + "]".repeat(1000))
  })
})
