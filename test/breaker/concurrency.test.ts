import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Memory from "../../src/internal/breaker/memory.ts"
import * as Policy from "../../src/policies/CircuitBreaker.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import type { Transition } from "../../src/services/CircuitBreaker.ts"
import * as Drive from "./drive.ts"
import * as Interleave from "./interleave.ts"

const fibers = 10
const callsEach = 10_000

describe("many fibers at one breaker", () => {
  it.effect("A15 lose no outcome: 10 fibers with 10,000 calls each, which yield in between", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreaker.CircuitBreaker
      const window = { calls: fibers * callsEach }
      const breaker = yield* breakers.get("a", { trip: { slowRate: 1, slowerThan: "1 hour", window } })
      const outcomes = [{ _tag: "Success" }, { _tag: "Ignored" }] as const
      const calls = Effect.loop(0, {
        while: (n) => n < callsEach,
        step: (n) => n + 1,
        body: (n) =>
          Effect.flatMap(
            breaker.admit((effect) => effect),
            (permit) => breaker.record(permit, outcomes[n % 2 === 0 ? 0 : 1])
          ),
        discard: true
      })
      yield* Effect.all(Effect.replicate(calls, fibers), { concurrency: "unbounded" }).pipe(Interleave.randomly(1))
      const { calls: counted, failures, mode } = yield* breaker.state
      assert.deepStrictEqual([mode, counted, failures], ["Closed", (fibers * callsEach) / 2, 0])
    }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect(
    "lose no failure in a row, no rejection and no probe, when every step of each may be its last for a while",
    () =>
      Effect.gen(function* () {
        const breakers = yield* CircuitBreaker.CircuitBreaker
        const breaker = yield* breakers.get("a", { trip: { consecutive: 1001 }, openFor: "1 second", probes: 7 })
        const fail = CircuitBreaker.execute(Effect.fail("no"), { key: "a" })
        const at = (n: number) =>
          Effect.all(Effect.replicate(Effect.ignore(fail), n), { concurrency: "unbounded", discard: true }).pipe(
            Interleave.randomly(2)
          )
        yield* at(1000)
        assert.strictEqual((yield* breaker.state).streak, 1000)
        yield* Effect.ignore(fail)
        yield* at(100)
        assert.strictEqual((yield* breaker.state).rejected, 100)
        yield* Drive.advance("1 second")
        const hang = CircuitBreaker.execute(Effect.never, { key: "a" })
        const all = yield* Effect.fork(
          Effect.all(Effect.replicate(Effect.ignore(hang), 50), { concurrency: "unbounded" })
        )
        yield* Drive.advance(0)
        const { probing, rejected } = yield* breaker.state
        assert.deepStrictEqual([probing, rejected], [7, 143])
        yield* Fiber.interrupt(all)
      }).pipe(Effect.provide(CircuitBreaker.layerMemory))
  )

  it.effect("hear of the changes in the order in which they happened, however slow one is to tell of its own", () =>
    Effect.gen(function* () {
      const heard: Array<Omit<Transition, "breaker">> = []
      const settings = yield* Policy.settings({ trip: { consecutive: 1 } })
      const stored = yield* Memory.make("a", settings, (transition) =>
        Effect.flatMap(Random.nextIntBetween(0, 20), (turns) =>
          Effect.zipRight(
            Effect.repeatN(Effect.yieldNow(), turns),
            Effect.sync(() => void heard.push(transition))
          )
        )
      )
      const failing = Effect.flatMap(
        stored.admit((effect) => effect),
        (verdict) =>
          verdict._tag === "Admitted"
            ? stored.record(verdict.permit, {
                _tag: "Failure",
                retryAfterMillis: 0,
                cause: undefined,
                group: undefined
              })
            : Effect.void
      )
      const busy = Effect.zipRight(failing, Effect.zipRight(stored.reset, Effect.scoped(stored.isolate)))
      yield* Effect.all(Effect.replicate(Effect.repeatN(busy, 60), 10), { concurrency: "unbounded" }).pipe(
        Interleave.randomly(3)
      )
      assert.isAtLeast(heard.length, 30)
      let mode = "Closed"
      for (const { from, to } of heard) {
        assert.strictEqual(from, mode)
        mode = to
      }
      assert.strictEqual((yield* stored.status).mode, mode)
    }).pipe(Effect.withRandom(Random.make("slow listeners")))
  )
})
