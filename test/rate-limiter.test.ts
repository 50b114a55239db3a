import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import { InvalidDefinition } from "../src/internal/definition.ts"
import * as Gcra from "../src/internal/gcra.ts"
import * as RateLimit from "../src/policies/RateLimit.ts"
import * as RateLimiter from "../src/services/RateLimiter.ts"
import { contract } from "./rate-limiter-contract.ts"

contract({
  name: "in memory",
  layer: RateLimiter.layerStoreMemory,
  advance: TestClock.adjust,
  toleranceMillis: 0
})

interface Grant {
  readonly at: number
  readonly cost: number
}

/** Looks at every span of time that begins and ends with a grant. `late` is how much later than due each may be. */
const neverTooMany = (grants: ReadonlyArray<Grant>, { burst, limit, perMillis }: Gcra.Settings, late = 0) => {
  const sorted = grants.toSorted((a, b) => a.at - b.at)
  sorted.forEach((first, i) => {
    let sum = 0
    for (const { at, cost } of sorted.slice(i)) {
      sum += cost
      assert.isAtMost(sum, burst + ((at - first.at + late) * limit) / perMillis + 0.001, `from ${first.at} to ${at}`)
    }
  })
}

const settingsArbitrary = FastCheck.record({
  limit: FastCheck.integer({ min: 1, max: 50 }),
  perMillis: FastCheck.constantFrom(100, 1000, 60_000),
  burst: FastCheck.integer({ min: 1, max: 20 })
})

describe("GCRA", () => {
  it.each<[Gcra.Settings, number]>([
    [{ limit: 1, perMillis: 1000, burst: 1 }, 1000],
    [{ limit: 3, perMillis: 1000, burst: 1 }, 334],
    [{ limit: 7, perMillis: 1000, burst: 4 }, 143],
    [{ limit: 10, perMillis: 60_000, burst: 10 }, 6000]
  ])("with %o is free again after %i whole milliseconds, and not one before", (settings, millis) => {
    let tat = 0
    for (let i = 0; i < settings.burst; i++) {
      const taken = Gcra.take(tat, 0, settings, 1)
      assert.isTrue(taken.granted)
      tat = taken.tat
    }
    const refused = Gcra.take(tat, 0, settings, 1)
    assert.deepStrictEqual({ granted: refused.granted, tat: refused.tat }, { granted: false, tat })
    assert.strictEqual(Gcra.wholeMillis(refused.waitMillis), millis)
    assert.isFalse(Gcra.take(tat, millis - 1, settings, 1).granted)
    assert.isTrue(Gcra.take(tat, millis, settings, 1).granted)
  })

  it.each([3, 7, 11, 60])("gives all of %i a second, in each of 1,000 seconds", (limit) => {
    const settings = { limit, perMillis: 1000, burst: limit }
    let tat = 0
    for (let second = 0; second < 1000; second++) {
      for (let i = 0; i < limit; i++) {
        const taken = Gcra.take(tat, second * 1000, settings, 1)
        assert.isTrue(taken.granted, `${i} of second ${second}`)
        tat = taken.tat
      }
      assert.isFalse(Gcra.take(tat, second * 1000, settings, 1).granted)
    }
  })

  it("never grants more than burst + limit * t / per in any span of time, whoever waits or gives back", () => {
    const step = FastCheck.record({
      after: FastCheck.oneof(FastCheck.constant(0), FastCheck.integer({ min: 0, max: 3000 })),
      cost: FastCheck.integer({ min: 1, max: 20 }),
      maxWait: FastCheck.constantFrom(0, 50, 1000, Number.POSITIVE_INFINITY),
      giveBack: FastCheck.boolean()
    })
    let waited = 0
    let returned = 0
    FastCheck.assert(
      FastCheck.property(settingsArbitrary, FastCheck.array(step, { maxLength: 80 }), (settings, steps) => {
        let tat = 0
        let time = 0
        let grants: Array<Grant & { readonly tat: number }> = []
        for (const { after, giveBack, maxWait, ...step } of steps) {
          time += after
          const cost = Math.min(step.cost, settings.burst)
          const taken = Gcra.take(tat, time, settings, cost, maxWait)
          if (taken.granted) {
            assert.isAtMost(taken.waitMillis, maxWait + 0.001)
            grants.push({ at: time + taken.waitMillis, cost, tat: taken.tat })
            if (taken.waitMillis > 0) waited++
          } else assert.isAbove(taken.waitMillis, maxWait)
          tat = taken.tat
          // Any of those who still wait gives up.
          const quitter = giveBack ? grants.findLast(({ at }) => at > time) : undefined
          if (quitter !== undefined) {
            tat = Gcra.giveBack(tat, quitter.tat, settings, quitter.cost)
            grants = grants.filter((grant) => grant !== quitter)
            returned++
          }
          const early = giveBack ? grants.find(({ at }) => at > time) : undefined
          if (early !== undefined) {
            tat = Gcra.giveBack(tat, early.tat, settings, early.cost)
            grants = grants.filter((grant) => grant !== early)
          }
        }
        neverTooMany(grants, settings)
      }),
      { numRuns: 1000 }
    )
    assert.isAbove(waited, 500)
    assert.isAbove(returned, 100)
  })
})

const wait = (key: string, settings: RateLimit.Settings, options: RateLimiter.WaitOptions = {}) =>
  Effect.flatMap(RateLimiter.RateLimiter, (limiter) =>
    Effect.uninterruptibleMask((restore) => limiter.wait(key, settings, options, restore))
  )

/** How long it would have to wait that comes now, in milliseconds; 0 where it is let in. */
const retryAfter = (settings: RateLimit.Settings, options: RateLimiter.WaitOptions = {}) =>
  Effect.map(Effect.either(wait("api", settings, { maxWaitMillis: 0, ...options })), (asked) =>
    Either.isLeft(asked) ? Duration.toMillis(asked.left.retryAfter) : 0
  )

const settle = Effect.replicateEffect(Effect.yieldNow(), 20)

/** One per second. */
const slow: RateLimit.Settings = { limit: 1, perMillis: 1000, burst: 1 }

const test = <E>(name: string, body: () => Effect.Effect<void, E, RateLimiter.RateLimiter>) =>
  it.effect(name, () => Effect.provide(body(), RateLimiter.layerMemory))

describe("a rate limiter", () => {
  test("fails with how long to wait, to the millisecond, where nobody may wait", () =>
    Effect.gen(function* () {
      const settings = { limit: 3, perMillis: 1000, burst: 2 }
      assert.strictEqual(yield* retryAfter(settings), 0)
      assert.strictEqual(yield* retryAfter(settings), 0)
      assert.strictEqual(yield* retryAfter(settings), 334)
      yield* TestClock.adjust(333)
      assert.strictEqual(yield* retryAfter(settings), 1)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* retryAfter(settings), 0)
    }))

  it.effect("counts as exactly as ever on a day in 2026", () =>
    Effect.gen(function* () {
      const settings = { limit: 7, perMillis: 1000, burst: 7 }
      yield* TestClock.setTime(1_795_000_000_000)
      const limiter = yield* Layer.build(RateLimiter.layerMemory)
      for (let second = 0; second < 60; second++) {
        for (let i = 0; i < 7; i++) assert.strictEqual(yield* Effect.provide(retryAfter(settings), limiter), 0)
        assert.strictEqual(yield* Effect.provide(retryAfter(settings), limiter), 143)
        yield* TestClock.adjust("1 second")
      }
    }).pipe(Effect.scoped)
  )

  test("lets those who wait in one by one, in the order they came", () =>
    Effect.gen(function* () {
      const entered: Array<readonly [number, number]> = []
      const fibers = yield* Effect.forEach([0, 1, 2, 3, 4], (n) =>
        Effect.fork(
          Effect.zipRight(
            // With a deadline, and with something that might abort it: more fibers, the same order.
            wait("api", slow, n % 2 === 0 ? {} : { maxWaitMillis: 60_000, abort: Effect.never }),
            Effect.map(Clock.currentTimeMillis, (at) => entered.push([n, at]))
          )
        )
      )
      yield* TestClock.adjust(10_000)
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(entered, [
        [0, 0],
        [1, 1000],
        [2, 2000],
        [3, 3000],
        [4, 4000]
      ])
    }))

  test("turns away at once who would have to wait too long, and tells how long, line included", () =>
    Effect.gen(function* () {
      yield* wait("api", slow)
      yield* Effect.fork(wait("api", slow))
      yield* Effect.fork(wait("api", { ...slow, burst: 2 }, { cost: 2 }))
      yield* settle
      assert.strictEqual(yield* retryAfter(slow, { maxWaitMillis: 3999 }), 4000)
      const fits = yield* Effect.fork(wait("api", slow, { maxWaitMillis: 4000 }))
      yield* TestClock.adjust(3999)
      assert.strictEqual((yield* Fiber.poll(fits))._tag, "None")
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(fits), "granted")
    }))

  test("lets nobody pass those who wait, even where there is room for a smaller one", () =>
    Effect.gen(function* () {
      const settings = { ...slow, burst: 3 }
      yield* wait("api", settings, { cost: 2 })
      const heavy = yield* Effect.fork(wait("api", settings, { cost: 3 }))
      yield* settle
      assert.strictEqual(yield* retryAfter(settings), 3000)
      yield* TestClock.adjust(2000)
      assert.strictEqual(yield* Fiber.join(heavy), "granted")
    }))

  test("lets all behind move up when the first in line gives up", () =>
    Effect.gen(function* () {
      yield* wait("api", slow)
      const first = yield* Effect.fork(wait("api", slow))
      yield* settle
      const second = yield* Effect.fork(wait("api", slow))
      const third = yield* Effect.fork(wait("api", slow))
      yield* TestClock.adjust(500)
      yield* Fiber.interrupt(first)
      assert.strictEqual(yield* retryAfter(slow), 2500)
      yield* TestClock.adjust(500)
      assert.strictEqual(yield* Fiber.join(second), "granted")
      yield* TestClock.adjust(1000)
      assert.strictEqual(yield* Fiber.join(third), "granted")
    }))

  test("1,000 who wait and are interrupted consume nothing", () =>
    Effect.gen(function* () {
      yield* wait("api", slow)
      for (const inTurn of [true, false]) {
        const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
        for (let i = 0; i < 500; i++) {
          const fiber = yield* Effect.fork(wait("api", slow))
          yield* settle
          if (inTurn) yield* Fiber.interrupt(fiber)
          else fibers.push(fiber)
        }
        yield* Effect.forEach(yield* Random.shuffle(fibers), Fiber.interrupt, { discard: true })
        assert.strictEqual(yield* retryAfter(slow), 1000)
      }
      yield* TestClock.adjust(1000)
      assert.strictEqual(yield* retryAfter(slow), 0)
    }).pipe(Effect.withRandom(Random.make("interrupted"))))

  test("lets go of all who wait when what aborts them completes, and keeps nothing of them", () =>
    Effect.gen(function* () {
      const opened = yield* Deferred.make<void>()
      yield* wait("api", slow)
      const line = yield* Effect.replicateEffect(
        Effect.fork(wait("api", slow, { abort: Deferred.await(opened), maxWaitMillis: 60_000 })),
        5
      )
      yield* TestClock.adjust(500)
      yield* Deferred.succeed(opened, undefined)
      assert.deepStrictEqual(
        yield* Fiber.join(Fiber.all(line)),
        Array.from(line, () => "aborted" as const)
      )
      assert.strictEqual(yield* retryAfter(slow), 500)
    }))

  test("ends a wait in time even where nothing can be interrupted", () =>
    Effect.gen(function* () {
      const opened = yield* Deferred.make<void>()
      yield* wait("api", slow)
      const first = yield* Effect.fork(Effect.uninterruptible(wait("api", slow, { abort: Deferred.await(opened) })))
      yield* settle
      yield* Deferred.succeed(opened, undefined)
      assert.strictEqual(yield* Fiber.join(first), "aborted")
    }))

  test("does not look at what aborts where there is nothing to wait for", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* wait("api", slow, { abort: Effect.void }), "granted")
    }))

  test("keeps keys apart", () =>
    Effect.gen(function* () {
      yield* wait("api", slow)
      yield* Effect.fork(wait("api", slow))
      yield* settle
      assert.strictEqual(yield* wait("another", slow, { maxWaitMillis: 0 }), "granted")
    }))

  test("keeps the limit and the order through random costs, waits, aborts and interruptions", () =>
    Effect.gen(function* () {
      for (const settings of [
        { limit: 20, perMillis: 1000, burst: 1 },
        { limit: 30, perMillis: 1000, burst: 4 },
        { limit: 7, perMillis: 1000, burst: 7 }
      ]) {
        const key = `limit ${settings.limit}`
        const grants: Array<Grant & { readonly n: number }> = []
        const opened = yield* Deferred.make<void>()
        const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
        for (let n = 0; n < 120; n++) {
          const cost = yield* Random.nextIntBetween(1, settings.burst + 1)
          const options = {
            cost,
            maxWaitMillis: (yield* Random.nextBoolean) ? yield* Random.nextIntBetween(0, 2000) : undefined,
            abort: (yield* Random.nextIntBetween(0, 4)) === 0 ? Deferred.await(opened) : undefined
          }
          const enter = Effect.flatMap(wait(key, settings, options), (how) =>
            how === "granted"
              ? Effect.map(Clock.currentTimeMillis, (at) => grants.push({ at, cost, n }))
              : Effect.succeed(0)
          )
          fibers.push(yield* Effect.fork(enter))
          yield* TestClock.adjust(yield* Random.nextIntBetween(0, 60))
          if ((yield* Random.nextIntBetween(0, 3)) === 0) {
            const quitter = fibers[yield* Random.nextIntBetween(0, fibers.length)]
            if (quitter !== undefined) yield* Fiber.interrupt(quitter)
          }
          if (n === 90) yield* Deferred.succeed(opened, undefined)
        }
        yield* TestClock.adjust("10 minutes")
        yield* Effect.forEach(fibers, Fiber.await, { discard: true })
        assert.isAbove(grants.length, 30)
        // Timers wake at whole milliseconds.
        neverTooMany(grants, settings, 1)
        const order = grants.map(({ n }) => n)
        assert.deepStrictEqual(
          order,
          order.toSorted((a, b) => a - b)
        )
      }
    }).pipe(Effect.withRandom(Random.make("limits"))))

  test("lets as many in as the limit allows while there is a line", () =>
    Effect.gen(function* () {
      const settings = { limit: 3, perMillis: 1000, burst: 1 }
      let entered = 0
      const fibers = yield* Effect.replicateEffect(
        Effect.fork(Effect.tap(wait("api", settings), () => Effect.sync(() => entered++))),
        400
      )
      yield* TestClock.adjust("100 seconds")
      assert.strictEqual(entered, 301)
      yield* Fiber.interruptAll(fibers)
      assert.strictEqual(yield* retryAfter(settings), 334)
    }))

  /** A store that takes ten milliseconds to answer. */
  const layerRemote = Layer.provide(
    RateLimiter.layer,
    Layer.map(RateLimiter.layerStoreMemory, (context) => {
      const memory = Context.get(context, RateLimiter.RateLimiterStore)
      return Context.make(RateLimiter.RateLimiterStore, {
        ...memory,
        take: (key, settings, cost, maxWaitMillis, restore) =>
          Effect.zipRight(restore(Effect.sleep(10)), memory.take(key, settings, cost, maxWaitMillis, restore))
      })
    })
  )

  it.effect("asks a store that takes its time for many at once", () =>
    Effect.gen(function* () {
      const settings = { limit: 20, perMillis: 1000, burst: 20 }
      const fibers = yield* Effect.replicateEffect(Effect.fork(wait("api", settings, { maxWaitMillis: 0 })), 20)
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(
        yield* Fiber.join(Fiber.all(fibers)),
        Array.from(fibers, () => "granted" as const)
      )
      const line = yield* Effect.replicateEffect(Effect.fork(wait("api", settings)), 5)
      yield* TestClock.adjust(270)
      assert.deepStrictEqual(
        yield* Fiber.join(Fiber.all(line)),
        Array.from(line, () => "granted" as const)
      )
    }).pipe(Effect.provide(layerRemote))
  )

  it.effect("tells a newcomer the right time while the store has yet to answer who moved up", () =>
    Effect.gen(function* () {
      const settings = { limit: 1, perMillis: 1000, burst: 1 }
      const first = yield* Effect.fork(wait("api", settings))
      yield* TestClock.adjust(10)
      assert.strictEqual(yield* Fiber.join(first), "granted")
      const second = yield* Effect.fork(wait("api", settings))
      yield* TestClock.adjust(50)
      const third = yield* Effect.fork(wait("api", settings))
      yield* TestClock.adjust(50)
      yield* Fiber.interrupt(second)
      yield* settle
      assert.strictEqual(yield* retryAfter(settings), 1900)
      yield* TestClock.adjust(900)
      assert.strictEqual(yield* Fiber.join(third), "granted")
    }).pipe(Effect.provide(layerRemote))
  )

  it.effect("tells a newcomer the right time after the first in line was aborted", () =>
    Effect.gen(function* () {
      const settings = { limit: 1, perMillis: 1000, burst: 1 }
      const opened = yield* Deferred.make<void>()
      yield* Effect.fork(wait("api", settings))
      yield* TestClock.adjust(10)
      yield* Effect.fork(wait("api", settings, { abort: Deferred.await(opened) }))
      yield* TestClock.adjust(50)
      yield* Effect.fork(wait("api", settings))
      yield* TestClock.adjust(50)
      yield* Deferred.succeed(opened, undefined)
      yield* settle
      assert.strictEqual(yield* retryAfter(settings), 1900)
    }).pipe(Effect.provide(layerRemote))
  )
})

describe("a rate limit policy", () => {
  const ok: RateLimit.RateLimitPolicy = { limit: 10, per: "1 minute" }

  it("may burst up to its limit, waits, and counts 1, where nothing is said", () => {
    assert.deepStrictEqual(RateLimit.settings(ok), { limit: 10, perMillis: 60_000, burst: 10 })
    assert.deepStrictEqual(RateLimit.request(ok), { cost: 1, maxWaitMillis: Number.POSITIVE_INFINITY })
    assert.strictEqual(RateLimit.request({ ...ok, maxWait: "2 seconds" }).maxWaitMillis, 2000)
    assert.strictEqual(RateLimit.request({ ...ok, onLimit: "fail", maxWait: "2 seconds" }).maxWaitMillis, 0)
  })

  it("may name everything there is", () => {
    RateLimit.check(
      { ...ok, burst: 5, cost: 5, onLimit: "wait", maxWait: Duration.infinity, name: "github" },
      "Tool search"
    )
    RateLimit.check({ ...ok, burst: undefined, maxWait: 0 }, "Tool search")
  })

  it("is refused where it lacks a field or is nothing of the kind", () => {
    const refused = (policy: unknown) => {
      try {
        // What a program without types may write.
        RateLimit.check(policy as RateLimit.RateLimitPolicy, "Tool search")
      } catch (error) {
        return String(error)
      }
      return assert.fail("accepted")
    }
    assert.include(refused({ per: "1 second" }), "rateLimit.limit is undefined; it takes a whole number of 1 or more")
    assert.include(refused({ limit: 1 }), "rateLimit.per is undefined; it takes a duration above zero")
    assert.include(refused(5), "rateLimit is the number 5; it takes { limit, per,")
  })

  it.each<[string, Record<string, unknown>, RegExp]>([
    ["limit", { limit: 0 }, /whole number/],
    ["limit", { limit: 1.5 }, /whole number/],
    ["limit", { limit: Number.POSITIVE_INFINITY }, /whole number/],
    ["limit", { limit: undefined }, /whole number/],
    ["per", { per: "0 seconds" }, /above zero/],
    ["per", { per: "-1 seconds" }, /above zero/],
    ["per", { per: "Infinity" }, /above zero/],
    ["burst", { burst: 0 }, /whole number/],
    ["cost", { cost: -1 }, /whole number/],
    ["cost", { cost: 11 }, /at most the burst, 10/],
    ["cost", { burst: 2, cost: 3 }, /at most the burst, 2/],
    ["onLimit", { onLimit: "drop" }, /"wait" or "fail"/],
    ["maxWait", { maxWait: -1 }, /zero or more/],
    ["name", { name: "" }, /not empty/],
    ["rate", { rate: 3 }, /no such field/]
  ])("is refused for its %s: %o", (field, wrong, accepts) => {
    try {
      // What a program without types may write.
      RateLimit.check({ ...ok, ...wrong } as RateLimit.RateLimitPolicy, "Tool search")
    } catch (error) {
      assert.instanceOf(error, InvalidDefinition)
      assert.strictEqual(error.field, `rateLimit.${field}`)
      assert.match(error.accepts, accepts)
      return
    }
    assert.fail("accepted")
  })
})
