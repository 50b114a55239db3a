/** What every store of the rate limiter has to do. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type { Settings } from "../src/policies/RateLimit.ts"
import { RateLimiterStore, type Taken } from "../src/services/RateLimiter.ts"

export interface Options {
  readonly name: string
  readonly layer: Layer.Layer<RateLimiterStore, unknown>
  /** Lets that many milliseconds pass on the store's clock. */
  readonly advance: (millis: number) => Effect.Effect<void>
  /** How much later than it should be an answer may be worked out. 0 under a virtual clock. */
  readonly toleranceMillis: number
}

const settings: Settings = { limit: 10, perMillis: 5000, burst: 3 }

/** The time one takes up. */
const each = 500

const forever = 1_000_000

export const contract = ({ advance, layer, name, toleranceMillis }: Options) => {
  /** What a test works with: a key nobody else has. */
  const store = Effect.gen(function* () {
    const { giveBack, take } = yield* RateLimiterStore
    const key = `contract:${yield* Random.nextInt}`
    return {
      take: (cost: number, maxWaitMillis: number, of = key) =>
        Effect.uninterruptibleMask((restore) => take(of, settings, cost, maxWaitMillis, restore)),
      giveBack: (cost: number, taken: Taken) =>
        taken._tag === "Granted" ? giveBack(key, settings, cost, taken.granted) : Effect.die("Nothing to give back"),
      giveBackStamp: (granted: number) => giveBack(key, settings, 1, granted),
      other: `${key}:other`
    }
  })

  const test = <E>(what: string, body: Effect.Effect<void, E, RateLimiterStore>) =>
    it.effect(what, () => Effect.provide(body, layer))

  const near = (actual: number, expected: number) => {
    assert.isAtMost(actual, expected + 0.01)
    assert.isAtLeast(actual, expected - toleranceMillis - 0.01)
  }

  const granted = (taken: Taken, waitMillis: number) => {
    assert.strictEqual(taken._tag, "Granted")
    if (taken._tag === "Granted") near(taken.waitMillis, waitMillis)
  }

  const refused = (taken: Taken, retryAfterMillis: number) => {
    assert.strictEqual(taken._tag, "Limited")
    if (taken._tag === "Limited") near(taken.retryAfterMillis, retryAfterMillis)
  }

  describe(`a rate limiter store: ${name}`, () => {
    test(
      "grants the burst at once, then says exactly how long to wait",
      Effect.gen(function* () {
        const { take } = yield* store
        for (let i = 0; i < 3; i++) granted(yield* take(1, 0), 0)
        const fourth = yield* take(1, 0)
        refused(fourth, each)
        yield* advance(fourth._tag === "Limited" ? Math.ceil(fourth.retryAfterMillis) : 0)
        granted(yield* take(1, 0), 0)
        refused(yield* take(1, 0), each)
      })
    )

    test(
      "reserves one moment after the other for those who may wait",
      Effect.gen(function* () {
        const { take } = yield* store
        yield* Effect.replicateEffect(take(1, 0), 3)
        for (let i = 1; i <= 4; i++) granted(yield* take(1, forever), i * each)
      })
    )

    test(
      "reserves nothing for whom it refuses",
      Effect.gen(function* () {
        const { take } = yield* store
        yield* take(3, 0)
        yield* Effect.replicateEffect(take(1, each / 10), 50)
        refused(yield* take(2, each), 2 * each)
        granted(yield* take(1, each), each)
      })
    )

    test(
      "counts a cost for so many",
      Effect.gen(function* () {
        const { take } = yield* store
        granted(yield* take(2, 0), 0)
        refused(yield* take(2, 0), each)
        granted(yield* take(1, 0), 0)
        granted(yield* take(3, forever), 3 * each)
      })
    )

    test(
      "saves up no more than the burst in a quiet time",
      Effect.gen(function* () {
        const { take } = yield* store
        yield* take(3, 0)
        yield* advance(4 * each)
        const answers = yield* Effect.replicateEffect(take(1, 0), 6)
        assert.strictEqual(answers.filter(({ _tag }) => _tag === "Granted").length, 3)
      })
    )

    test(
      "gives the same moments again when the last ones are given back",
      Effect.gen(function* () {
        const { giveBack, take } = yield* store
        yield* take(3, 0)
        const first = yield* take(1, forever)
        const second = yield* take(2, forever)
        granted(second, 3 * each)
        yield* giveBack(2, second)
        yield* giveBack(1, first)
        granted(yield* take(1, forever), each)
      })
    )

    test(
      "sends nobody into a moment that another one still holds",
      Effect.gen(function* () {
        const { giveBack, take } = yield* store
        yield* take(3, 0)
        const first = yield* take(1, forever)
        granted(yield* take(1, forever), 2 * each)
        yield* giveBack(1, first)
        granted(yield* take(1, forever), 3 * each)
      })
    )

    test(
      "takes nothing back that it has not granted",
      Effect.gen(function* () {
        const { giveBack, giveBackStamp, take } = yield* store
        yield* giveBackStamp(1)
        yield* take(3, 0)
        const fourth = yield* take(1, forever)
        yield* giveBackStamp(1)
        yield* giveBack(1, fourth)
        yield* giveBack(1, fourth)
        granted(yield* take(1, forever), each)
      })
    )

    test(
      "keeps keys apart",
      Effect.gen(function* () {
        const { other, take } = yield* store
        yield* take(3, 0)
        granted(yield* take(3, 0, other), 0)
      })
    )

    test(
      "gives each of many that come at once a moment of its own",
      Effect.gen(function* () {
        const { take } = yield* store
        const answers = yield* Effect.replicateEffect(take(1, forever), 20, { concurrency: "unbounded" })
        const waits = answers.flatMap((taken) => (taken._tag === "Granted" ? [taken.waitMillis] : []))
        assert.strictEqual(waits.length, 20)
        waits.toSorted((a, b) => a - b).forEach((wait, i) => near(wait, Math.max(0, i - 2) * each))
      })
    )
  })
}
