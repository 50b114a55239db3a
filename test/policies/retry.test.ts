import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { BatchEvents, type Policy, ToolRunner } from "../../src/index.ts"
import { call, down, type Handler, make, outcomes, why, within } from "./world.ts"

const noBreaker = { circuitBreaker: false } as const
const unlimited = { budget: false } as const

/** Collects the events of a batch. */
const listening = () => {
  const events: Array<BatchEvents.BatchEvent> = []
  const publish = (event: BatchEvents.BatchEvent) => Effect.sync(() => void events.push(event))
  return { events, layer: Layer.succeed(BatchEvents.BatchEvents, { publish, stream: Stream.empty }) }
}

/** One call under this retry: its batch, the waits between its executions and what the events told of them. */
const play = (retry: Policy.RetryPolicy, handler: Handler = (_, { attempt }) => down(`attempt ${attempt}`)) =>
  Effect.gen(function* () {
    const { layer, times, toolbox } = make(handler, {
      policy: { ...noBreaker, retry: { ...unlimited, ...retry }, timeout: { attempt: "1 hour", total: "1000 hours" } }
    })
    const { events, layer: listener } = listening()
    const batch = yield* ToolRunner.run(toolbox, [call("c1")]).pipe(
      Effect.provide(layer),
      Effect.provide(listener),
      within("1000 hours")
    )
    return {
      batch,
      executions: times().length,
      delays: times()
        .slice(1)
        .map((at, i) => at - (times()[i] ?? 0)),
      told: events.flatMap((event) =>
        event._tag === "Retrying" ? [[event.attempt, Duration.toMillis(event.delay)] as const] : []
      )
    }
  })

const second = { base: "1 second", jitter: "none" } as const

describe("scenarios of other libraries", () => {
  it.effect("D1 five retries of a failure make six executions, and the last failure stands", () =>
    Effect.gen(function* () {
      const { batch, executions } = yield* play({ times: 5 })
      assert.deepStrictEqual([executions, batch.results[0]?.attempts], [6, 6])
      assert.strictEqual(why(batch.results[0]), "attempt 6")
    })
  )

  it.effect("D1 (restated: here an answer is never a reason to try again) an unusable answer is final", () =>
    Effect.gen(function* () {
      const { batch, executions } = yield* play({ times: 5 }, () => Effect.succeed(1n))
      assert.deepStrictEqual([outcomes(batch), executions], [["InvalidOutput"], 1])
    })
  )

  it.effect("D1 twelve retries are told of twelve times", () =>
    Effect.gen(function* () {
      const { told } = yield* play({ times: 12 })
      assert.deepStrictEqual(
        told.map(([attempt]) => attempt),
        Array.from({ length: 12 }, (_, n) => n + 2)
      )
    })
  )

  it.effect(
    "D3 without jitter: constant (a factor of 1), linear (a Schedule of the user's), exponential, and base 0",
    () =>
      Effect.gen(function* () {
        const delays = (retry: Policy.RetryPolicy) => Effect.map(play({ times: 3, ...retry }), ({ delays }) => delays)
        assert.deepStrictEqual(yield* delays({ ...second, factor: 1 }), [1000, 1000, 1000])
        assert.deepStrictEqual(yield* delays({ schedule: Schedule.linear("1 second") }), [1000, 2000, 3000])
        assert.deepStrictEqual(yield* delays(second), [1000, 2000, 4000])
        for (const jitter of ["none", "full", "equal", "decorrelated"] as const) {
          assert.deepStrictEqual(yield* delays({ base: 0, jitter }), [0, 0, 0])
        }
      })
  )

  it.effect(
    "D5 (restated: linear is the user's Schedule, and so is its cap) delays and attempts are told as they are",
    () =>
      Effect.gen(function* () {
        const linear = Schedule.linear("2 seconds")
        const plain = yield* play({ times: 3, schedule: linear })
        assert.deepStrictEqual(plain.told, [
          [2, 2000],
          [3, 4000],
          [4, 6000]
        ])
        assert.deepStrictEqual(plain.delays, [2000, 4000, 6000])
        const capped = linear.pipe(Schedule.modifyDelay((_, delay) => Duration.min(delay, Duration.millis(123))))
        assert.deepStrictEqual((yield* play({ times: 3, schedule: capped })).delays, [123, 123, 123])
      })
  )

  it.effect("D9 interrupted before it begins, a call is not executed", () =>
    Effect.gen(function* () {
      const { layer, starts, toolbox } = make(() => down())
      const fiber = yield* Effect.fork(ToolRunner.run(toolbox, [call("c1")]).pipe(Effect.provide(layer)))
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.strictEqual(starts.length, 0)
    })
  )

  for (const [when, tag] of [
    ["while it is executed", "AttemptStarted"],
    ["when it is told that it will be tried again", "Retrying"]
  ] as const) {
    it.effect(`D9 interrupted ${when}, a call is executed once`, () =>
      Effect.gen(function* () {
        const { layer, starts, toolbox } = make(() => Effect.zipRight(Effect.sleep("1 second"), down()), {
          policy: { ...noBreaker, retry: { times: 5, ...second } }
        })
        let running: Fiber.RuntimeFiber<unknown> | undefined
        const publish = (event: BatchEvents.BatchEvent) =>
          event._tag === tag && running !== undefined ? Effect.asVoid(Fiber.interruptFork(running)) : Effect.void
        running = yield* ToolRunner.run(toolbox, [call("c1")]).pipe(
          Effect.provide(layer),
          Effect.provideService(BatchEvents.BatchEvents, { publish, stream: Stream.empty }),
          Effect.fork
        )
        yield* TestClock.adjust("1 hour")
        assert.isTrue(Exit.isInterrupted(yield* Fiber.await(running)))
        assert.strictEqual(starts.length, 1)
      })
    )
  }

  it.effect("D9 interrupted in the delay, a call is not executed again, and its end does not wait for the delay", () =>
    Effect.gen(function* () {
      const { layer, starts, toolbox } = make(() => down(), {
        policy: { ...noBreaker, retry: { times: 5, ...second } }
      })
      const fiber = yield* Effect.fork(ToolRunner.run(toolbox, [call("c1")]).pipe(Effect.provide(layer)))
      yield* TestClock.adjust("500 millis")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(starts.length, 1)
    })
  )

  it.effect("D9 a handler that stops itself is executed once, and that is its own error", () =>
    Effect.gen(function* () {
      const { batch, executions } = yield* play({ times: 5 }, () => Effect.interrupt)
      assert.deepStrictEqual([outcomes(batch), executions], [["ToolDefect"], 1])
    })
  )

  it.effect(
    "D11 (restated: an answer outlives its execution, what it was made with does not) each is released before the next",
    () =>
      Effect.gen(function* () {
        let open = 0
        const opened: Array<number> = []
        const handler: Handler = (_, { attempt }) =>
          Effect.acquireUseRelease(
            Effect.sync(() => opened.push(++open)),
            () => (attempt < 6 ? down() : Effect.succeed("ok")),
            () => Effect.sync(() => open--)
          )
        const { batch } = yield* play({ times: 5 }, handler)
        assert.deepStrictEqual(outcomes(batch), ["executed"])
        assert.deepStrictEqual([opened, open], [[1, 1, 1, 1, 1, 1], 0])
      })
  )
})

it.effect("a user's Schedule that ends stops the retries, whatever `times` says", () =>
  Effect.gen(function* () {
    const { batch, executions } = yield* play({ times: 9, schedule: Schedule.recurs(2) })
    assert.deepStrictEqual([executions, why(batch.results[0])], [3, "attempt 3"])
    assert.strictEqual((yield* play({ times: 1, schedule: Schedule.recurs(9) })).executions, 2)
  })
)
