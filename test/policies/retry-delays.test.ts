import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { Fault, Policy } from "../../src/index.ts"
import type * as Failed from "../../src/internal/failed.ts"
import * as Retry from "../../src/policies/Retry.ts"

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
