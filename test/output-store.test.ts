import { assert, describe, it } from "@effect/vitest"
import * as FileSystem from "@effect/platform/FileSystem"
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Tool, Toolbox, ToolRunner } from "../src/index.ts"
import * as OutputStore from "../src/services/OutputStore.ts"

/** A store in files of a directory that lives as long as the test. */
const layerFiles = Layer.unwrapScoped(
  Effect.map(
    Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped()),
    (directory) => KeyValueStore.layerFileSystem(directory)
  )
).pipe(Layer.provideMerge(NodeContext.layer))

const overFiles = Layer.provideMerge(OutputStore.layerKeyValueStore, layerFiles)

const stores: ReadonlyArray<readonly [string, Layer.Layer<OutputStore.OutputStore, unknown>]> = [
  ["memory", OutputStore.layerMemory],
  ["a key-value store in memory", Layer.provide(OutputStore.layerKeyValueStore, KeyValueStore.layerMemory)],
  ["files", overFiles]
]

describe.each(stores)("an output store in %s", (_, layer) => {
  it.scopedLive("gives back what was put, to the last character", () =>
    Effect.gen(function* () {
      const { get, put } = yield* OutputStore.OutputStore
      const text = `${"line\r\n".repeat(50_000)}\u0000 😀 "end"`
      yield* put("batch-1/toolu_1", text)
      yield* put("batch-1/toolu_2", "")
      assert.deepStrictEqual(yield* get("batch-1/toolu_1"), Option.some(text))
      assert.deepStrictEqual(yield* get("batch-1/toolu_2"), Option.some(""))
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("has nothing under a key that was never put", () =>
    Effect.gen(function* () {
      const { get, put } = yield* OutputStore.OutputStore
      yield* put("batch-1/toolu_1", "text")
      for (const key of ["batch-1/toolu_2", "batch-1", "../batch-1/toolu_1", "batch-1/toolu_1/"]) {
        assert.deepStrictEqual(yield* get(key), Option.none(), key)
      }
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("keeps what was put last", () =>
    Effect.gen(function* () {
      const { get, put } = yield* OutputStore.OutputStore
      yield* put("key", "a long first text")
      yield* put("key", "second")
      assert.deepStrictEqual(yield* get("key"), Option.some("second"))
    }).pipe(Effect.provide(layer))
  )
})

describe("an output store", () => {
  it.effect("in memory keeps the last 256", () =>
    Effect.gen(function* () {
      const { get, put } = yield* OutputStore.OutputStore
      for (let i = 0; i < 400; i++) yield* put(`key ${i}`, "text")
      const found = yield* Effect.filter(
        Array.from({ length: 400 }, (_, i) => i),
        (i) => Effect.map(get(`key ${i}`), Option.isSome)
      )
      assert.deepStrictEqual(
        found,
        Array.from({ length: 256 }, (_, i) => 144 + i)
      )
    }).pipe(Effect.provide(OutputStore.layerMemory))
  )

  it.effect("keeps to its own part of a key-value store", () =>
    Effect.gen(function* () {
      const shared = yield* KeyValueStore.KeyValueStore
      const { get, put } = yield* OutputStore.OutputStore
      yield* shared.set("secret", "of somebody else")
      yield* put("key", "text")
      assert.isTrue(Option.isNone(yield* get("secret")))
      assert.isTrue(Option.isNone(yield* shared.get("key")))
      assert.deepStrictEqual(yield* shared.get("salvo/output/key"), Option.some("text"))
    }).pipe(Effect.provide(Layer.provideMerge(OutputStore.layerKeyValueStore, KeyValueStore.layerMemory)))
  )

  it.scopedLive("fails in words of its own where the files cannot be reached, or a key can be no file", () =>
    Effect.gen(function* () {
      const { get, put } = yield* OutputStore.OutputStore
      for (const key of ["\ud800", "x".repeat(5000)]) {
        const writing = yield* Effect.flip(put(key, "text"))
        assert.deepStrictEqual([writing._tag, writing.method, writing.key], ["OutputStoreError", "put", key])
        const reading = yield* Effect.flip(get(key))
        assert.deepStrictEqual([reading._tag, reading.method], ["OutputStoreError", "get"])
      }
    }).pipe(Effect.provide(overFiles))
  )
})

const failingStore = Layer.succeed(OutputStore.OutputStore, {
  put: (key) => Effect.fail(new OutputStore.OutputStoreError({ method: "put", key, cause: "disk /dev/sda1 is gone" })),
  get: (key) => Effect.fail(new OutputStore.OutputStoreError({ method: "get", key, cause: "disk /dev/sda1 is gone" }))
})

/** Asks the tool as the model would, in a batch of its own. */
const ask = (input: object, keep: Readonly<Record<string, string>> = {}, store = OutputStore.layerMemory) =>
  Effect.gen(function* () {
    const { put } = yield* OutputStore.OutputStore
    for (const [key, text] of Object.entries(keep)) yield* put(key, text)
    const toolbox = Toolbox.make(OutputStore.ReadOutput)
    const batch = yield* ToolRunner.run(toolbox, [{ id: "toolu_1", name: "read_output", input }])
    return batch.results[0]
  }).pipe(
    Effect.provide(ToolRunner.layerWith({ policy: { retry: false } })),
    Effect.provide(Layer.provideMerge(OutputStore.layerReadOutput, store))
  )

const part = (input: object, keep: Readonly<Record<string, string>>) =>
  Effect.map(ask(input, keep), (result) => (result?._tag === "Success" ? result.output : assert.fail("failed")))

describe("read_output", () => {
  it.effect("gives the asked part, and where it lies in the whole", () =>
    Effect.gen(function* () {
      const long = "0123456789".repeat(3000)
      assert.deepStrictEqual(yield* part({ key: "a", from: 12, length: 5 }, { a: long }), {
        text: "23456",
        from: 12,
        total: 30_000
      })
      const first = yield* part({ key: "a" }, { a: long })
      assert.deepStrictEqual(first, { text: long.slice(0, 10_000), from: 0, total: 30_000 })
      const last = yield* part({ key: "a", from: 29_998 }, { a: long })
      assert.deepStrictEqual(last, { text: "89", from: 29_998, total: 30_000 })
      assert.deepStrictEqual(yield* part({ key: "a", from: 50_000 }, { a: long }), {
        text: "",
        from: 30_000,
        total: 30_000
      })
    })
  )

  const characters = FastCheck.array(FastCheck.constantFrom("a", "é", "😀", "👩‍🚀"), { maxLength: 30 })

  it.effect.prop(
    "gives whole characters only, and all of them to who reads on",
    [characters.map((all) => all.join("")), FastCheck.integer({ min: 1, max: 5 }), FastCheck.nat(40)],
    ([text, length, start]) =>
      Effect.gen(function* () {
        const first = yield* part({ key: "a", from: start, length }, { a: text })
        let read = first.text
        let from = first.from + first.text.length
        while (from < text.length) {
          const next = yield* part({ key: "a", from, length }, { a: text })
          assert.isTrue(next.text.isWellFormed())
          assert.isAtMost(next.text.length, length + 1)
          assert.isNotEmpty(next.text)
          assert.strictEqual(next.from, from)
          read += next.text
          from += next.text.length
        }
        assert.isTrue(first.text.isWellFormed())
        assert.strictEqual(read, text.slice(first.from))
        assert.oneOf(first.from - Math.min(start, text.length), [0, -1])
      }),
    { fastCheck: { numRuns: 50 } }
  )

  it.effect("tells the model that there is no such output: its own mistake", () =>
    Effect.gen(function* () {
      const result = yield* ask({ key: "b" }, { a: "text" })
      assert.strictEqual(result?._tag, "Failure")
      if (result?._tag !== "Failure" || result.error._tag !== "ToolFailure") return assert.fail("another failure")
      assert.deepStrictEqual(result.error.failure, new OutputStore.NoSuchOutput({ key: "b" }))
      assert.strictEqual(OutputStore.ReadOutput.definition.classify(result.error.failure)?.owner, "model")
      assert.include(OutputStore.ReadOutput.definition.describe(result.error.failure), '"b"')
    })
  )

  it.effect("says nothing of the insides of a store that fails, and may be asked again", () =>
    Effect.gen(function* () {
      const result = yield* ask({ key: "a" }, {}, failingStore)
      if (result?._tag !== "Failure" || result.error._tag !== "ToolFailure") return assert.fail("another failure")
      const { classify, describe } = OutputStore.ReadOutput.definition
      assert.isTrue(classify(result.error.failure)?.transient)
      assert.notInclude(describe(result.error.failure), "disk")
    })
  )

  it.effect.each([
    [{ key: "" }],
    [{}],
    [{ key: "a", from: -1 }],
    [{ key: "a", from: 0.5 }],
    [{ key: "a", length: 0 }],
    [{ key: "a", length: 20_001 }]
  ])("refuses the input %o", ([input]) =>
    Effect.gen(function* () {
      const result = yield* ask(input ?? {}, { a: "text" })
      assert.strictEqual(result?._tag === "Failure" && result.error._tag, "InvalidInput")
    })
  )

  it.effect("is not cut itself, whatever the longest part holds", () =>
    Effect.gen(function* () {
      const text = "\u0001".repeat(20_000)
      const got = yield* part({ key: "a", length: 20_000 }, { a: text })
      const encoded = Schema.encodeSync(Schema.parseJson(Schema.Unknown))(got)
      assert.isAtMost(
        new TextEncoder().encode(encoded).length,
        OutputStore.ReadOutput.definition.policy.maxOutputBytes ?? 0
      )
    })
  )

  it("is described to the model with what it may leave out", () => {
    const { inputSchema } = OutputStore.ReadOutput.definition
    assert.deepStrictEqual(inputSchema["required"], ["key"])
    assert.isTrue(Tool.TypeId in OutputStore.ReadOutput)
  })
})
