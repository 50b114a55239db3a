import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { CircuitBreaker, Fault, type Policy, Report, Tool, Toolbox, ToolRunner } from "../src/index.ts"

class Down extends Schema.TaggedError<Down>()("Down", { fault: Schema.Literal("tool", "permanent", "model") }) {}

const Input = Schema.Struct({ n: Schema.optional(Schema.Number) })
type Handler = Tool.Handler<typeof Input.Type, unknown, Down>

interface Setup {
  readonly policy?: Policy.Policy
  readonly effects?: Tool.Effects
  readonly alternative?: string
}

const tripsAfter = (consecutive: number): Policy.CircuitBreakerPolicy => ({
  trip: { consecutive },
  openFor: "10 seconds"
})

/** Two tools in front of one dependency, whose handler is given by the test. */
const make = (handler: Handler, { alternative, effects = "read", policy }: Setup = {}) => {
  const options = {
    description: "Asks the dependency",
    input: Input,
    output: Schema.Unknown,
    failure: Down,
    effects,
    policy: { retry: false, ...policy },
    ...(alternative === undefined ? {} : { alternative }),
    classify: (failure: Down) =>
      failure.fault === "model" ? Fault.model() : failure.fault === "tool" ? Fault.transient() : Fault.permanent()
  } as const
  class Ask extends Tool.Service<Ask>()("ask", options) {}
  class Other extends Tool.Service<Other>()("other", options) {}
  const starts: Array<number> = []
  const counted: Handler = (input, call) =>
    Effect.flatMap(Clock.currentTimeMillis, (time) => {
      starts.push(time)
      return handler(input, call)
    })
  const toolbox = Toolbox.make(Ask, Other)
  const layer = Layer.mergeAll(Ask.layer(counted), Other.layer(counted), ToolRunner.layer)
  return { toolbox, layer, starts }
}

const call = (name = "ask", n = 0) => ({ id: `toolu_${name}_${n}`, name, input: { n } })

const fails: Handler = () => Effect.fail(new Down({ fault: "tool" }))

const errors = (batch: {
  readonly results: ReadonlyArray<{ readonly _tag: string; readonly error?: { readonly _tag: string } }>
}) => batch.results.map((result) => result.error?._tag ?? result._tag)

describe("a circuit breaker around tool calls", () => {
  it.effect("five failures in a row open it by default, and the next call is not executed", () => {
    const { layer, starts, toolbox } = make(fails)
    return Effect.gen(function* () {
      for (let n = 0; n < 5; n++)
        assert.deepStrictEqual(errors(yield* ToolRunner.run(toolbox, [call()])), ["ToolFailure"])
      const batch = yield* ToolRunner.run(toolbox, [call()])
      const [failure] = batch.failed
      assert(failure?.error._tag === "CircuitOpen")
      assert.strictEqual(failure.error.breaker, "ask")
      assert.deepStrictEqual(failure.error.retryAfter, Duration.seconds(10))
      assert.match(failure.error.lastFailure ?? "", /Down/)
      assert.deepStrictEqual(
        { owner: failure.fault.owner, tookEffect: failure.fault.tookEffect, attempts: failure.attempts },
        { owner: "runner", tookEffect: "no", attempts: 0 }
      )
      assert.strictEqual(starts.length, 5)
      // The other tool's own breaker has seen nothing.
      assert.deepStrictEqual(errors(yield* ToolRunner.run(toolbox, [call("other")])), ["ToolFailure"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("when its time is up one call goes through as a probe, and closes it", () => {
    let healthy = false
    const { layer, starts, toolbox } = make((input, call) => (healthy ? Effect.succeed("ok") : fails(input, call)), {
      policy: { circuitBreaker: tripsAfter(1) }
    })
    return Effect.gen(function* () {
      yield* ToolRunner.run(toolbox, [call()])
      healthy = true
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(errors(yield* ToolRunner.run(toolbox, [call()])), ["CircuitOpen"])
      yield* TestClock.adjust("1 seconds")
      const three = yield* ToolRunner.run(toolbox, [call("ask", 1), call("ask", 2), call("ask", 3)])
      assert.deepStrictEqual(errors(three), ["Success", "CircuitOpen", "CircuitOpen"])
      assert.deepStrictEqual(errors(yield* ToolRunner.run(toolbox, [call()])), ["Success"])
      assert.strictEqual(starts.length, 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("the failures that one parallel batch meets count as one, those of its next attempts as another", () => {
    const { layer, starts, toolbox } = make(fails, {
      policy: { circuitBreaker: tripsAfter(3), retry: { times: 1, base: "1 second", jitter: "none" } }
    })
    return Effect.gen(function* () {
      const five = [1, 2, 3, 4, 5].map((n) => call("ask", n))
      const first = yield* Effect.fork(ToolRunner.run(toolbox, five))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(new Set(errors(yield* Fiber.join(first))), new Set(["ToolFailure"]))
      assert.strictEqual(starts.length, 10)
      const second = yield* ToolRunner.run(toolbox, [call()]).pipe(Effect.fork)
      yield* TestClock.adjust("1 second")
      // Its first attempt was the third trouble: the circuit opened, and no second attempt was made.
      assert.deepStrictEqual(errors(yield* Fiber.join(second)), ["ToolFailure"])
      assert.strictEqual(starts.length, 11)
    }).pipe(Effect.provide(layer))
  })

  it.effect("every failure counts on its own where the policy says so", () => {
    const { layer, starts, toolbox } = make(fails, {
      policy: { circuitBreaker: { ...tripsAfter(3), trip: { consecutive: 3, perBatch: false } } }
    })
    return Effect.gen(function* () {
      yield* ToolRunner.run(
        toolbox,
        [1, 2, 3].map((n) => call("ask", n))
      )
      assert.deepStrictEqual(errors(yield* ToolRunner.run(toolbox, [call()])), ["CircuitOpen"])
      assert.strictEqual(starts.length, 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("an open circuit stops the retries, and the call is told of its own failure and of the wait", () => {
    const { layer, starts, toolbox } = make(fails, {
      policy: { circuitBreaker: tripsAfter(2), retry: { times: 5, base: "1 second", factor: 1, jitter: "none" } }
    })
    return Effect.gen(function* () {
      const run = yield* Effect.fork(ToolRunner.run(toolbox, [call()]))
      yield* TestClock.adjust("1 minute")
      const { failed } = yield* Fiber.join(run)
      assert.strictEqual(starts.length, 2)
      assert.strictEqual(failed[0]?.error._tag, "ToolFailure")
      assert.strictEqual(failed[0]?.attempts, 2)
      assert.deepStrictEqual(failed[0]?.fault.retryAfter, Duration.seconds(9))
    }).pipe(Effect.provide(layer))
  })

  it.effect("D13 a call that was turned away is not tried again: one try", () => {
    const { layer, starts, toolbox } = make(fails, {
      policy: { circuitBreaker: tripsAfter(1), retry: { times: 3, base: "1 second" } }
    })
    return Effect.gen(function* () {
      yield* Effect.flatMap(CircuitBreaker.CircuitBreaker, (all) => all.get("ask", tripsAfter(1))).pipe(
        Effect.flatMap((breaker) => breaker.isolate)
      )
      const { failed } = yield* ToolRunner.run(toolbox, [call()])
      assert.strictEqual(failed[0]?.error._tag, "CircuitOpen")
      assert.strictEqual(starts.length, 0)
    }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(layer, CircuitBreaker.layerMemory)))
  })

  it.effect("with `rejected` it waits out the circuit where that fits before the deadline", () => {
    let healthy = false
    const { layer, starts, toolbox } = make((input, call) => (healthy ? Effect.succeed("ok") : fails(input, call)), {
      policy: { circuitBreaker: tripsAfter(1), retry: { times: 1, rejected: true }, timeout: { total: "30 seconds" } }
    })
    return Effect.gen(function* () {
      const first = yield* Effect.fork(ToolRunner.run(toolbox, [call()]))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(errors(yield* Fiber.join(first)), ["ToolFailure"])
      healthy = true
      const second = yield* Effect.fork(ToolRunner.run(toolbox, [call()]))
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(errors(yield* Fiber.join(second)), ["Success"])
      assert.strictEqual(starts.at(-1), 10_000)
    }).pipe(Effect.provide(layer))
  })

  describe("what says nothing about the dependency does not count", () => {
    const neutral: ReadonlyArray<readonly [string, Handler, unknown]> = [
      ["a fault of the model", () => Effect.fail(new Down({ fault: "model" })), { n: 1 }],
      ["an input that does not fit", () => Effect.succeed("ok"), { n: "one" }]
    ]
    for (const [name, handler, input] of neutral) {
      it.effect(name, () => {
        const { layer, toolbox } = make(handler, { policy: { circuitBreaker: tripsAfter(1) } })
        return Effect.gen(function* () {
          for (let n = 0; n < 3; n++) {
            const { failed } = yield* ToolRunner.run(toolbox, [{ ...call(), input }])
            assert.notStrictEqual(failed[0]?.error._tag, "CircuitOpen")
          }
        }).pipe(Effect.provide(layer))
      })
    }

    it.effect("the deadline of a batch, and an interruption", () => {
      const { layer, toolbox } = make(() => Effect.never, { policy: { circuitBreaker: tripsAfter(1) } })
      return Effect.gen(function* () {
        const run = yield* Effect.fork(ToolRunner.run(toolbox, [call()], { timeout: "1 second" }))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(errors(yield* Fiber.join(run)), ["Timeout"])
        const interrupted = yield* Effect.fork(ToolRunner.run(toolbox, [call()]))
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(interrupted)
        const again = yield* Effect.fork(ToolRunner.run(toolbox, [call()], { timeout: "1 second" }))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(errors(yield* Fiber.join(again)), ["Timeout"])
      }).pipe(Effect.provide(layer))
    })

    it.effect("calls that were turned away at a full bulkhead", () => {
      const { layer, toolbox } = make(() => Effect.sleep("1 second"), {
        policy: { circuitBreaker: { trip: { consecutive: 1, perBatch: false } }, bulkhead: { limit: 1, queue: 0 } }
      })
      return Effect.gen(function* () {
        const run = yield* Effect.fork(
          ToolRunner.run(
            toolbox,
            [1, 2, 3].map((n) => call("ask", n))
          )
        )
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(errors(yield* Fiber.join(run)), ["Success", "BulkheadFull", "BulkheadFull"])
        const again = yield* Effect.fork(ToolRunner.run(toolbox, [call()]))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(errors(yield* Fiber.join(again)), ["Success"])
      }).pipe(Effect.provide(layer))
    })
  })

  for (const [name, handler, policy] of [
    ["a defect", () => Effect.die(new Error("boom")), {}],
    ["an attempt that ran out of time", () => Effect.never, { timeout: "1 second" }],
    ["silence", () => Effect.never, { timeout: { idle: "1 second" } }],
    ["a permanent failure of the tool", () => Effect.fail(new Down({ fault: "permanent" })), {}],
    ["an output that cannot be used", () => Effect.succeed(1n), {}]
  ] as ReadonlyArray<readonly [string, Handler, Policy.Policy]>) {
    it.effect(`${name} counts`, () => {
      const { layer, toolbox } = make(handler, { policy: { ...policy, circuitBreaker: tripsAfter(1) } })
      return Effect.gen(function* () {
        const run = yield* Effect.fork(ToolRunner.run(toolbox, [call()]))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(run)
        assert.deepStrictEqual(errors(yield* ToolRunner.run(toolbox, [call()])), ["CircuitOpen"])
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("C3 without a breaker nothing counts and nothing is told", () => {
    const { layer, starts, toolbox } = make(fails, { policy: { circuitBreaker: false } })
    return Effect.gen(function* () {
      const told: Array<CircuitBreaker.Transition> = []
      const { transitions } = yield* CircuitBreaker.CircuitBreaker
      yield* Effect.fork(Stream.runForEach(transitions, (transition) => Effect.sync(() => told.push(transition))))
      for (let n = 0; n < 10; n++) yield* ToolRunner.run(toolbox, [call()])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(starts.length, 10)
      assert.deepStrictEqual(told, [])
    }).pipe(Effect.provide(Layer.provideMerge(layer, CircuitBreaker.layerMemory)))
  })

  it.effect("tools that name the same dependency share its breaker", () => {
    const { layer, starts, toolbox } = make(fails, { policy: { circuitBreaker: { name: "crm", ...tripsAfter(2) } } })
    return Effect.gen(function* () {
      yield* ToolRunner.run(toolbox, [call("ask")])
      yield* ToolRunner.run(toolbox, [call("other")])
      const { failed } = yield* ToolRunner.run(toolbox, [call("ask"), call("other")])
      assert.deepStrictEqual(
        failed.map(({ error }) => (error._tag === "CircuitOpen" ? error.breaker : error._tag)),
        ["crm", "crm"]
      )
      assert.strictEqual(starts.length, 2)
    }).pipe(Effect.provide(layer))
  })

  describe("check, queue, then acquire", () => {
    it.effect("calls that are queued when the circuit opens fail at once", () => {
      const { layer, starts, toolbox } = make(
        (input, call) => Effect.zipRight(Effect.sleep("1 second"), fails(input, call)),
        {
          policy: { circuitBreaker: tripsAfter(1), bulkhead: 1, timeout: { attempt: "5 seconds" } }
        }
      )
      return Effect.gen(function* () {
        const run = yield* Effect.fork(
          ToolRunner.run(
            toolbox,
            [1, 2, 3, 4].map((n) => call("ask", n))
          )
        )
        yield* TestClock.adjust("1 second")
        const batch = yield* Fiber.join(run)
        assert.deepStrictEqual(errors(batch), ["ToolFailure", "CircuitOpen", "CircuitOpen", "CircuitOpen"])
        assert.deepStrictEqual(starts, [0])
        assert.deepStrictEqual(batch.duration, Duration.seconds(1))
      }).pipe(Effect.provide(layer))
    })

    it.effect("a call to an open circuit takes no place in the queue and waits for none", () => {
      let hang = true
      const { layer, toolbox } = make(
        () => (hang ? Effect.sleep("1 hour") : Effect.fail(new Down({ fault: "tool" }))),
        {
          policy: {
            circuitBreaker: { name: "crm", ...tripsAfter(1) },
            bulkhead: { limit: 1, queue: 0 },
            timeout: "2 hours"
          }
        }
      )
      return Effect.gen(function* () {
        const busy = yield* Effect.fork(ToolRunner.run(toolbox, [call("ask")]))
        yield* TestClock.adjust("1 second")
        hang = false
        yield* ToolRunner.run(toolbox, [call("other")])
        // Its only slot is taken, but it is the circuit that turns the call away.
        assert.deepStrictEqual(errors(yield* ToolRunner.run(toolbox, [call("ask")])), ["CircuitOpen"])
        yield* Fiber.interrupt(busy)
      }).pipe(Effect.provide(layer))
    })

    it.effect("an open circuit burns no token of the rate limit", () => {
      let healthy = false
      const { layer, toolbox } = make((input, call) => (healthy ? Effect.succeed("ok") : fails(input, call)), {
        policy: { circuitBreaker: tripsAfter(1), rateLimit: { limit: 2, per: "1 hour", onLimit: "fail" } }
      })
      return Effect.gen(function* () {
        yield* ToolRunner.run(toolbox, [call()])
        for (let n = 0; n < 5; n++) yield* ToolRunner.run(toolbox, [call()])
        healthy = true
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(errors(yield* ToolRunner.run(toolbox, [call()])), ["Success"])
        assert.deepStrictEqual(errors(yield* ToolRunner.run(toolbox, [call()])), ["RateLimited"])
      }).pipe(Effect.provide(layer))
    })

    it.effect("time in the queue is never taken for slowness of the dependency", () => {
      const { layer, toolbox } = make(() => Effect.sleep("1 second"), {
        policy: {
          bulkhead: 1,
          circuitBreaker: { trip: { slowRate: 0.1, slowerThan: "1500 millis", minimumCalls: 1 } }
        }
      })
      return Effect.gen(function* () {
        const run = yield* Effect.fork(
          ToolRunner.run(
            toolbox,
            [1, 2, 3, 4].map((n) => call("ask", n))
          )
        )
        yield* TestClock.adjust("4 seconds")
        assert.deepStrictEqual(errors(yield* Fiber.join(run)), ["Success", "Success", "Success", "Success"])
      }).pipe(Effect.provide(layer))
    })
  })

  it.effect("a probe whose handler is deaf loses its slot with its lease, and its late end changes nothing", () => {
    let mode: "fail" | "deaf" | "ok" = "fail"
    const { layer, toolbox } = make(
      (input, call) =>
        mode === "fail"
          ? fails(input, call)
          : mode === "ok"
            ? Effect.succeed("ok")
            : Effect.uninterruptible(Effect.sleep("1 minute")),
      { policy: { circuitBreaker: tripsAfter(1), timeout: { attempt: "2 seconds" } } }
    )
    return Effect.gen(function* () {
      yield* ToolRunner.run(toolbox, [call()])
      mode = "deaf"
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.fork(ToolRunner.run(toolbox, [call()]))
      yield* TestClock.adjust("2 seconds")
      // Out of time: that is a failed probe, and the circuit is open again.
      assert.deepStrictEqual(errors(yield* Fiber.join(probe)), ["Timeout"])
      assert.deepStrictEqual(errors(yield* ToolRunner.run(toolbox, [call()])), ["CircuitOpen"])
      mode = "ok"
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(errors(yield* ToolRunner.run(toolbox, [call()])), ["Success"])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(errors(yield* ToolRunner.run(toolbox, [call()])), ["Success"])
    }).pipe(Effect.provide(layer))
  })

  describe("another breaker layer takes the place of the built-in one", () => {
    const isolated = Effect.flatMap(CircuitBreaker.CircuitBreaker, (all) => all.get("ask")).pipe(
      Effect.flatMap((breaker) => breaker.isolate)
    )
    for (const [where, provide] of [
      ["under the runner", Layer.provideMerge],
      ["beside it", (runner: Layer.Layer<never>, breaker: Layer.Layer<never>) => Layer.merge(runner, breaker)]
    ] as const) {
      it.effect(where, () => {
        const { layer, starts, toolbox } = make(() => Effect.succeed("ok"))
        return Effect.gen(function* () {
          yield* isolated
          assert.deepStrictEqual(errors(yield* ToolRunner.run(toolbox, [call()])), ["CircuitOpen"])
          assert.strictEqual(starts.length, 0)
        }).pipe(
          Effect.scoped,
          Effect.provide((provide as typeof Layer.provideMerge)(layer, CircuitBreaker.layerMemory))
        )
      })
    }
  })

  it.effect("the model reads the wait, and the tool to use instead where it is there", () => {
    const { layer, toolbox } = make(fails, { policy: { circuitBreaker: tripsAfter(1) }, alternative: "other" })
    return Effect.gen(function* () {
      yield* ToolRunner.run(toolbox, [call()])
      const batch = yield* ToolRunner.run(toolbox, [call()])
      assert.strictEqual(
        Report.toolResults(batch)[0]?.content,
        'Not executed: the service behind this tool has been failing and is left alone for now. Retry after 10 seconds. Use "other" instead.'
      )
      const alone = Toolbox.make(...toolbox.tools.slice(0, 1))
      const without = yield* ToolRunner.run(alone, [call()])
      assert.strictEqual(
        Report.toolResults(without)[0]?.content,
        "Not executed: the service behind this tool has been failing and is left alone for now. Retry after 10 seconds."
      )
      assert.deepStrictEqual(yield* ToolRunner.unavailable(toolbox), new Set(["ask"]))
      yield* TestClock.adjust("10 seconds")
      // Whoever calls it now is the probe.
      assert.deepStrictEqual(yield* ToolRunner.unavailable(toolbox), new Set())
    }).pipe(Effect.provide(layer))
  })
})
