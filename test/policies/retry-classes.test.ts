import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { Fault, type Policy, Tool, Toolbox, ToolRunner } from "../../src/index.ts"
import { outcomes, within } from "./world.ts"

const noBreaker = { circuitBreaker: false } as const

const unlimited = { budget: false } as const

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
        classify: ({ fault }) => (fault === "throttled" ? Fault.throttled() : Fault.transient())
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
