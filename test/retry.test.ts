import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
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
import * as TestClock from "effect/TestClock"
import { type BatchResult, Fault, type Policy, Tool, Toolbox, type ToolError, ToolRunner } from "../src/index.ts"

class Sent extends Schema.TaggedError<Sent>()("Sent", {
  transient: Schema.Boolean,
  tookEffect: Fault.TookEffect,
  retryAfter: Schema.UndefinedOr(Schema.Duration)
}) {}

const fail = (fault: Partial<typeof Sent.Type> = {}) =>
  new Sent({ transient: true, tookEffect: "maybe", retryAfter: undefined, ...fault })

interface Setup {
  readonly retry?: Policy.RetryPolicy | false
  readonly effects?: Tool.Effects
  readonly timeout?: Policy.TimeoutPolicy
  readonly failure?: Sent
  /** How long an attempt takes. */
  readonly takes?: Duration.DurationInput
  /** Attempts after this one succeed. */
  readonly failures?: number
}

const long = { attempt: "1 hour", total: "1000 hours" } as const

const make = ({
  retry,
  effects = "read",
  timeout = long,
  failure = fail(),
  takes = 0,
  failures = Number.POSITIVE_INFINITY
}: Setup) => {
  class Flaky extends Tool.Service<Flaky>()("flaky", {
    description: "Fails",
    input: Schema.Struct({}),
    output: Schema.String,
    failure: Sent,
    effects,
    // What else would end the attempts is for other tests.
    policy: { retry: retry && { budget: false, ...retry }, timeout, circuitBreaker: false },
    classify: ({ tookEffect, transient, retryAfter }) => ({ owner: "tool", transient, tookEffect, retryAfter })
  }) {}
  /** When each execution began, in milliseconds. */
  const starts: Array<number> = []
  const handler = Flaky.layer((_, { attempt }) =>
    Effect.gen(function* () {
      starts.push(yield* Clock.currentTimeMillis)
      yield* Effect.sleep(takes)
      return attempt > failures ? "ok" : yield* failure
    })
  )
  const run = (options?: ToolRunner.RunOptions) =>
    ToolRunner.run(Toolbox.make(Flaky), [{ id: "toolu_1", name: "flaky", input: {} }], options).pipe(
      Effect.provide(Layer.merge(handler, ToolRunner.layer))
    )
  return { starts, run }
}

/** Runs until all is over; gives the one result and the waits between the executions. */
const play = (setup: Setup, options?: ToolRunner.RunOptions) =>
  Effect.gen(function* () {
    const { starts, run } = make(setup)
    const fiber = yield* Effect.fork(run(options))
    yield* TestClock.adjust("1000 hours")
    const batch = yield* Fiber.join(fiber)
    const delays = starts.slice(1).map((start, i) => start - (starts[i] ?? 0))
    return { batch, delays, executions: starts.length, result: batch.results[0] }
  })

const delaysOf = (setup: Setup) => Effect.map(play(setup), ({ delays }) => delays)

describe("the delays between attempts", () => {
  it.effect("grow by the factor", () =>
    Effect.gen(function* () {
      const retry = { base: "1 second", jitter: "none", times: 4, cap: "1 hour" } as const
      assert.deepStrictEqual(yield* delaysOf({ retry }), [1000, 2000, 4000, 8000])
      assert.deepStrictEqual(yield* delaysOf({ retry: { ...retry, factor: 3 } }), [1000, 3000, 9000, 27_000])
      assert.deepStrictEqual(yield* delaysOf({ retry: { ...retry, factor: 1 } }), [1000, 1000, 1000, 1000])
    })
  )

  it.effect("stop growing at the cap", () =>
    Effect.gen(function* () {
      const retry = { base: "1 second", cap: "3 seconds", jitter: "none", times: 4 } as const
      assert.deepStrictEqual(yield* delaysOf({ retry }), [1000, 2000, 3000, 3000])
      assert.deepStrictEqual(yield* delaysOf({ retry: { ...retry, cap: "100 millis", times: 2 } }), [100, 100])
    })
  )

  it.effect("are by default 200 milliseconds and twice that at most, and there are two of them", () =>
    Effect.gen(function* () {
      const [first = Number.NaN, second = Number.NaN, ...more] = yield* delaysOf({})
      assert.isTrue(first >= 0 && first <= 200 && second >= 0 && second <= 400)
      assert.deepStrictEqual(more, [])
    })
  )

  it.effect("are capped before the jitter, so that capped delays stay spread", () =>
    Effect.gen(function* () {
      const retry = { base: "1 hour", cap: "1 second", times: 200 } as const
      const full = yield* delaysOf({ retry: { ...retry, jitter: "full" } })
      const equal = yield* delaysOf({ retry: { ...retry, jitter: "equal" } })
      assert.isTrue(full.every((delay) => delay >= 0 && delay <= 1000))
      assert.isTrue(equal.every((delay) => delay >= 500 && delay <= 1000))
      // Capped after the jitter, all would be 1000.
      assert.isTrue(new Set(full).size > 100 && new Set(equal).size > 100)
      assert.isTrue(Math.min(...full) < 100 && Math.max(...full) > 900)
      assert.isTrue(Math.min(...equal) < 550 && Math.max(...equal) > 950)
    }).pipe(Effect.withRandom(Random.make("spread")))
  )

  it.effect("are the same for the same seed", () =>
    Effect.gen(function* () {
      const seeded = (seed: string) =>
        Effect.withRandom(delaysOf({ retry: { times: 5, jitter: "full" } }), Random.make(seed))
      assert.deepStrictEqual(yield* seeded("a"), yield* seeded("a"))
      assert.notDeepEqual(yield* seeded("a"), yield* seeded("b"))
    })
  )

  it.effect.prop(
    "lie between zero and the cap, whatever the policy",
    {
      base: FastCheck.integer({ min: 1, max: 3_600_000 }),
      cap: FastCheck.integer({ min: 1, max: 3_600_000 }),
      factor: FastCheck.double({ min: 1, max: 10, noNaN: true }),
      jitter: Arbitrary.make(Schema.Literal("full", "equal", "none")),
      times: FastCheck.integer({ min: 1, max: 8 })
    },
    ({ base, cap, factor, jitter, times }) =>
      Effect.gen(function* () {
        const { executions, delays } = yield* play({ retry: { base, cap, factor, jitter, times } })
        assert.strictEqual(executions, times + 1)
        for (const delay of delays) assert.isTrue(Number.isInteger(delay) && delay >= 0 && delay <= cap, String(delay))
      }),
    { fastCheck: { numRuns: 25 } }
  )

  it.effect("follow a Schedule of the user's own, which is given the error", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const schedule = Schedule.fixed("7 seconds").pipe(
        Schedule.tapInput((error: ToolError.ToolError) => Effect.sync(() => seen.push(error._tag)))
      )
      assert.deepStrictEqual(yield* delaysOf({ retry: { schedule, times: 3 } }), [7000, 7000, 7000])
      assert.deepStrictEqual(new Set(seen), new Set(["ToolFailure"]))
    })
  )

  it.effect("end where the user's Schedule ends", () =>
    Effect.gen(function* () {
      const schedule = Schedule.intersect(Schedule.spaced("1 second"), Schedule.recurs(1))
      assert.deepStrictEqual(yield* delaysOf({ retry: { schedule, times: 5 } }), [1000])
    })
  )
})

describe("a Retry-After", () => {
  const asking = (seconds: number) => fail({ retryAfter: Duration.seconds(seconds) })
  const retry = { base: "2 seconds", jitter: "none", times: 2 } as const

  it.effect("is a floor under the delay", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* delaysOf({ retry, failure: asking(3) }), [3000, 4000])
      assert.deepStrictEqual(yield* delaysOf({ retry, failure: asking(1) }), [2000, 4000])
    })
  )

  it.effect("holds over full jitter and over a Schedule of the user's own", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* delaysOf({ retry: { times: 2 }, failure: asking(30) }), [30_000, 30_000])
      const schedule = Schedule.spaced("1 second")
      assert.deepStrictEqual(yield* delaysOf({ retry: { schedule, times: 1 }, failure: asking(5) }), [5000])
    })
  )

  it.effect("is obeyed up to a cap: a minute unless said otherwise", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* delaysOf({ retry, failure: asking(86_400) }), [60_000, 60_000])
      const capped = { ...retry, retryAfterCap: "5 seconds" } as const
      assert.deepStrictEqual(yield* delaysOf({ retry: capped, failure: asking(86_400) }), [5000, 5000])
    })
  )

  it.effect("that leads past the deadline ends the call at once, not at the deadline", () =>
    Effect.gen(function* () {
      const { batch, executions } = yield* play({
        retry,
        failure: asking(30),
        timeout: { attempt: "1 second", total: "20 seconds" }
      })
      assert.strictEqual(executions, 1)
      assert.strictEqual(Duration.toMillis(batch.duration), 0)
    })
  )
})

describe("how often a call is executed", () => {
  const times = (n: number) => ({ times: n, base: "1 second", jitter: "none" }) as const
  const cases: ReadonlyArray<readonly [string, Setup, number]> = [
    ["five retries make six executions", { retry: times(5) }, 6],
    ["no retries make one", { retry: times(0) }, 1],
    ["no retry policy makes one", { retry: false }, 1],
    ["a success ends it", { retry: times(5), failures: 2 }, 3],
    ["a permanent failure is final", { retry: times(5), failure: fail({ transient: false }) }, 1],
    [
      "a permanent failure that took no effect is final",
      {
        retry: times(5),
        failure: fail({ transient: false, tookEffect: "no" })
      },
      1
    ],
    ["an idempotent call is repeated", { retry: times(2), effects: "idempotent" }, 3],
    ["a write that may have taken effect is not", { retry: times(2), effects: "write" }, 1],
    ["a write that took effect is not", { retry: times(2), effects: "write", failure: fail({ tookEffect: "yes" }) }, 1],
    ["a write that took none is", { retry: times(2), effects: "write", failure: fail({ tookEffect: "no" }) }, 3],
    [
      "a write is not repeated by the user's own Schedule either",
      { retry: { schedule: Schedule.spaced("1 second"), times: 5 }, effects: "write" },
      1
    ],
    [
      "a read is repeated after a timeout",
      {
        retry: times(1),
        takes: "1 minute",
        timeout: { attempt: "1 second", total: "1 hour" }
      },
      2
    ],
    [
      "a write is not repeated after a timeout",
      {
        retry: times(1),
        takes: "1 minute",
        effects: "write",
        timeout: { attempt: "1 second", total: "1 hour" }
      },
      1
    ],
    // 0, 1 and 3 seconds; the next would begin at 7.
    ["no attempt begins at or after the deadline", { retry: times(9), timeout: { total: "7 seconds" } }, 3],
    ["one begins just before it", { retry: times(9), timeout: { total: "7001 millis" } }, 4]
  ]
  for (const [name, setup, expected] of cases) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const { executions, result } = yield* play(setup)
        assert.strictEqual(executions, expected)
        assert.strictEqual(result?.attempts, expected)
      })
    )
  }

  it.effect("the last error stands", () =>
    Effect.gen(function* () {
      const { result } = yield* play({ retry: times(3) })
      assert(result?._tag === "Failure" && result.error._tag === "ToolFailure")
      assert.instanceOf(result.error.failure, Sent)
      assert.isTrue(result.fault.transient)
    })
  )

  it.effect("the batch's deadline ends the attempts as the call's own does", () =>
    Effect.gen(function* () {
      const { batch, executions } = yield* play({ retry: times(9) }, { timeout: "7 seconds" })
      assert.strictEqual(executions, 3)
      assert.strictEqual(Duration.toMillis(batch.duration), 3000)
    })
  )
})

describe("an interrupted call", () => {
  const setup: Setup = { retry: { base: "10 seconds", jitter: "none" }, takes: "1 second" }
  const interruptedAt = (after: Duration.DurationInput | undefined) =>
    Effect.gen(function* () {
      const { starts, run } = make(setup)
      let seen: BatchResult.BatchResult | undefined
      const fiber = yield* Effect.fork(
        run({
          onInterrupt: (batch) =>
            Effect.sync(() => {
              seen = batch
            })
        })
      )
      if (after !== undefined) yield* TestClock.adjust(after)
      const exit = yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      assert.isTrue(Exit.isInterrupted(exit))
      const result = seen?.results[0]
      return [starts.length, result?._tag === "Failure" ? result.error._tag : undefined]
    })

  it.effect("is not executed when it was interrupted before", () =>
    Effect.gen(function* () {
      const [executions] = yield* interruptedAt(undefined)
      assert.strictEqual(executions, 0)
    })
  )

  it.effect("is not executed again when it was interrupted during an attempt", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* interruptedAt("500 millis"), [1, "OutcomeUnknown"])
    })
  )

  it.effect("is not executed again when it was interrupted during a delay, and keeps its last error", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* interruptedAt("5 seconds"), [1, "ToolFailure"])
    })
  )
})

describe("resources of an attempt", () => {
  it.effect("are released before the next attempt begins", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      class Opens extends Tool.Service<Opens>()("opens", {
        description: "Opens something",
        input: Schema.Struct({}),
        output: Schema.String,
        failure: Sent,
        effects: "read",
        policy: { retry: { times: 2 } }
      }) {}
      const layer = Opens.layer((_, { attempt }) =>
        Effect.acquireUseRelease(
          Effect.sync(() => log.push(`open ${attempt}`)),
          () => (attempt < 3 ? fail() : Effect.succeed("ok")),
          () => Effect.sync(() => log.push(`close ${attempt}`))
        )
      )
      const fiber = yield* ToolRunner.run(Toolbox.make(Opens), [{ id: "toolu_1", name: "opens", input: {} }]).pipe(
        Effect.provide(Layer.merge(layer, ToolRunner.layer)),
        Effect.fork
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber)).succeeded.length, 1)
      assert.deepStrictEqual(log, ["open 1", "close 1", "open 2", "close 2", "open 3", "close 3"])
    })
  )
})
