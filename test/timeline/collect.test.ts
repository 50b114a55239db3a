import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { BatchEvents, type BatchResult, Tool, Toolbox, type ToolCall, ToolRunner } from "../../src/index.ts"
import { FaultyTool } from "../../src/testing/index.ts"
import { Timeline } from "../../src/timeline/index.ts"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}

const definition = { description: "For tests", input: Schema.Struct({}), output: Schema.String, failure: Down } as const

class Steady extends Tool.Service<Steady>()("steady", {
  ...definition,
  effects: "read",
  policy: { coalesce: false }
}) {}

class Flaky extends Tool.Service<Flaky>()("flaky", {
  ...definition,
  effects: "read",
  policy: { retry: { times: 2, base: "100 millis", jitter: "none" } }
}) {}

class Stuck extends Tool.Service<Stuck>()("stuck", {
  ...definition,
  effects: "write",
  policy: { timeout: "1 second", retry: false }
}) {}

class Hedged extends Tool.Service<Hedged>()("hedged", {
  ...definition,
  effects: "read",
  policy: { hedge: { delay: "50 millis" }, retry: false }
}) {}

const toolbox = Toolbox.make(Steady, Flaky, Stuck, Hedged)

const second = <A>(first: Effect.Effect<A>, later: Effect.Effect<A>) => {
  let calls = 0
  return Effect.suspend(() => (calls++ === 0 ? first : later))
}

const tools = Layer.mergeAll(
  Steady.layer(() => Effect.as(Effect.sleep("20 millis"), "ok")),
  Flaky.layer((_, { attempt }) =>
    Effect.zipRight(Effect.sleep("10 millis"), attempt === 1 ? Effect.fail(new Down()) : Effect.succeed("ok"))
  ),
  Stuck.layer(FaultyTool.deaf),
  Layer.suspend(() => {
    const answer = second(Effect.as(Effect.sleep("1 second"), "slow"), Effect.as(Effect.sleep("10 millis"), "fast"))
    return Hedged.layer(() => answer)
  })
)

const environment = Layer.mergeAll(tools, ToolRunner.layer, BatchEvents.layer)

const calls: ReadonlyArray<ToolCall.ToolCall> = [
  { id: "1", name: "steady", input: {} },
  { id: "2", name: "flaky", input: {}, dependsOn: ["1"] },
  { id: "3", name: "stuck", input: {} },
  { id: "4", name: "steady", input: {}, dependsOn: ["3"] },
  { id: "5", name: "hedged", input: {} },
  { id: "6", name: "nowhere", input: {} }
]

const lanesOf = ({ batches }: Timeline.Timeline): ReadonlyArray<Timeline.Lane> => batches.flatMap(({ lanes }) => lanes)

const attempts = (lane: Timeline.Lane): ReadonlyArray<string> =>
  lane.spans.flatMap((span) =>
    span._tag === "Attempt" ? [`${span.source} ${span.outcome} ${span.to - span.from}`] : []
  )

describe("Timeline.collect", () => {
  it.scoped("draws a run as its results tell it", () =>
    Effect.gen(function* () {
      const timeline = yield* Timeline.collect
      const running = yield* Effect.fork(ToolRunner.run(toolbox, calls, { id: "turn" }))
      yield* TestClock.adjust("5 seconds")
      const batch: BatchResult.BatchResult = yield* Fiber.join(running)
      const drawn = yield* timeline
      const lanes = lanesOf(drawn)
      assert.deepStrictEqual(
        lanes.map(({ call, outcome }) => [call.id, outcome]),
        [
          ["1", "succeeded"],
          ["2", "succeeded"],
          ["3", "timedOut"],
          ["4", "skipped"],
          ["5", "succeeded"],
          ["6", "invalid"]
        ]
      )
      assert.deepStrictEqual(lanes.map(attempts), [
        ["executed succeeded 20"],
        ["executed failed 10", "executed succeeded 10"],
        ["executed timedOut 1000"],
        [],
        ["executed abandoned 60", "hedge succeeded 10"],
        []
      ])
      assert.deepStrictEqual(
        drawn.batches[0]?.arrows.map(({ arrives, from, leaves, to }) => [
          from,
          to,
          leaves - drawn.from,
          arrives - drawn.from
        ]),
        [
          [0, 1, 20, 20],
          [2, 3, 1000, 1000]
        ]
      )
      for (const [i, { attempts }] of batch.results.entries()) {
        assert.strictEqual(lanes[i]?.spans.filter(({ _tag }) => _tag === "Attempt").length, attempts)
      }
      assert.strictEqual(drawn.to - drawn.from, Duration.toMillis(batch.duration))
      assert.isFalse(lanes.some(({ beganBefore }) => beganBefore))
    }).pipe(Effect.provide(environment))
  )

  it.scoped("hears the first event and the last, however short the run and however many the calls", () =>
    Effect.gen(function* () {
      for (const count of [1, 2, 40, 900]) {
        const timeline = yield* Timeline.collect
        const many = Array.from({ length: count }, (_, i) => ({ id: `${i}`, name: "steady", input: {} }))
        yield* ToolRunner.run(toolbox, many).pipe(
          Effect.provide(Steady.layer(() => Effect.succeed("at once"))),
          Effect.withClock(yield* Effect.clock)
        )
        const lanes = lanesOf(yield* timeline)
        assert.lengthOf(lanes, count)
        assert.isTrue(lanes.every(({ beganBefore, outcome }) => !beganBefore && outcome === "succeeded"))
      }
    }).pipe(Effect.provide(environment))
  )

  it.scoped("can be asked in the middle, and after an interruption", () =>
    Effect.gen(function* () {
      const timeline = yield* Timeline.collect
      const running = yield* Effect.fork(ToolRunner.run(toolbox, calls))
      yield* TestClock.adjust("500 millis")
      const middle = lanesOf(yield* timeline)
      assert.deepInclude(middle[0], { outcome: "succeeded" })
      assert.deepInclude(middle[2], { outcome: "unfinished", result: undefined })
      const stopping = yield* Effect.fork(Fiber.interrupt(running))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(stopping)
      const [first, , third, fourth] = lanesOf(yield* timeline)
      assert.deepInclude(first, { outcome: "succeeded" })
      assert.deepInclude(third, { outcome: "unknown" })
      assert.deepInclude(fourth, { outcome: "skipped" })
    }).pipe(Effect.provide(environment))
  )
})
