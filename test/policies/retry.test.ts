import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { BatchEvents, Fault, Policy, Tool, Toolbox, ToolRunner } from "../../src/index.ts"
import * as Failed from "../../src/internal/failed.ts"
import * as Retry from "../../src/policies/Retry.ts"
import { call, calls, down, type Handler, make, outcomes, type Setup, why, within } from "./world.ts"

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

describe("D7 the delays of any policy, driven as a Schedule", () => {
  const failed: Failed.Failed = {
    error: { _tag: "ToolFailure", failure: "down" },
    fault: Fault.transient({ tookEffect: "no" })
  }
  /** The first delays a policy gives, in milliseconds. */
  const delays = (policy: Policy.RetryPolicy, count: number) => {
    const { retry } = Policy.resolve({ retry: { times: count, ...policy } }, Policy.defaults)
    assert(retry !== undefined)
    return Retry.schedule(retry, "read", Number.POSITIVE_INFINITY).pipe(
      Schedule.run(
        0,
        Array.from({ length: count }, () => failed)
      ),
      Effect.map((all) => Chunk.toReadonlyArray(all).map((delay) => Duration.toMillis(delay)))
    )
  }

  const base = FastCheck.integer({ min: 1, max: 3_600_000 })
  const cap = FastCheck.integer({ min: 1, max: 3_600_000 })
  const random = { base, cap, seed: FastCheck.integer() }
  const options = { numRuns: 1000 }

  it("none: the exponential, up to the cap", () => {
    const factor = FastCheck.constantFrom(1, 1.5, 2, 3, 10)
    FastCheck.assert(
      FastCheck.property(base, cap, factor, (base, cap, factor) => {
        const all = Effect.runSync(delays({ base, cap, factor, jitter: "none" }, 8))
        assert.deepStrictEqual(
          all,
          Array.from({ length: 8 }, (_, n) => Math.ceil(Math.min(base * factor ** n, cap)))
        )
      }),
      options
    )
  })

  for (const [jitter, least] of [
    ["full", 0],
    ["equal", 0.5]
  ] as const) {
    it(`${jitter}: from ${least} times the capped exponential to the whole of it`, () => {
      FastCheck.assert(
        FastCheck.property(FastCheck.record(random), ({ base, cap, seed }) => {
          const all = Effect.runSync(delays({ base, cap, jitter }, 12).pipe(Effect.withRandom(Random.make(seed))))
          assert.strictEqual(all.length, 12)
          for (const [n, delay] of all.entries()) {
            const whole = Math.min(base * 2 ** n, cap)
            assert.isTrue(delay >= whole * least && delay <= Math.ceil(whole), `${delay} of ${whole}`)
          }
        }),
        options
      )
    })
  }

  it("decorrelated: from the base to three times the last one, up to the cap, even where that is below the base", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.record(random), ({ base, cap, seed }) => {
        const jitter = "decorrelated"
        const all = Effect.runSync(delays({ base, cap, jitter }, 50).pipe(Effect.withRandom(Random.make(seed))))
        assert.strictEqual(all.length, 50)
        for (const [n, delay] of all.entries()) {
          assert.isAtLeast(delay, Math.min(base, cap))
          assert.isAtMost(delay, Math.min(3 * (all[n - 1] ?? base), cap))
        }
      }),
      options
    )
  })

  it.effect("decorrelated: reach the cap, and do not stay there", () =>
    Effect.gen(function* () {
      const all = yield* delays({ base: 100, cap: 10_000, jitter: "decorrelated" }, 1000)
      assert.isAbove(Math.max(...all), 9000)
      assert.isBelow(Math.min(...all.slice(500)), 1000)
      assert.isAbove(new Set(all).size, 500)
    }).pipe(Effect.withRandom(Random.make("spread")))
  )

  for (const jitter of ["none", "full", "equal", "decorrelated"] as const) {
    it.effect(`${jitter}: are numbers, and no greater than the cap, up to the 1,100th`, () =>
      Effect.gen(function* () {
        for (const base of [0, 1, 3_600_000]) {
          const all = yield* delays({ base, cap: "1 minute", jitter }, 1100)
          assert.strictEqual(all.length, 1100)
          for (const attempt of [1, 2, 3, 4, 10, 100, 1000, 1024, 1025, 1100]) {
            const delay = all[attempt - 1] ?? Number.NaN
            assert.isTrue(Number.isFinite(delay) && delay >= 0 && delay <= 60_000, `${attempt}: ${delay}`)
            if (base > 0 && jitter === "none") assert.isAbove(delay, 0)
          }
        }
      }).pipe(Effect.withRandom(Random.make("far")))
    )
  }

  it.effect("end where there is no cap and the exponential leaves all bounds", () =>
    Effect.gen(function* () {
      const all = yield* delays({ base: "1 second", cap: Duration.infinity, jitter: "none" }, 1100)
      assert.isBelow(all.length, 1100)
      assert.isTrue(all.slice(0, -1).every((delay) => Number.isFinite(delay)))
    })
  )
})

describe("faults of different classes", () => {
  class Trouble extends Schema.TaggedError<Trouble>()("Trouble", { fault: Schema.Literal("transient", "throttled") }) {}

  /** The waits after these faults, one per attempt; `timeout` is an attempt that takes too long. */
  const waits = (retry: Policy.RetryPolicy, faults: ReadonlyArray<"transient" | "throttled" | "timeout">) =>
    Effect.gen(function* () {
      class Troubled extends Tool.Service<Troubled>()("troubled", {
        description: "Has all sorts of trouble",
        input: Schema.Struct({}),
        output: Schema.String,
        failure: Trouble,
        effects: "read",
        policy: {
          ...noBreaker,
          retry: { ...unlimited, jitter: "none", times: faults.length, ...retry },
          timeout: { attempt: "1 second", total: "1000 hours" }
        },
        classify: ({ fault }) => Fault[fault]()
      }) {}
      const spans: Array<number> = []
      const handler = Troubled.layer((_, { attempt }) =>
        Effect.gen(function* () {
          spans.push(yield* Clock.currentTimeMillis)
          const fault = faults[attempt - 1]
          if (fault === undefined) return "ok"
          // Each attempt takes a second, one way or the other.
          if (fault === "timeout") return yield* Effect.never
          yield* Effect.sleep("999 millis")
          return yield* new Trouble({ fault })
        })
      )
      const batch = yield* ToolRunner.run(Toolbox.make(Troubled), [{ id: "c1", name: "troubled", input: {} }]).pipe(
        Effect.provide(Layer.merge(handler, ToolRunner.layer)),
        within("100 hours")
      )
      assert.deepStrictEqual(outcomes(batch), ["executed"])
      return spans.slice(1).map((at, i) => {
        const took = faults[i] === "timeout" ? 1000 : 999
        return at - (spans[i] ?? 0) - took
      })
    })

  it.effect("have a back-off each, which only their own faults advance", () =>
    Effect.gen(function* () {
      const retry: Policy.RetryPolicy = {
        base: "1 second",
        cap: "1 hour",
        throttled: { base: "10 seconds" },
        timedOut: { base: "5 seconds", factor: 3 }
      }
      assert.deepStrictEqual(
        yield* waits(retry, ["transient", "throttled", "transient", "timeout", "throttled", "timeout", "transient"]),
        [1000, 10_000, 2000, 5000, 20_000, 15_000, 4000]
      )
    })
  )

  it.effect("wait a second after a throttling by default, a fifth after anything else, ten seconds at most", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* waits({}, ["throttled", "throttled", "transient", "transient", "timeout"]),
        [1000, 2000, 200, 400, 200]
      )
      assert.deepStrictEqual(
        yield* waits(
          {},
          Array.from({ length: 6 }, () => "throttled")
        ),
        [1000, 2000, 4000, 8000, 10_000, 10_000]
      )
    })
  )

  it.effect("take over what is said of the back-off as a whole, but for the first delay of throttling", () =>
    Effect.gen(function* () {
      const retry: Policy.RetryPolicy = { base: "3 seconds", factor: 4, cap: "13 seconds" }
      assert.deepStrictEqual(
        yield* waits(retry, ["throttled", "throttled", "throttled", "timeout", "timeout"]),
        [1000, 4000, 13_000, 3000, 12_000]
      )
    })
  )

  it.effect("may each follow a Schedule of the user's own", () =>
    Effect.gen(function* () {
      const retry: Policy.RetryPolicy = { base: "1 second", throttled: { schedule: Schedule.spaced("7 seconds") } }
      assert.deepStrictEqual(
        yield* waits(retry, ["throttled", "transient", "throttled", "transient"]),
        [7000, 1000, 7000, 2000]
      )
    })
  )
})

describe("the retry budget", () => {
  /** Trips never: it only names the dependency. */
  const crm = { name: "crm", trip: { consecutive: 100_000 } } as const
  const failing: Handler = () => Effect.zipRight(Effect.sleep("100 millis"), down())

  const budgeted = (budget: Policy.RetryBudgetPolicy, times: number, setup: Setup["policy"] = {}) =>
    make(failing, {
      policy: { ...noBreaker, coalesce: false, retry: { times, ...second, factor: 1, budget }, ...setup }
    })

  it.effect("allows what a recount of the whole history allows", () =>
    Effect.gen(function* () {
      for (const budget of [
        { ratio: 0.2, floor: 3, cap: 5 },
        { ratio: 0.5, floor: 0, cap: 4 },
        { ratio: 0, floor: 2, cap: 20 }
      ]) {
        const { layer, times, toolbox } = budgeted(budget, 3)
        const rounds = yield* Effect.replicateEffect(Random.nextIntBetween(0, 9), 12)
        const from = yield* Clock.currentTimeMillis
        const fibers = yield* Effect.gen(function* () {
          const { run } = yield* ToolRunner.ToolRunner
          return yield* Effect.forEach(rounds, (count) =>
            Effect.zipLeft(Effect.fork(run(toolbox, calls(count))), TestClock.adjust("2050 millis"))
          )
        }).pipe(Effect.zipLeft(TestClock.adjust("1 minute")), Effect.provide(layer))
        yield* Fiber.joinAll(fibers)

        // Each call fails 100 ms after each of its executions began, and would begin again a second later.
        const expected: Array<number> = []
        const due: Array<{ at: number; made: number }> = []
        const floorUsed: Array<number> = []
        let tenths = 0
        const events = rounds.map((count, round) => ({ at: round * 2050, count }))
        while (events.length > 0 || due.length > 0) {
          due.sort((a, b) => a.at - b.at)
          const [round] = events
          const [next] = due
          if (round !== undefined && (next === undefined || round.at < next.at)) {
            events.shift()
            for (let n = 0; n < round.count; n++) {
              tenths = Math.min(budget.cap * 10, tenths + budget.ratio * 10)
              expected.push(round.at)
              due.push({ at: round.at + 100, made: 1 })
            }
          } else if (next !== undefined) {
            due.shift()
            if (next.made > 3) continue
            const used = floorUsed.filter((at) => next.at - at < 10_000).length
            if (tenths >= 10) tenths -= 10
            else if (used < budget.floor) floorUsed.push(next.at)
            else continue
            expected.push(next.at + 1000)
            due.push({ at: next.at + 1100, made: next.made + 1 })
          }
        }
        assert.deepStrictEqual(
          times()
            .map((at) => at - from)
            .toSorted((a, b) => a - b),
          expected.toSorted((a, b) => a - b)
        )
      }
    }).pipe(Effect.withRandom(Random.make("rounds")))
  )

  it.effect("is shared by the tools of one dependency, and by no others", () =>
    Effect.gen(function* () {
      const executions = (circuitBreaker: Policy.CircuitBreakerPolicy | false) =>
        Effect.gen(function* () {
          const { layer, starts, toolbox } = budgeted({ ratio: 0, floor: 3 }, 2, { circuitBreaker })
          yield* ToolRunner.run(toolbox, [call("c1"), call("c2", { name: "other" })]).pipe(
            Effect.provide(layer),
            within("5 seconds")
          )
          return starts.length
        })
      assert.strictEqual(yield* executions(crm), 2 + 3)
      assert.strictEqual(yield* executions(false), 2 + 4)
    })
  )

  it.effect("that is spent leaves the last failure, at once", () => {
    const { layer, toolbox } = budgeted({ ratio: 0, floor: 1 }, 5)
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [call("c1")]).pipe(within("1200 millis"))
      assert.deepStrictEqual([outcomes(batch), batch.results[0]?.attempts], [["ToolFailure"], 2])
    }).pipe(Effect.provide(layer))
  })

  it.effect("is not touched by retries that are not made", () =>
    Effect.gen(function* () {
      const unsafe: Handler = ({ n, key }, { attempt }) =>
        key === "permanent" ? Effect.die("boom") : attempt === 1 ? down() : Effect.succeed(n)
      const policy = { retry: { times: 1, ...second, budget: { ratio: 0, floor: 1 } }, circuitBreaker: crm } as const
      const late = { ...policy, timeout: { total: "900 millis" } } as const
      const write = make(unsafe, { policy, effects: "write" })
      const read = make(unsafe, { policy })
      const hurried = make(unsafe, { policy: late })
      const none = make(unsafe, { policy: { ...policy, retry: { ...policy.retry, times: 0 } } })
      const runner = yield* Effect.provide(ToolRunner.ToolRunner, ToolRunner.layer)
      const run = (made: typeof read, one = call("c1")) =>
        runner.run(made.toolbox, [one]).pipe(Effect.provide(made.layer), within("2 seconds"))
      for (const [made, one] of [
        [write, call("a write that may have taken effect")],
        [hurried, call("no time left")],
        [read, call("permanent", { key: "permanent" })],
        [none, call("no retries at all")]
      ] as const) {
        assert.strictEqual((yield* run(made, one)).results[0]?.attempts, 1, one.id)
      }
      // The one there is, is still there; and then it is not.
      assert.deepStrictEqual(outcomes(yield* run(read)), ["executed"])
      assert.deepStrictEqual(outcomes(yield* run(read)), ["ToolFailure"])
    }).pipe(Effect.scoped)
  )

  it.effect("is not touched by a call that waits until it is let in", () => {
    const { layer, toolbox } = make(() => Effect.succeed("ok"), {
      policy: {
        circuitBreaker: crm,
        rateLimit: { limit: 1, per: "1 second", onLimit: "fail" },
        retry: { times: 3, rejected: true, budget: { ratio: 0, floor: 0 } }
      }
    })
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, calls(2)).pipe(within("1 second"))
      assert.deepStrictEqual(outcomes(batch), ["executed", "executed"])
    }).pipe(Effect.provide(layer))
  })
})

it.effect("a user's Schedule that ends stops the retries, whatever `times` says", () =>
  Effect.gen(function* () {
    const { batch, executions } = yield* play({ times: 9, schedule: Schedule.recurs(2) })
    assert.deepStrictEqual([executions, why(batch.results[0])], [3, "attempt 3"])
    assert.strictEqual((yield* play({ times: 1, schedule: Schedule.recurs(9) })).executions, 2)
  })
)
