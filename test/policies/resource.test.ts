import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { type Policy, Tool, ToolRunner } from "../../src/index.ts"
import { call, down, type Handler, make, outcome, outcomes, type Setup, within } from "./world.ts"

const seconds =
  (n: number): Handler =>
  () =>
    Effect.as(Effect.sleep(Duration.seconds(n)), "ok")

/** Both tools use what `key` names. */
const using = (handler: Handler, policy: Policy.Policy = {}, setup: Setup = {}) =>
  make(handler, {
    ...setup,
    effects: "write",
    policy: { circuitBreaker: false, ...policy },
    resource: ({ key }) => key
  })

describe("calls that use the same thing", () => {
  it.effect("run one at a time, in call order, those that use another beside them", () => {
    const { layer, starts, toolbox } = using(seconds(1))
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [
        call("a1", { key: "a" }),
        call("b1", { key: "b" }),
        call("a2", { key: "a" }),
        call("none"),
        call("a3", { key: "a" }),
        call("b2", { key: "b" })
      ]).pipe(within("3 seconds"))
      assert.strictEqual(batch.summary.succeeded, 6)
      assert.deepStrictEqual(Object.fromEntries(starts.map(({ at, id }) => [id, at])), {
        a1: 0,
        b1: 0,
        none: 0,
        a2: 1000,
        b2: 1000,
        a3: 2000
      })
    }).pipe(Effect.provide(layer))
  })

  it.effect("a hundred of them keep their order, and no two run at once", () => {
    let running = 0
    const { ids, layer, toolbox } = using(() =>
      Effect.gen(function* () {
        assert.strictEqual(++running, 1)
        yield* Effect.sleep("10 millis")
        running--
      })
    )
    return Effect.gen(function* () {
      const all = Array.from({ length: 100 }, (_, i) => call(`c${i}`, { key: "a" }))
      const batch = yield* ToolRunner.run(toolbox, all).pipe(within("1 second"))
      assert.strictEqual(batch.summary.succeeded, 100)
      assert.deepStrictEqual(
        ids(),
        all.map(({ id }) => id)
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("do so over all tools", () => {
    const { layer, starts, toolbox } = using(seconds(1))
    return Effect.gen(function* () {
      yield* ToolRunner.run(toolbox, [
        call("1", { key: "a", name: "other" }),
        call("2", { key: "a" }),
        call("3", { key: "a", name: "other" })
      ]).pipe(within("3 seconds"))
      assert.deepStrictEqual(
        starts.map(({ at, id }) => [id, at]),
        [
          ["1", 0],
          ["2", 1000],
          ["3", 2000]
        ]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("do so over all batches of a runner, first come first served", () => {
    const { ids, layer, times, toolbox } = using(seconds(2))
    return Effect.gen(function* () {
      const one = yield* Effect.fork(ToolRunner.run(toolbox, [call("1a", { key: "a" }), call("1b", { key: "a" })]))
      yield* TestClock.adjust("1 second")
      const two = yield* Effect.fork(ToolRunner.run(toolbox, [call("2a", { key: "a" })]))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(one)).summary.succeeded, 2)
      assert.strictEqual((yield* Fiber.join(two)).summary.succeeded, 1)
      // The first batch's second call comes to stand in line only when its first has landed.
      assert.deepStrictEqual(ids(), ["1a", "2a", "1b"])
      assert.deepStrictEqual(times(), [0, 2000, 4000])
    }).pipe(Effect.provide(layer))
  })

  it.effect("may fail, crash or time out without costing the next one", () => {
    const { layer, toolbox } = using(
      ({ n }) => (n === 1 ? down() : n === 2 ? Effect.die("boom") : n === 3 ? Effect.never : Effect.succeed("ok")),
      { timeout: "1 second" }
    )
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(
        toolbox,
        [1, 2, 3, 4].map((n) => call(`c${n}`, { n, key: "a" }))
      ).pipe(within("1 second"))
      assert.deepStrictEqual(outcomes(batch), ["ToolFailure", "ToolDefect", "Timeout", "executed"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("may be wrong without costing the next one", () => {
    const { layer, starts, toolbox } = using(seconds(1))
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [
        { id: "bad", name: "ask", input: { key: "a", n: "one" } },
        call("lost", { key: "a", dependsOn: ["nowhere"] }),
        call("after-lost", { key: "a", dependsOn: ["lost"] }),
        call("good", { key: "a" })
      ]).pipe(within("1 second"))
      assert.deepStrictEqual(outcomes(batch), ["InvalidInput", "UnresolvedReference", "DependencyFailed", "executed"])
      assert.deepStrictEqual([starts[0]?.id, starts[0]?.at], ["good", 0])
    }).pipe(Effect.provide(layer))
  })

  it.effect("keep it through their retries and the waits between", () => {
    const { layer, starts, toolbox } = make(({ n }, { attempt }) => (n === 1 && attempt < 3 ? down() : Effect.void), {
      effects: "idempotent",
      policy: { retry: { times: 2, base: "1 second", jitter: "none" } },
      resource: ({ key }) => key
    })
    const run = (n: number) => ToolRunner.run(toolbox, [call(`c${n}`, { n, key: "a" })])
    return Effect.gen(function* () {
      yield* Effect.all([run(1), run(2)], { concurrency: "unbounded" }).pipe(within("3 seconds"))
      assert.deepStrictEqual(
        starts.map(({ at, id }) => [id, at]),
        [
          ["c1", 0],
          ["c1", 1000],
          ["c1", 3000],
          ["c2", 3000]
        ]
      )
    }).pipe(Effect.provide(layer))
  })
})

describe("a handler that ignores its interruption", () => {
  it.effect("keeps what it uses until it really ends", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { layer, starts, toolbox } = using(
        ({ n }) => (n === 1 ? Effect.uninterruptible(Deferred.await(gate)) : Effect.succeed("ok")),
        { timeout: { attempt: "1 second", total: "1 minute" } }
      )
      const program = Effect.gen(function* () {
        const fiber = yield* Effect.fork(
          ToolRunner.run(toolbox, [call("c1", { n: 1, key: "a" }), call("c2", { n: 2, key: "a" })])
        )
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(starts.length, 1)
        yield* Deferred.succeed(gate, undefined)
        yield* TestClock.adjust(0)
        assert.deepStrictEqual(outcomes(yield* Fiber.join(fiber)), ["Timeout", "executed"])
        assert.strictEqual(starts[1]?.at, 30_000)
      })
      yield* Effect.provide(program, layer)
    })
  )

  it.effect("makes the next one wait up to its deadline, which is told so and leaves nothing in line", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { ids, layer, toolbox } = using(
        ({ n }) => (n === 1 ? Effect.uninterruptible(Deferred.await(gate)) : Effect.succeed("ok")),
        { timeout: { attempt: "1 second", total: "5 seconds" } }
      )
      const program = Effect.gen(function* () {
        const batch = yield* ToolRunner.run(toolbox, [
          call("c1", { n: 1, key: "a" }),
          call("c2", { n: 2, key: "a" })
        ]).pipe(within("6 seconds"))
        assert.deepStrictEqual(outcomes(batch), ["Timeout", "BulkheadFull"])
        assert.strictEqual(Duration.toMillis(batch.duration), 6000)
        const [, late] = batch.results
        assert(late?._tag === "Failure")
        assert.deepStrictEqual([late.fault.owner, late.fault.tookEffect, late.attempts], ["runner", "no", 0])
        const other = yield* ToolRunner.run(toolbox, [call("c3", { n: 3, key: "a" })], { timeout: "2 seconds" }).pipe(
          within("2 seconds")
        )
        assert.deepStrictEqual(outcomes(other), ["NotStarted"])
        yield* Deferred.succeed(gate, undefined)
        const after = yield* ToolRunner.run(toolbox, [call("c4", { n: 4, key: "a" })]).pipe(within(0))
        assert.deepStrictEqual(outcomes(after), ["executed"])
        assert.deepStrictEqual(ids(), ["c1", "c4"])
      })
      yield* Effect.provide(program, layer)
    })
  )
})

describe("who stops waiting", () => {
  it.effect("by interruption is gone, and the next in line comes at once when it is free", () => {
    const { ids, layer, times, toolbox } = using(seconds(10))
    return Effect.gen(function* () {
      const run = (id: string) => Effect.fork(ToolRunner.run(toolbox, [call(id, { key: "a" })]))
      const first = yield* run("c1")
      yield* TestClock.adjust("1 second")
      const second = yield* run("c2")
      yield* TestClock.adjust("1 second")
      const third = yield* run("c3")
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(second)
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(outcome((yield* Fiber.join(third)).results[0]), "executed")
      yield* Fiber.join(first)
      assert.deepStrictEqual(
        [ids(), times()],
        [
          ["c1", "c3"],
          [0, 10_000]
        ]
      )
    }).pipe(Effect.provide(layer))
  })
})

describe("the order of calls", () => {
  it.effect("never stands against what a call depends on", () => {
    const { ids, layer, toolbox } = using(seconds(1))
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [
        call("c1", { key: "a", dependsOn: ["c3"] }),
        call("c2", { key: "a" }),
        call("c3", { key: "a" })
      ]).pipe(within("3 seconds"))
      assert.deepStrictEqual(outcomes(batch), ["executed", "executed", "executed"])
      assert.isBelow(ids().indexOf("c3"), ids().indexOf("c1"))
    }).pipe(Effect.provide(layer))
  })

  it.effect("does not either where the way leads through calls that use something else", () => {
    const { layer, starts, toolbox } = using(seconds(1))
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [
        call("c1", { key: "a", dependsOn: ["c2"] }),
        call("c2", { key: "b", dependsOn: ["c4"] }),
        call("c3", { key: "b" }),
        call("c4", { key: "a", dependsOn: ["c5"] }),
        call("c5", { key: "b" }),
        call("c6", { key: "a" })
      ]).pipe(within("6 seconds"))
      assert.strictEqual(batch.summary.succeeded, 6)
      assert.strictEqual(starts.length, 6)
    }).pipe(Effect.provide(layer))
  })
})

it.effect("a `resource` that throws is a defect of that call alone, which is not executed", () => {
  const { layer, starts, toolbox } = make(seconds(1), {
    resource: ({ n }) => {
      if (n === 1) throw new Error("no key")
      return "a"
    }
  })
  return Effect.gen(function* () {
    const batch = yield* ToolRunner.run(toolbox, [call("c1", { n: 1 }), call("c2", { n: 2 })]).pipe(within("1 second"))
    assert.deepStrictEqual(outcomes(batch), ["ToolDefect", "executed"])
    assert.strictEqual(batch.results[0]?.attempts, 0)
    assert.strictEqual(starts.length, 1)
  }).pipe(Effect.provide(layer))
})

it.effect("a fallback tool may use what the call used that it stands in for", () =>
  Effect.gen(function* () {
    const starts: Array<number> = []
    const tool = yield* Tool.dynamic({
      name: "backup",
      description: "Writes to the same thing",
      inputSchema: { type: "object" },
      effects: "write",
      resource: ({ key }) => String(key),
      handler: () =>
        Effect.flatMap(Clock.currentTimeMillis, (at) => {
          starts.push(at)
          return Effect.sleep("1 second")
        })
    })
    const { layer, times, toolbox } = make(({ n }) => (n === 1 ? down() : Effect.sleep("1 second")), {
      policy: { circuitBreaker: false, fallback: { tool } },
      resource: ({ key }) => key
    })
    const batch = yield* ToolRunner.run(toolbox, [call("c1", { n: 1, key: "a" }), call("c2", { n: 2, key: "a" })]).pipe(
      Effect.provide(layer),
      within("2 seconds")
    )
    assert.deepStrictEqual(outcomes(batch), ["fallback", "executed"])
    assert.deepStrictEqual([starts, times()], [[0], [0, 1000]])
  })
)
