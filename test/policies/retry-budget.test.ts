import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import { type Policy, ToolRunner } from "../../src/index.ts"
import { call, calls, down, type Handler, make, outcomes, type Setup, within } from "./world.ts"

const noBreaker = { circuitBreaker: false } as const

const second = { base: "1 second", jitter: "none" } as const

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
