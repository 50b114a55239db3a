import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { Tool, Toolbox, ToolRunner } from "../../src/index.ts"
import { call, calls, down, type Handler, make, outcome, outcomes, type Setup, why, within } from "./world.ts"

const hedge = { delay: "3 seconds", budget: 1 } as const
const noBreaker = { circuitBreaker: false } as const

/** How long each execution of a call takes, and what it ends with. */
const taking =
  (...executions: ReadonlyArray<readonly [Duration.DurationInput, ReturnType<Handler>]>): Handler =>
  (_, { attempt }) => {
    const [time, end] = executions[attempt - 1] ?? ["1 hour", Effect.succeed("late")]
    return Effect.zipRight(Effect.sleep(time), end)
  }

const ok = Effect.succeed("ok")

/** One call; its result, and when its executions began, counted from the first. */
const play = (handler: Handler, setup: Setup = { policy: { hedge, ...noBreaker } }, options?: ToolRunner.RunOptions) =>
  Effect.gen(function* () {
    const { layer, times, toolbox } = make(handler, setup)
    const batch = yield* ToolRunner.run(toolbox, [call("c1")], options).pipe(Effect.provide(layer), within("2 minutes"))
    const [first = 0] = times()
    return {
      result: batch.results[0],
      times: times().map((at) => at - first),
      millis: Duration.toMillis(batch.duration)
    }
  })

describe("a second execution", () => {
  it.effect("starts at the delay, and its success wins", () =>
    Effect.gen(function* () {
      const { millis, result, times } = yield* play(taking(["10 seconds", ok], ["1 second", ok]))
      assert.deepStrictEqual([outcome(result), result?.attempts, millis], ["hedge", 2, 4000])
      assert.deepStrictEqual(times, [0, 3000])
    })
  )

  it.effect("is not started where the first answers before the delay", () =>
    Effect.gen(function* () {
      const { result, times } = yield* play(taking(["2999 millis", ok]))
      assert.deepStrictEqual([outcome(result), result?.attempts], ["executed", 1])
      assert.deepStrictEqual(times, [0])
    })
  )

  it.effect("does not win where the first is faster after all", () =>
    Effect.gen(function* () {
      const { millis, result } = yield* play(taking(["5 seconds", ok], ["10 seconds", ok]))
      assert.deepStrictEqual([outcome(result), result?.attempts, millis], ["executed", 2, 5000])
    })
  )

  it.effect("that fails first does not end a call whose first execution still runs", () =>
    Effect.gen(function* () {
      const { millis, result } = yield* play(taking(["10 seconds", ok], ["1 second", down()]))
      assert.deepStrictEqual([outcome(result), result?.attempts, millis], ["executed", 2, 10_000])
    })
  )

  it.effect("still runs where the first fails after it was started, and may succeed", () =>
    Effect.gen(function* () {
      const { millis, result } = yield* play(taking(["4 seconds", down()], ["10 seconds", ok]))
      assert.deepStrictEqual([outcome(result), result?.attempts, millis], ["hedge", 2, 13_000])
    })
  )

  it.effect("that fails too leaves the failure that came first", () =>
    Effect.gen(function* () {
      const first = yield* play(taking(["4 seconds", down("first")], ["10 seconds", down("second")]))
      assert.deepStrictEqual([why(first.result), first.millis], ["first", 13_000])
      const second = yield* play(taking(["10 seconds", down("first")], ["1 second", down("second")]))
      assert.deepStrictEqual([why(second.result), second.millis], ["second", 10_000])
    })
  )

  it.effect("is not what a failure before the delay calls for: that is the retry's affair", () =>
    Effect.gen(function* () {
      const alone = yield* play(taking(["1 second", down("early")]))
      assert.deepStrictEqual([why(alone.result), alone.millis, alone.times], ["early", 1000, [0]])
      // The retry's execution is slow, and hedged like any other.
      const retried = yield* play(taking(["1 second", down()], ["10 seconds", ok], ["1 second", ok]), {
        policy: { hedge, ...noBreaker, retry: { times: 1, base: "1 second", jitter: "none" } }
      })
      assert.deepStrictEqual([outcome(retried.result), retried.result?.attempts], ["hedge", 3])
      assert.deepStrictEqual(retried.times, [0, 2000, 5000])
    })
  )

  it.effect("that is turned away leaves the call its own failure", () =>
    Effect.gen(function* () {
      const { result, times } = yield* play(taking(["10 seconds", down("own")]), undefined, { maxExecutions: 1 })
      assert.deepStrictEqual([why(result), result?.attempts, times], ["own", 1, [0]])
    })
  )
})

describe("the loser", () => {
  const interruptions = (handler: Handler) => {
    const log: Array<number> = []
    const watched: Handler = (input, call) =>
      Effect.onInterrupt(handler(input, call), () => Effect.sync(() => log.push(call.attempt)))
    return { log, watched }
  }

  it.effect("is interrupted, whichever of the two it is", () =>
    Effect.gen(function* () {
      const first = interruptions(taking(["10 seconds", ok], ["1 second", ok]))
      yield* play(first.watched)
      assert.deepStrictEqual(first.log, [1])
      const second = interruptions(taking(["5 seconds", ok], ["10 seconds", ok]))
      yield* play(second.watched)
      assert.deepStrictEqual(second.log, [2])
    })
  )

  it.effect("does not delay the winner by ignoring its interruption, and keeps its slot until it ends", () => {
    const deaf: Handler = (input, call) =>
      call.attempt === 1 ? Effect.uninterruptible(Effect.sleep("1 minute")) : Effect.sleep("1 second")
    const { layer, times, toolbox } = make(deaf, { policy: { hedge, bulkhead: 2, ...noBreaker, timeout: "2 minutes" } })
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [call("c1")]).pipe(within("4 seconds"))
      assert.deepStrictEqual(outcomes(batch), ["hedge"])
      assert.strictEqual(Duration.toMillis(batch.duration), 4000)
      // One slot is free: the second of two calls has to wait for the deaf one's, or the first one's.
      const two = yield* Effect.fork(ToolRunner.run(toolbox, calls(2)))
      yield* TestClock.adjust("55 seconds")
      assert.deepStrictEqual(times(), [0, 3000, 4000])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(times()[3], 60_000)
      yield* Fiber.interruptFork(two)
      yield* TestClock.adjust("1 minute")
    }).pipe(Effect.provide(layer))
  })

  it.effect("says nothing to the circuit breaker", () => {
    const circuitBreaker = { trip: { consecutive: 1, perBatch: false }, openFor: "1 hour" } as const
    const { layer, starts, toolbox } = make(taking(["10 seconds", ok], ["1 second", ok]), {
      policy: { hedge, circuitBreaker }
    })
    return Effect.gen(function* () {
      for (let n = 0; n < 5; n++) {
        const batch = yield* ToolRunner.run(toolbox, [call("c1")]).pipe(within("4 seconds"))
        assert.deepStrictEqual(outcomes(batch), ["hedge"])
      }
      assert.strictEqual(starts.length, 10)
    }).pipe(Effect.provide(layer))
  })
})

describe("no second execution is made", () => {
  it.effect("for p95 while fewer than twenty executions are known; then at that many milliseconds", () => {
    // The first batches take what their calls say; the last call hangs until it is hedged.
    const handler: Handler = ({ n = 0 }, { attempt }) =>
      Effect.sleep(n === -1 && attempt === 1 ? "1 minute" : Duration.millis(Math.max(n, 1) * 100))
    const { layer, starts, toolbox } = make(handler, { policy: { hedge: { delay: "p95", budget: 1 }, ...noBreaker } })
    const timed = (from: number, to: number) =>
      Array.from({ length: to - from + 1 }, (_, i) => call(`n${from + i}`, { n: from + i }))
    const slow = ToolRunner.run(toolbox, [call("slow", { n: -1 })])
    return Effect.gen(function* () {
      yield* ToolRunner.run(toolbox, timed(1, 19)).pipe(within("2 seconds"))
      const early = yield* Effect.flatMap(Effect.fork(slow), (fiber) =>
        Effect.zipRight(TestClock.adjust("1 minute"), Fiber.join(fiber))
      )
      assert.deepStrictEqual([outcomes(early), early.results[0]?.attempts], [["Timeout"], 1])
      yield* ToolRunner.run(toolbox, timed(20, 20)).pipe(within("2 seconds"))
      starts.length = 0
      const late = yield* slow.pipe(within("1 minute"))
      assert.deepStrictEqual([outcomes(late), late.results[0]?.attempts], [["hedge"], 2])
      // 19 of the 20 took no longer.
      assert.strictEqual((starts[1]?.at ?? 0) - (starts[0]?.at ?? 0), 1900)
    }).pipe(Effect.provide(layer))
  })

  const circuitBreaker = { name: "crm", trip: { consecutive: 1 }, openFor: "10 seconds" } as const

  it.effect("while the circuit is half-open", () => {
    let failing = true
    const handler: Handler = () => (failing ? down() : Effect.sleep("10 seconds"))
    const { layer, starts, toolbox } = make(handler, {
      policy: { hedge, circuitBreaker: { ...circuitBreaker, probes: 3 } }
    })
    return Effect.gen(function* () {
      yield* ToolRunner.run(toolbox, [call("c1")])
      failing = false
      yield* TestClock.adjust("10 seconds")
      const probe = yield* ToolRunner.run(toolbox, [call("c2")]).pipe(within("10 seconds"))
      assert.deepStrictEqual(outcomes(probe), ["executed"])
      assert.strictEqual(starts.length, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("once the circuit has opened", () => {
    const handler: Handler = ({ n }) => (n === 1 ? down() : Effect.sleep("10 seconds"))
    const { layer, starts, toolbox } = make(handler, { policy: { hedge, circuitBreaker } })
    return Effect.gen(function* () {
      const slow = yield* Effect.fork(ToolRunner.run(toolbox, [call("slow")]))
      yield* TestClock.adjust("1 second")
      yield* ToolRunner.run(toolbox, [call("bad", { name: "other", n: 1 })])
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(outcomes(yield* Fiber.join(slow)), ["executed"])
      assert.strictEqual(starts.length, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("without as many free slots as it needs, and none is ever waited for", () =>
    Effect.gen(function* () {
      const handler = taking(["10 seconds", ok], ["1 second", ok])
      const with_ = (bulkhead: NonNullable<Setup["policy"]>["bulkhead"]) =>
        Effect.map(play(handler, { policy: { hedge, ...noBreaker, bulkhead } }), ({ times }) => times)
      assert.deepStrictEqual(yield* with_(1), [0])
      assert.deepStrictEqual(yield* with_(2), [0, 3000])
      assert.deepStrictEqual(yield* with_({ limit: 3, weight: 2 }), [0])
      assert.deepStrictEqual(yield* with_({ limit: 4, weight: 2 }), [0, 3000])
    })
  )

  it.effect("for one that still waits in line itself", () => {
    const handler: Handler = (_, { attempt }) => Effect.sleep(attempt === 1 ? "9 seconds" : "1 second")
    const { layer, starts, toolbox } = make(handler, {
      policy: { hedge, ...noBreaker, coalesce: false, rateLimit: { limit: 1, per: "5 seconds" } }
    })
    return Effect.gen(function* () {
      const batch = yield* ToolRunner.run(toolbox, [call("c1"), call("c2")]).pipe(within("14 seconds"))
      // The second one's is due while it waits for its moment; the first one's waits for a moment that comes too late.
      assert.deepStrictEqual(outcomes(batch), ["executed", "executed"])
      assert.deepStrictEqual(
        starts.map(({ at, attempt, id }) => [id, attempt, at]),
        [
          ["c1", 1, 0],
          ["c2", 1, 5000]
        ]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("beyond the budget: so many per call, and one every ten seconds", () =>
    Effect.gen(function* () {
      const hedges = (budget: number | undefined, count: number) =>
        Effect.gen(function* () {
          const { layer, starts, toolbox } = make(taking(["1 minute", ok], ["1 minute", ok]), {
            policy: { hedge: { delay: "3 seconds", budget }, ...noBreaker, timeout: "2 minutes" }
          })
          yield* ToolRunner.run(toolbox, calls(count)).pipe(Effect.provide(layer), within("2 minutes"))
          return starts.length - count
        })
      assert.strictEqual(yield* hedges(0.5, 10), 5 + 1)
      assert.strictEqual(yield* hedges(undefined, 30), 3 + 1)
      // No more than ten are saved up.
      assert.strictEqual(yield* hedges(1, 100), 10 + 1)
    })
  )

  it.effect("for a tool that is no read, where a toolbox hedges", () => {
    const handler = taking(["10 seconds", ok], ["1 second", ok])
    return Effect.forEach(["read", "idempotent", "write"] as const, (effects) =>
      Effect.gen(function* () {
        const { layer, starts, toolbox } = make(handler, { effects, policy: { ...noBreaker } })
        yield* ToolRunner.run(Toolbox.withPolicy(toolbox, { hedge }), [call("c1")]).pipe(
          Effect.provide(layer),
          within("10 seconds")
        )
        assert.strictEqual(starts.length, effects === "read" ? 2 : 1)
      })
    )
  })

  it("for a tool that says it both hedges and writes: it cannot be defined", () => {
    assert.throws(
      () => make(() => ok, { effects: "write", policy: { hedge } }),
      'Tool "ask": policy.hedge is an object; it takes nothing where effects is "write": only a "read" may run twice'
    )
    assert.throws(() => make(() => ok, { effects: "idempotent", policy: { hedge } }), Tool.InvalidDefinition)
  })
})

it.effect("an interruption of the batch interrupts both, and leaves no slot behind", () => {
  const log: Array<number> = []
  const handler: Handler = (_, { attempt }) =>
    Effect.onInterrupt(Effect.sleep("1 minute"), () => Effect.sync(() => log.push(attempt)))
  const { layer, starts, toolbox } = make(handler, {
    policy: { hedge, bulkhead: 2, ...noBreaker, timeout: "2 minutes" }
  })
  return Effect.gen(function* () {
    const fiber = yield* Effect.fork(ToolRunner.run(toolbox, [call("c1")]))
    yield* TestClock.adjust("5 seconds")
    yield* Fiber.interrupt(fiber)
    assert.deepStrictEqual(log.toSorted(), [1, 2])
    const again = yield* Effect.fork(ToolRunner.run(toolbox, calls(2)))
    yield* TestClock.adjust("1 second")
    assert.strictEqual(starts.length, 4)
    yield* Fiber.interrupt(again)
  }).pipe(Effect.provide(layer))
})

it.effect("both executions carry the same idempotency key", () => {
  const keys = new Set<string>()
  const { layer, starts, toolbox } = make(
    (_, { attempt, idempotencyKey }) => {
      keys.add(idempotencyKey)
      return Effect.sleep(attempt === 1 ? "10 seconds" : "1 second")
    },
    { policy: { hedge, ...noBreaker } }
  )
  return Effect.gen(function* () {
    yield* ToolRunner.run(toolbox, [call("c1")]).pipe(Effect.provide(layer), within("4 seconds"))
    assert.deepStrictEqual([starts.length, keys.size], [2, 1])
  })
})
