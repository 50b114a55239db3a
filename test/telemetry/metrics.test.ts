import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as MetricState from "effect/MetricState"
import * as TestClock from "effect/TestClock"
import { CircuitBreaker, type ToolCall, ToolRunner } from "../../src/index.ts"
import { call, calls, down, type Handler, make, type Setup, within } from "../policies/world.ts"

/** Every metric of Salvo by its name and labels: counters and gauges. */
const numbers = Effect.map(Metric.snapshot, (pairs) => {
  const found: Record<string, number> = {}
  for (const { metricKey, metricState } of pairs) {
    if (!metricKey.name.startsWith("salvo_")) continue
    const labels = metricKey.tags.map(({ key, value }) => `${key}=${value}`).toSorted()
    const name = [metricKey.name.slice("salvo_".length), ...labels].join(" ")
    if (MetricState.isCounterState(metricState)) found[name] = Number(metricState.count)
    if (MetricState.isGaugeState(metricState)) found[name] = Number(metricState.value)
  }
  return found
})

/** How the metrics change while it runs: those that do. The registry is the process's own. */
const changes = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = yield* numbers
    yield* effect
    const after = yield* numbers
    return Object.fromEntries(
      Object.entries(after)
        .map(([name, value]) => [name, value - (before[name] ?? 0)] as const)
        .filter(([name, change]) => change !== 0 && !name.startsWith("circuit"))
    )
  })

const run = (handler: Handler, setup: Setup, calls: ReadonlyArray<ToolCall.ToolCall>) => {
  const { layer, toolbox } = make(handler, setup)
  return ToolRunner.run(toolbox, calls).pipe(Effect.provide(layer), within("1 hour"))
}

const slow =
  (millis: number): Handler =>
  () =>
    Effect.as(Effect.sleep(Duration.millis(millis)), "done")

const soon = { base: "10 millis", jitter: "none", budget: false } as const

describe("the metrics of a tool", () => {
  it.effect("count calls by what became of them and whose fault it was, and the executions that took", () =>
    Effect.gen(function* () {
      const handler: Handler = ({ key = "" }, { attempt }) => {
        if (key === "flaky") return attempt === 1 ? down() : Effect.succeed("done")
        if (key === "bug") return Effect.die("a bug")
        return key === "slow" ? Effect.never : key === "down" ? down() : Effect.succeed("done")
      }
      const setup = { policy: { retry: { ...soon, times: 1 }, timeout: "1 second", circuitBreaker: false } } as const
      const all = [
        ...["fine", "flaky", "bug", "slow", "down"].map((key) => call(key, { key })),
        call("skipped", { dependsOn: ["down"] }),
        call("also_skipped", { dependsOn: ["skipped"] }),
        { id: "wrong", name: "other", input: { n: "one" } },
        call("fine_too", { name: "other" })
      ]
      assert.deepStrictEqual(yield* changes(run(handler, setup, all)), {
        "calls_total outcome=success owner=none tool=ask": 2,
        "calls_total outcome=success owner=none tool=other": 1,
        "calls_total outcome=ToolDefect owner=tool tool=ask": 1,
        "calls_total outcome=Timeout owner=tool tool=ask": 1,
        "calls_total outcome=ToolFailure owner=tool tool=ask": 1,
        "calls_total outcome=DependencyFailed owner=dependency tool=ask": 2,
        "calls_total outcome=InvalidInput owner=model tool=other": 1,
        "attempts_total tool=ask": 1 + 2 + 1 + 2 + 2,
        "attempts_total tool=other": 1,
        "skipped_total tool=ask": 2
      })
    })
  )

  it.effect("count what was answered by an identical call", () =>
    Effect.gen(function* () {
      const same = [call("a"), call("b"), call("c"), call("other", { n: 1 })]
      assert.deepStrictEqual(yield* changes(run(slow(1), {}, same)), {
        "calls_total outcome=success owner=none tool=ask": 4,
        "attempts_total tool=ask": 2,
        "coalesced_total tool=ask": 2
      })
    })
  )

  it.effect("count what was turned away, and what an interruption left behind", () =>
    Effect.gen(function* () {
      const interrupted = Effect.gen(function* () {
        const { layer, toolbox } = make(slow(1000), { policy: { bulkhead: { limit: 1, queue: 1 } } })
        const running = yield* Effect.fork(Effect.provide(ToolRunner.run(toolbox, calls(3)), layer))
        yield* TestClock.adjust("10 millis")
        yield* Fiber.interrupt(running)
      })
      assert.deepStrictEqual(yield* changes(interrupted), {
        "calls_total outcome=BulkheadFull owner=runner tool=ask": 1,
        "calls_total outcome=OutcomeUnknown owner=run tool=ask": 1,
        "calls_total outcome=NotStarted owner=run tool=ask": 1,
        "attempts_total tool=ask": 1
      })
    })
  )

  it.effect("know no names that the model made up", () =>
    Effect.gen(function* () {
      const invented = Array.from({ length: 50 }, (_, n) => call(`${n}`, { name: `tool_${n}` }))
      assert.deepStrictEqual(yield* changes(run(slow(1), {}, invented)), {
        "calls_total outcome=UnknownTool owner=model tool=(unknown)": 50
      })
    })
  )

  it.effect("keep the labels around them, apart from those without", () =>
    Effect.gen(function* () {
      const tagged = run(() => Effect.succeed("done"), {}, [call("a"), call("b", { name: "nowhere" })]).pipe(
        Effect.tagMetrics({ tenant: "acme" })
      )
      const expected = {
        "calls_total outcome=success owner=none tenant=acme tool=ask": 1,
        "calls_total outcome=UnknownTool owner=model tenant=acme tool=(unknown)": 1,
        "attempts_total tenant=acme tool=ask": 1
      }
      assert.deepStrictEqual(yield* changes(tagged), expected)
      // Once more: they add up.
      assert.deepStrictEqual(yield* changes(tagged), expected)
    })
  )

  it.effect("count handlers that do not stop, and forget them when they do", () =>
    Effect.gen(function* () {
      const gate = yield* Effect.makeLatch(false)
      const handler: Handler = () => Effect.as(Effect.uninterruptible(gate.await), "late")
      const { layer, toolbox } = make(handler, { policy: { timeout: { attempt: "1 second", grace: "2 seconds" } } })
      const timedOut = {
        "calls_total outcome=Timeout owner=tool tool=ask": 2,
        "attempts_total tool=ask": 2
      }
      const late = ToolRunner.run(toolbox, calls(2)).pipe(Effect.provide(layer), within("2900 millis"))
      assert.deepStrictEqual(yield* changes(late), timedOut)
      const leaking = TestClock.adjust("200 millis")
      assert.deepStrictEqual(yield* changes(leaking), {
        "leaked_handlers_total tool=ask": 2,
        "leaked_handlers tool=ask": 2
      })
      const ending = Effect.zipRight(gate.open, TestClock.adjust("1 millis"))
      assert.deepStrictEqual(yield* changes(ending), { "leaked_handlers tool=ask": -2 })
    })
  )
})

describe("the histograms of a tool", () => {
  /** How many values each bucket got (by its upper bound), how many there were and their sum. */
  const histogram = (name: string, tool: string) =>
    Effect.map(Metric.snapshot, (pairs) => {
      const found = pairs.find(
        ({ metricKey }) =>
          metricKey.name === name && metricKey.tags.length === 1 && metricKey.tags.some(({ value }) => value === tool)
      )
      if (found === undefined || !MetricState.isHistogramState(found.metricState)) return undefined
      const { buckets, count, sum } = found.metricState
      return { buckets: new Map(buckets), count, sum }
    })

  /** What a run adds to both: count, sum, and how many of them are up to so many seconds. */
  const added = <A, E, R>(effect: Effect.Effect<A, E, R>, ...bounds: ReadonlyArray<number>) => {
    const both = Effect.all({
      duration: histogram("salvo_call_duration_seconds", "ask"),
      queue: histogram("salvo_call_queue_seconds", "ask")
    })
    return Effect.gen(function* () {
      const before = yield* both
      yield* effect
      const after = yield* both
      const difference = (name: "duration" | "queue") => [
        (after[name]?.count ?? 0) - (before[name]?.count ?? 0),
        Math.round(1000 * ((after[name]?.sum ?? 0) - (before[name]?.sum ?? 0))) / 1000,
        ...bounds.map((bound) => (after[name]?.buckets.get(bound) ?? 0) - (before[name]?.buckets.get(bound) ?? 0))
      ]
      return { duration: difference("duration"), queue: difference("queue") }
    })
  }

  it.effect("tell in seconds how long calls took, and how long they waited to be executed", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* added(run(slow(300), { policy: { bulkhead: 1 } }, calls(3)), 0.01, 0.32, 1.28), {
        duration: [3, 1.8, 0, 1, 3],
        queue: [3, 0.9, 1, 2, 3]
      })
    })
  )

  it.effect("count the time of a call from when it is ready, with its attempts and the waits between", () =>
    Effect.gen(function* () {
      const handler: Handler = ({ n = 0 }, { attempt }) =>
        n === 1 && attempt === 1 ? down() : Effect.sleep("300 millis")
      const setup = { policy: { retry: { ...soon, base: "200 millis" } } } as const
      const both = [call("first"), call("second", { n: 1, dependsOn: ["first"] })]
      assert.deepStrictEqual(yield* added(run(handler, setup, both)), { duration: [2, 0.8], queue: [2, 0] })
    })
  )

  it.effect("leave out calls that were never ready", () =>
    Effect.gen(function* () {
      const never = [
        { id: "wrong", name: "ask", input: { n: "one" } },
        call("cyclic", { dependsOn: ["cyclic"] }),
        call("skipped", { dependsOn: ["wrong"] })
      ]
      assert.deepStrictEqual(yield* added(run(slow(1), {}, never)), { duration: [0, 0], queue: [0, 0] })
    })
  )
})

describe("the metrics of a circuit breaker", () => {
  const of = (breaker: string) =>
    Effect.map(numbers, (all) => ({
      state: all[`circuit_breaker_state breaker=${breaker}`],
      transitions: all[`circuit_breaker_transitions breaker=${breaker}`],
      rejections: all[`circuit_breaker_rejections breaker=${breaker}`]
    }))

  it.effect("tell its state, its changes and whom it turned away", () =>
    Effect.gen(function* () {
      const breaker = "metered"
      const policy = { trip: { consecutive: 1 }, openFor: "5 seconds" } as const
      const through = (effect: Effect.Effect<unknown, string>) =>
        Effect.exit(CircuitBreaker.execute(effect, { key: breaker, policy }))
      yield* Effect.gen(function* () {
        yield* through(Effect.void)
        assert.deepStrictEqual(yield* of(breaker), { state: 0, transitions: 0, rejections: undefined })
        yield* through(Effect.fail("down"))
        yield* through(Effect.void)
        yield* through(Effect.void)
        assert.deepStrictEqual(yield* of(breaker), { state: 2, transitions: 1, rejections: 2 })
        yield* TestClock.adjust("5 seconds")
        const probe = yield* Effect.fork(through(Effect.sleep("1 second")))
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(yield* of(breaker), { state: 1, transitions: 2, rejections: 2 })
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(probe)
        assert.deepStrictEqual(yield* of(breaker), { state: 0, transitions: 3, rejections: 2 })
        const held = yield* Effect.flatMap(CircuitBreaker.CircuitBreaker, ({ get }) => get(breaker))
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* held.isolate
            assert.deepStrictEqual(yield* of(breaker), { state: 3, transitions: 4, rejections: 2 })
          })
        )
        assert.deepStrictEqual(yield* of(breaker), { state: 0, transitions: 5, rejections: 2 })
      }).pipe(Effect.provide(CircuitBreaker.layerMemory))
    })
  )
})
