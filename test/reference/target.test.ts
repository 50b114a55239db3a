import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Reference from "../../src/Reference.ts"

const turn = Reference.calls([
  { id: "toolu_a" },
  { id: "toolu_b", label: "user" },
  { id: "2" },
  { id: "7", label: "twice" },
  { id: "same", label: "twice" },
  { id: "same" }
])

const find = (target: string) => Reference.lookUp({ raw: `#${target}`, target }, turn)

const reasonOf = (target: string): string =>
  Either.match(find(target), { onLeft: ({ reason }) => reason, onRight: (i) => assert.fail(`found #${i + 1}`) })

describe("the call that a reference means", () => {
  it.each([
    ["1", 0],
    ["6", 5],
    ["user", 1],
    ["toolu_a", 0]
  ] as const)("is found by %j: a position, else a label, else an id", (target, position) => {
    assert.deepStrictEqual(find(target), Either.right(position))
  })

  it("is the one at the position where a number is an id as well", () => {
    assert.deepStrictEqual(find("2"), Either.right(1))
  })

  it("is the one with the id where no call is at the position", () => {
    assert.deepStrictEqual(find("7"), Either.right(3))
  })

  it("is the one with the label where another has that id", () => {
    const calls = Reference.calls([{ id: "user" }, { id: "b", label: "user" }])
    assert.deepStrictEqual(Reference.lookUp({ raw: "#user", target: "user" }, calls), Either.right(1))
  })

  it("is never guessed among several", () => {
    assert.strictEqual(reasonOf("twice"), "2 calls of this turn have that label (#4, #5); write the position of one")
    assert.strictEqual(reasonOf("same"), "2 calls of this turn have that id (#5, #6); write the position of one")
  })

  it.each(["0", "8", "01", "1.0", "-1", "9007199254740993", "nobody", "USER", "__proto__"])(
    "is none for %j, and the reason says what there is",
    (target) => {
      assert.include(reasonOf(target), `no call of this turn is "${target}"`)
      assert.include(reasonOf(target), 'the turn has the calls #1 to #6, with the labels "user", "twice"')
    }
  )

  it("is none in an empty turn, and the reason says so", () => {
    const result = Reference.lookUp({ raw: "#1", target: "1" }, Reference.calls([]))
    assert.include(Either.isLeft(result) ? result.left.reason : "", "the turn has no calls")
  })

  it("is explained where the way into the output is written with dots", () => {
    assert.include(reasonOf("1.user.id"), 'with slashes, such as "#1/user/id"')
    assert.include(reasonOf("user[0]"), "with slashes")
  })

  it("is told in few words, however many calls and labels there are", () => {
    const many = Reference.calls(
      Array.from({ length: 10_000 }, (_, i) => ({ id: "same", label: `${i % 5000} ${"l".repeat(60)}` }))
    )
    for (const target of ["same", "nobody", "x".repeat(1_000_000)]) {
      const result = Reference.lookUp({ raw: `#${target}`, target }, many)
      assert.isTrue(Either.isLeft(result))
      if (Either.isLeft(result)) assert.isBelow(result.left.message.length, 1000)
    }
  })
})

describe("issues of a filled input", () => {
  const reference = (path: ReadonlyArray<string | number>, raw: string, embedded = false): Reference.Ref => ({
    path,
    raw,
    target: raw.slice(1),
    pointer: "",
    embedded
  })
  const references = [
    reference(["id"], "#1/user/id"),
    reference(["list", 0], "#2"),
    reference(["text"], "#1/a", true),
    reference(["text"], "#1/b", true)
  ]
  const explain = (path: ReadonlyArray<string | number>): string | undefined =>
    Reference.explainIssues([{ path, message: "Expected number" }], references)[0]?.message

  it("name the reference that the value came from, at its place and under it", () => {
    assert.strictEqual(explain(["id"]), 'Expected number (the value of "#1/user/id")')
    assert.strictEqual(explain(["list", 0, "a", 3]), 'Expected number (the value of "#2")')
  })

  it("know the place also where positions are given as strings", () => {
    assert.strictEqual(explain(["list", "0"]), 'Expected number (the value of "#2")')
  })

  it("name all references of a text", () => {
    assert.strictEqual(explain(["text"]), 'Expected number (text with the value of "#1/a", "#1/b")')
  })

  it("stay as they are elsewhere", () => {
    assert.strictEqual(explain(["list"]), "Expected number")
    assert.strictEqual(explain(["list", 1]), "Expected number")
    assert.strictEqual(explain([]), "Expected number")
  })

  it("all come from it where the whole input did", () => {
    const [issue] = Reference.explainIssues([{ path: ["x"], message: "missing" }], [reference([], "#1")])
    assert.strictEqual(issue?.message, 'missing (the value of "#1")')
  })
})
