import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { type Policy, Tool, Toolbox, ToolRunner } from "../../src/index.ts"
import { call, down, type Handler, make, outcomes, type Setup } from "./world.ts"

const ok: Handler = () => Effect.succeed("ok")

const cached = (cache: Partial<Policy.CachePolicy> = {}) => ({ cache: { ttl: "1 minute", ...cache } }) as const

describe("a cached answer", () => {
  const once = (setup: Setup) => {
    const made = make(({ n = 0 }) => Effect.succeed({ answer: n }), setup)
    /** Where the answer to one call comes from. */
    const ask = (input: Parameters<typeof call>[1] = {}) =>
      Effect.map(ToolRunner.run(made.toolbox, [call("c", input)]), (batch) => outcomes(batch)[0])
    return { ...made, ask }
  }

  it.effect("is given to a later batch without an execution, as the same output", () => {
    const { layer, starts, toolbox } = make(({ n }) => Effect.succeed({ answer: n }), { policy: cached() })
    return Effect.gen(function* () {
      const [first] = (yield* ToolRunner.run(toolbox, [call("c1", { n: 7 })])).succeeded
      const [second] = (yield* ToolRunner.run(toolbox, [call("c2", { n: 7 })])).succeeded
      assert.deepStrictEqual([first?.source, first?.attempts], ["executed", 1])
      assert.deepStrictEqual([second?.source, second?.attempts, second?.call.id], ["cache", 0, "c2"])
      assert.deepStrictEqual([second?.output, second?.encoded], [first?.output, first?.encoded])
      assert.strictEqual(starts.length, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is kept for its time, counted from when it was given, and not a millisecond longer", () => {
    const { ask, layer } = once({ policy: cached({ ttl: "10 seconds" }) })
    return Effect.gen(function* () {
      assert.strictEqual(yield* ask(), "executed")
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual(yield* ask(), "cache")
      // Being asked for does not keep it longer.
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* ask(), "executed")
      yield* TestClock.adjust("9999 millis")
      assert.strictEqual(yield* ask(), "cache")
    }).pipe(Effect.provide(layer))
  })

  it.effect("goes when there are too many, the least recently used first", () => {
    const { ask, layer } = once({ policy: cached({ capacity: 2 }) })
    return Effect.gen(function* () {
      yield* ask({ n: 1 })
      yield* ask({ n: 2 })
      for (let again = 0; again < 3; again++) assert.strictEqual(yield* ask({ n: 1 }), "cache")
      assert.strictEqual(yield* ask({ n: 3 }), "executed")
      assert.strictEqual(yield* ask({ n: 1 }), "cache")
      assert.strictEqual(yield* ask({ n: 3 }), "cache")
      assert.strictEqual(yield* ask({ n: 2 }), "executed")
      assert.strictEqual(yield* ask({ n: 1 }), "executed")
    }).pipe(Effect.provide(layer))
  })

  it.effect("belongs to the input, however that was written", () => {
    const { layer, toolbox } = make(ok, { policy: cached() })
    const ask = (input: unknown) =>
      Effect.map(ToolRunner.run(toolbox, [{ id: "c", name: "ask", input }]), (batch) => outcomes(batch)[0])
    return Effect.gen(function* () {
      assert.strictEqual(yield* ask({ n: 1, key: "a" }), "executed")
      // RFC 8785: neither the order of the keys nor the way a number is written matters, nor does white space.
      assert.strictEqual(yield* ask({ key: "a", n: 1 }), "cache")
      assert.strictEqual(yield* ask('{ "key": "\\u0061", "n": 1.0e0 }'), "cache")
      assert.strictEqual(yield* ask({ n: 1, key: "b" }), "executed")
      assert.strictEqual(yield* ask({ n: 1 }), "executed")
      assert.strictEqual(yield* ask({ n: 1, key: undefined }), "cache")
    }).pipe(Effect.provide(layer))
  })

  it.effect("belongs to its tool", () => {
    const { ask, layer } = once({ policy: cached() })
    return Effect.gen(function* () {
      assert.strictEqual(yield* ask({ n: 1 }), "executed")
      assert.strictEqual(yield* ask({ n: 1, name: "other" }), "executed")
      assert.strictEqual(yield* ask({ n: 1, name: "other" }), "cache")
    }).pipe(Effect.provide(layer))
  })

  it.effect("is not given for another tool of the same name", () =>
    Effect.gen(function* () {
      const [mine, theirs] = yield* Effect.all(
        ["mine", "theirs"].map((whose) =>
          Tool.dynamic({
            name: "whoami",
            description: "Says whose tool it is",
            inputSchema: { type: "object" },
            effects: "read",
            policy: cached(),
            handler: () => Effect.succeed(whose)
          })
        )
      )
      assert(mine !== undefined && theirs !== undefined)
      const ask = (tool: typeof mine) =>
        Effect.map(ToolRunner.run(Toolbox.make(tool), [{ id: "c", name: "whoami", input: {} }]), ({ succeeded }) => [
          succeeded[0]?.source,
          succeeded[0]?.output
        ])
      assert.deepStrictEqual(yield* ask(mine), ["executed", "mine"])
      assert.deepStrictEqual(yield* ask(theirs), ["executed", "theirs"])
      assert.deepStrictEqual(yield* ask(mine), ["cache", "mine"])
    }).pipe(Effect.provide(ToolRunner.layer))
  )

  it.effect("is never a failure", () => {
    let failing = true
    const { layer, starts, toolbox } = make(() => (failing ? down() : Effect.succeed("ok")), { policy: cached() })
    return Effect.gen(function* () {
      yield* ToolRunner.run(toolbox, [call("c1")])
      failing = false
      assert.deepStrictEqual(outcomes(yield* ToolRunner.run(toolbox, [call("c2")])), ["executed"])
      assert.strictEqual(starts.length, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is never a fallback's", () => {
    let failing = true
    const { layer, toolbox } = make(() => (failing ? down() : Effect.succeed("ok")), {
      policy: { ...cached(), fallback: { value: "old" } }
    })
    return Effect.gen(function* () {
      assert.deepStrictEqual(outcomes(yield* ToolRunner.run(toolbox, [call("c1")])), ["fallback"])
      failing = false
      assert.deepStrictEqual(outcomes(yield* ToolRunner.run(toolbox, [call("c2")])), ["executed"])
      assert.deepStrictEqual(outcomes(yield* ToolRunner.run(toolbox, [call("c3")])), ["cache"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("is neither kept nor given where a call waits for the output of another", () => {
    const { layer, toolbox } = make(ok, { policy: cached() })
    const pair = [call("c1", { n: 1 }), call("c2", { n: 2, dependsOn: ["c1"] })]
    return Effect.gen(function* () {
      assert.deepStrictEqual(outcomes(yield* ToolRunner.run(toolbox, pair)), ["executed", "executed"])
      assert.deepStrictEqual(outcomes(yield* ToolRunner.run(toolbox, pair)), ["cache", "executed"])
      assert.deepStrictEqual(outcomes(yield* ToolRunner.run(toolbox, [call("c3", { n: 2 })])), ["executed"])
      assert.deepStrictEqual(outcomes(yield* ToolRunner.run(toolbox, pair)), ["cache", "executed"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("is given while the circuit is open", () => {
    let failing = false
    const { layer, toolbox } = make(() => (failing ? down() : Effect.succeed("ok")), {
      policy: { ...cached(), circuitBreaker: { trip: { consecutive: 1 } } }
    })
    return Effect.gen(function* () {
      yield* ToolRunner.run(toolbox, [call("c1", { n: 1 })])
      failing = true
      yield* ToolRunner.run(toolbox, [call("c2", { n: 2 })])
      const batch = yield* ToolRunner.run(toolbox, [call("c3", { n: 1 }), call("c4", { n: 2 })])
      assert.deepStrictEqual(outcomes(batch), ["cache", "CircuitOpen"])
    }).pipe(Effect.provide(layer))
  })

  it("of a tool that is no read cannot be asked for", () => {
    assert.throws(
      () => make(ok, { effects: "write", policy: cached() }),
      'Tool "ask": policy.cache is an object; it takes nothing where effects is "write": only a "read" may run twice'
    )
  })

  it.effect("is not given by a tool that is no read, where a toolbox caches", () => {
    const { layer, starts, toolbox } = make(ok, { effects: "idempotent" })
    return Effect.gen(function* () {
      for (let n = 0; n < 2; n++) yield* ToolRunner.run(Toolbox.withPolicy(toolbox, cached()), [call("c")])
      assert.strictEqual(starts.length, 2)
    }).pipe(Effect.provide(layer))
  })
})
