import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { type BatchResult, OutputStore, Report, Tool, Toolbox, ToolRunner } from "../../src/index.ts"
import { call, down, type Handler, make, outcomes, type Setup, within } from "./world.ts"

const store = Layer.provideMerge(OutputStore.layerReadOutput, OutputStore.layerMemory)

/** Text whose every part is different. */
const numbers = (count: number) => Array.from({ length: count }, (_, n) => `line ${n}`).join("\n")

const answering = (text: unknown, setup: Setup = { policy: { maxOutputBytes: 300 } }) => {
  const { layer, toolbox } = make(() => Effect.succeed(text), setup)
  return { layer, toolbox: Toolbox.make(...toolbox.tools, OutputStore.ReadOutput), plain: toolbox }
}

const told = (batch: BatchResult.BatchResult, i = 0) => {
  const content = Report.toolResults(batch)[i]?.content
  return typeof content === "string"
    ? content
    : (content ?? []).map((block) => ("text" in block ? block.text : "")).join("\n")
}

const spilled = ({ results }: BatchResult.BatchResult) =>
  results.map((result) => (result._tag === "Success" ? result.spilled : undefined))

/** Reads as the model would, from what it was told. */
const readAll = (toolbox: Toolbox.Toolbox<typeof OutputStore.ReadOutput>, key: string, length = 1000) =>
  Effect.gen(function* () {
    let text = ""
    for (;;) {
      const batch = yield* ToolRunner.run(toolbox, [
        { id: "r", name: "read_output", input: { key, from: text.length, length } }
      ])
      const [part] = batch.succeeded
      if (part === undefined) return yield* Effect.die(batch.failed[0])
      text += part.output.text
      if (text.length >= part.output.total) return text
    }
  })

describe("an answer over its budget", () => {
  it.effect("is put away whole, and what the model reads says where it is and how to read it", () => {
    const text = numbers(500)
    const { layer, toolbox } = answering(text)
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [call("c1")])
      const shown = told(batch)
      assert.isTrue(shown.startsWith("line 0\nline 1\n") && shown.endsWith("line 498\nline 499"))
      assert.isBelow(shown.length, 600)
      const [, key = ""] = /kept under the key "([^"]+)"; read it with read_output/.exec(shown) ?? []
      assert.deepStrictEqual(spilled(batch), [{ key, characters: text.length }])
      assert.include(shown, `all ${text.length} characters`)
      assert.strictEqual(yield* readAll(Toolbox.make(OutputStore.ReadOutput), key), text)
      // The program still has it all.
      assert.strictEqual(batch.succeeded[0]?.output, text)
    }).pipe(Effect.provide(layer), Effect.provide(store))
  })

  it.effect("is one of a byte too much, whatever its characters take", () => {
    const policy = { maxOutputBytes: 300 }
    const cases: ReadonlyArray<readonly [string, boolean]> = [
      ["x".repeat(300), false],
      ["x".repeat(301), true],
      ["€".repeat(100), false],
      [`${"€".repeat(100)}x`, true],
      ["😀".repeat(75), false],
      ["😀".repeat(76), true]
    ]
    return Effect.forEach(cases, ([text, over]) => {
      const { layer, toolbox } = answering(text, { policy })
      return Effect.gen(function* () {
        const batch = yield* ToolRunner.run(toolbox, [call("c1")])
        const [kept] = spilled(batch)
        assert.strictEqual(kept !== undefined, over)
        assert.strictEqual(told(batch) === text, !over)
        if (kept !== undefined) assert.strictEqual(yield* readAll(Toolbox.make(OutputStore.ReadOutput), kept.key), text)
      }).pipe(Effect.provide(layer), Effect.provide(store))
    })
  })

  it.effect("that is no text is kept as the JSON the model would read", () => {
    const value = { lines: Array.from({ length: 100 }, (_, n) => ({ n })) }
    const { layer, toolbox } = answering(value)
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [call("c1")])
      const [kept] = spilled(batch)
      const text = yield* readAll(Toolbox.make(OutputStore.ReadOutput), kept?.key ?? "")
      assert.deepStrictEqual(JSON.parse(text), value)
      assert.isTrue(text.startsWith(told(batch).slice(0, 50)))
    }).pipe(Effect.provide(layer), Effect.provide(store))
  })

  it.effect("made of blocks is cut in its text alone, of which all is kept", () => {
    class Shot extends Tool.Service<Shot>()("shot", {
      description: "Answers with text and a picture",
      input: Schema.Struct({}),
      output: Tool.Content,
      effects: "read",
      policy: { maxOutputBytes: 300 }
    }) {}
    const [first, second] = [numbers(50), numbers(60)]
    const picture = Tool.image({ base64: "aGVsbG8=", mediaType: "image/png" })
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(Toolbox.make(Shot), [{ id: "c1", name: "shot", input: {} }])
      const [kept] = spilled(batch)
      const text = yield* readAll(Toolbox.make(OutputStore.ReadOutput), kept?.key ?? "")
      assert.include(text, first)
      assert.include(text, second)
      assert.notInclude(text, "aGVsbG8=")
      const content = Report.toolResults(batch)[0]?.content
      assert(Array.isArray(content))
      assert.deepStrictEqual(
        content.map(({ type }) => type),
        ["text", "image", "text"]
      )
      assert.include(told(batch), JSON.stringify(kept?.key))
    }).pipe(
      Effect.provide(Shot.layer(() => Effect.succeed(Tool.content(Tool.text(first), picture, Tool.text(second))))),
      Effect.provide(ToolRunner.layer),
      Effect.provide(store)
    )
  })

  it.effect("of a fallback is kept too, and so is one out of the cache", () => {
    const text = numbers(500)
    const policy = { maxOutputBytes: 300 } as const
    const fallen = make(() => down(), { policy: { ...policy, fallback: { value: text } } })
    const cached = make(() => Effect.succeed(text), { policy: { ...policy, cache: { ttl: "1 minute" } } })
    const reads = Toolbox.make(OutputStore.ReadOutput)
    return Effect.gen(function* () {
      const fallback = yield* Effect.provide(ToolRunner.run(fallen.toolbox, [call("c1")]), fallen.layer)
      yield* Effect.gen(function* () {
        yield* ToolRunner.run(cached.toolbox, [call("c2")])
        const again = yield* ToolRunner.run(cached.toolbox, [call("c3")])
        assert.deepStrictEqual([outcomes(fallback), outcomes(again)], [["fallback"], ["cache"]])
        for (const batch of [fallback, again]) {
          assert.strictEqual(yield* readAll(reads, spilled(batch)[0]?.key ?? "", 20_000), text)
        }
      }).pipe(Effect.provide(cached.layer))
    }).pipe(Effect.provide(store))
  })

  it.effect("has a key of its own, even where the model gave two calls one id", () => {
    const { layer, toolbox } = make(({ n }) => Effect.succeed(`${n} `.repeat(500)), { policy: { maxOutputBytes: 300 } })
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [call("twin", { n: 1 }), call("twin", { n: 2 })])
      const texts = yield* Effect.forEach(spilled(batch), (kept) =>
        readAll(Toolbox.make(OutputStore.ReadOutput), kept?.key ?? "")
      )
      assert.deepStrictEqual(texts, ["1 ".repeat(500), "2 ".repeat(500)])
    }).pipe(Effect.provide(layer), Effect.provide(store))
  })

  it.effect("is kept once for identical reads, and each of them is told where", () => {
    const { layer, toolbox } = answering(numbers(500))
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [call("c1"), call("c2")])
      const [one, two] = spilled(batch)
      assert.deepStrictEqual(outcomes(batch), ["executed", "coalesced"])
      assert.isDefined(one)
      assert.deepStrictEqual(two, one)
    }).pipe(Effect.provide(layer), Effect.provide(store))
  })

  it.effect("is just cut where there is no store, and no key is named", () => {
    const { layer, plain } = answering(numbers(500))
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(plain, [call("c1")])
      assert.deepStrictEqual(spilled(batch), [undefined])
      assert.match(told(batch), /characters left out: the answer was over 300 bytes …\]/)
    }).pipe(Effect.provide(layer))
  })

  it.effect("names the key, but no tool where there is none to read it with", () => {
    const { layer, plain } = answering(numbers(500))
    return Effect.gen(function* () {
      const shown = told(yield* ToolRunner.run(plain, [call("c1")]))
      assert.include(shown, "kept under the key")
      assert.notInclude(shown, "read_output")
    }).pipe(Effect.provide(layer), Effect.provide(store))
  })
})

describe("a store that does not do its work", () => {
  const broken = new OutputStore.OutputStoreError({ method: "put", key: "k", cause: "disk" })
  const ways: ReadonlyArray<readonly [string, OutputStore.OutputStore["Type"]["put"], number]> = [
    ["fails", () => Effect.fail(broken), 0],
    ["dies", () => Effect.die("boom"), 0],
    ["interrupts itself", () => Effect.interrupt, 0],
    [
      "throws",
      () => {
        throw new Error("boom")
      },
      0
    ],
    ["hangs", () => Effect.never, 30_000],
    ["hangs and ignores its interruption", () => Effect.uninterruptible(Effect.never), 30_000]
  ]
  const withPut = (put: OutputStore.OutputStore["Type"]["put"]) =>
    Layer.succeed(OutputStore.OutputStore, { put, get: () => Effect.die("not asked") })

  for (const [name, put, expected] of ways) {
    it.effect(`and ${name} costs the call nothing but a line in the log`, () => {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(String(message)))
      const { layer, plain } = answering(numbers(500))
      return Effect.gen(function* () {
        const batch = yield* ToolRunner.run(plain, [call("c1")]).pipe(within("1 minute"))
        assert.deepStrictEqual([outcomes(batch), spilled(batch)], [["executed"], [undefined]])
        assert.match(told(batch), /characters left out/)
        assert.strictEqual(lines.filter((line) => line.includes("output could not be kept")).length, 1)
        assert.strictEqual(Duration.toMillis(batch.duration), expected)
      }).pipe(
        Effect.provide(layer),
        Effect.provide(withPut(put)),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger))
      )
    })
  }

  it.effect("does not put off the deadline of a batch", () => {
    const { layer, plain } = answering(numbers(500))
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(plain, [call("c1")], { timeout: "3 seconds" }).pipe(within("3 seconds"))
      assert.deepStrictEqual(outcomes(batch), ["executed"])
    }).pipe(Effect.provide(layer), Effect.provide(withPut(() => Effect.never)))
  })

  it.effect("does not keep a batch from being interrupted", () => {
    const { layer, plain } = answering(numbers(500))
    return Effect.gen(function* () {
      const fiber = yield* Effect.fork(ToolRunner.run(plain, [call("c1")]))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(layer), Effect.provide(withPut(() => Effect.never)))
  })
})

it.effect("a store provided beside the runner is used as one beneath it is", () => {
  const handler: Handler = () => Effect.succeed(numbers(500))
  const { layer, toolbox } = make(handler, { policy: { maxOutputBytes: 300 } })
  return Effect.gen(function* () {
    const run = ToolRunner.run(toolbox, [call("c1")])
    assert.deepStrictEqual(spilled(yield* Effect.provide(run, layer)), [undefined])
    const beneath = yield* Effect.provide(run, Layer.provideMerge(layer, OutputStore.layerMemory))
    assert.isDefined(spilled(beneath)[0])
    const beside = yield* Effect.provide(run, Layer.merge(layer, OutputStore.layerMemory))
    assert.isDefined(spilled(beside)[0])
  })
})
