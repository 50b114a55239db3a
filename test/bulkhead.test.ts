import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/TestClock"
import * as Bulkhead from "../src/policies/Bulkhead.ts"

const forever = Number.POSITIVE_INFINITY

const takeWith = (bulkhead: Bulkhead.Bulkhead, options?: Bulkhead.TakeOptions) =>
  Effect.uninterruptibleMask((restore) => bulkhead.take(restore, options))

const take = (bulkhead: Bulkhead.Bulkhead, millis = forever) =>
  Effect.map(takeWith(bulkhead, { millis }), (taken) => taken === "taken")

/** Holds its slots while `work` runs. */
const holdingWith = <A>(bulkhead: Bulkhead.Bulkhead, work: Effect.Effect<A>, options: Bulkhead.TakeOptions) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(bulkhead.take(restore, options), (taken) =>
      taken === "taken"
        ? Effect.ensuring(Effect.asSome(restore(work)), bulkhead.release(options.weight))
        : Effect.succeedNone
    )
  )

const holding = <A>(bulkhead: Bulkhead.Bulkhead, work: Effect.Effect<A>, millis = forever) =>
  holdingWith(bulkhead, work, { millis })

/** How many slots are free right now. */
const freeSlots = (bulkhead: Bulkhead.Bulkhead) =>
  Effect.gen(function* () {
    let free = 0
    for (;;) {
      const fiber = yield* Effect.fork(take(bulkhead))
      yield* settle
      if ((yield* Fiber.poll(fiber))._tag === "None") {
        yield* Fiber.interrupt(fiber)
        break
      }
      free++
    }
    yield* Effect.replicateEffect(bulkhead.release(), free)
    assert.strictEqual(yield* bulkhead.free, free)
    assert.strictEqual(yield* bulkhead.waiting, 0)
    return free
  })

/** Lets every fiber run until it waits. */
const settle = Effect.replicateEffect(Effect.yieldNow(), 10)

describe("a bulkhead", () => {
  it.effect("lets so many in, and no more", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make({ capacity: 3 })
      const running = yield* Ref.make(0)
      const most = yield* Ref.make(0)
      const work = Ref.updateAndGet(running, (n) => n + 1).pipe(
        Effect.tap((n) => Ref.update(most, (m) => Math.max(m, n))),
        Effect.zipRight(Effect.sleep("10 millis")),
        Effect.zipRight(Ref.update(running, (n) => n - 1))
      )
      const fiber = yield* Effect.fork(
        Effect.replicateEffect(holding(bulkhead, work), 10, { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("40 millis")
      yield* Fiber.join(fiber)
      assert.strictEqual(yield* Ref.get(most), 3)
      assert.strictEqual(yield* freeSlots(bulkhead), 3)
    })
  )

  it.effect("serves those who wait in the order they came", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make({ capacity: 1 })
      const order: Array<number> = []
      yield* take(bulkhead)
      const fibers = yield* Effect.forEach([1, 2, 3, 4, 5], (n) =>
        Effect.zipLeft(
          Effect.fork(
            holding(
              bulkhead,
              Effect.sync(() => order.push(n))
            )
          ),
          settle
        )
      )
      yield* bulkhead.release()
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(order, [1, 2, 3, 4, 5])
    })
  )

  it.effect("gives a freed slot to the first in line, never to a newcomer", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make({ capacity: 1 })
      const order: Array<string> = []
      const enter = (name: string) =>
        holding(
          bulkhead,
          Effect.sync(() => order.push(name))
        )
      yield* take(bulkhead)
      const waiting = yield* Effect.fork(enter("waiting"))
      yield* settle
      // The newcomer asks in the very tick of the release, before the one in line has run.
      yield* Effect.zipRight(bulkhead.release(), enter("newcomer"))
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(order, ["waiting", "newcomer"])
    })
  )

  it.effect("forgets who stops waiting: the next in line is served", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make({ capacity: 1 })
      yield* take(bulkhead)
      const gone = yield* Effect.fork(take(bulkhead))
      const next = yield* Effect.zipRight(settle, Effect.fork(take(bulkhead)))
      yield* settle
      const exit = yield* Fiber.interrupt(gone)
      assert.isTrue(Exit.isInterrupted(exit))
      yield* bulkhead.release()
      assert.isTrue(yield* Fiber.join(next))
      yield* bulkhead.release()
      assert.strictEqual(yield* freeSlots(bulkhead), 1)
    })
  )

  it.effect("hands a slot on when its new owner is interrupted in the tick it is granted", () =>
    Effect.gen(function* () {
      for (const grantFirst of [true, false]) {
        const bulkhead = Bulkhead.make({ capacity: 1 })
        yield* take(bulkhead)
        const gone = yield* Effect.fork(holding(bulkhead, Effect.never))
        yield* settle
        const next = yield* Effect.fork(holding(bulkhead, Effect.succeed("served")))
        yield* settle
        const leave = Fiber.interruptFork(gone)
        yield* grantFirst ? Effect.zipRight(bulkhead.release(), leave) : Effect.zipRight(leave, bulkhead.release())
        assert.deepStrictEqual((yield* Fiber.join(next))._tag, "Some")
        assert.strictEqual(yield* freeSlots(bulkhead), 1)
      }
    })
  )

  it.effect("turns away who has waited long enough, and nothing of them stays", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make({ capacity: 1 })
      yield* take(bulkhead)
      const late = yield* Effect.fork(take(bulkhead, 100))
      const patient = yield* Effect.zipRight(settle, Effect.fork(take(bulkhead)))
      yield* TestClock.adjust("99 millis")
      assert.strictEqual((yield* Fiber.poll(late))._tag, "None")
      yield* TestClock.adjust("1 millis")
      assert.isFalse(yield* Fiber.join(late))
      yield* bulkhead.release()
      assert.isTrue(yield* Fiber.join(patient))
      yield* bulkhead.release()
      assert.strictEqual(yield* freeSlots(bulkhead), 1)
    })
  )

  it.effect("a slot freed in the tick a wait ends goes to one of the two, and is not lost", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make({ capacity: 1 })
      yield* Effect.fork(holding(bulkhead, Effect.sleep("100 millis")))
      yield* settle
      const late = yield* Effect.fork(holding(bulkhead, Effect.void, 100))
      yield* settle
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(late)
      assert.strictEqual(yield* freeSlots(bulkhead), 1)
    })
  )

  it.effect("keeps its capacity through 1,000 random interruptions", () =>
    Effect.gen(function* () {
      const capacity = 4
      const bulkhead = Bulkhead.make({ capacity })
      let running = 0
      let most = 0
      const work = (millis: number) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            most = Math.max(most, ++running)
          }),
          () => Effect.sleep(millis),
          () => Effect.sync(() => running--)
        )
      for (let round = 0; round < 50; round++) {
        const fibers = yield* Effect.replicateEffect(
          Effect.gen(function* () {
            const wait = yield* Random.nextIntBetween(1, 30)
            const millis = yield* Random.nextIntBetween(1, 30)
            return yield* Effect.fork(holding(bulkhead, work(millis), (yield* Random.nextBoolean) ? wait : forever))
          }),
          20
        )
        yield* TestClock.adjust(yield* Random.nextIntBetween(0, 15))
        yield* Effect.forEach(
          yield* Random.shuffle(fibers),
          (fiber) =>
            Effect.zipRight(Fiber.interruptFork(fiber), Effect.whenEffect(Effect.yieldNow(), Random.nextBoolean)),
          { discard: true }
        )
        yield* Effect.forEach(fibers, Fiber.await, { discard: true })
        assert.strictEqual(running, 0)
        assert.strictEqual(yield* freeSlots(bulkhead), capacity)
      }
      assert.strictEqual(most, capacity)
    }).pipe(Effect.withRandom(Random.make("bulkhead")))
  )

  it.effect("takes slots that are free without looking at the clock, the line's end or abort", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make({ capacity: 1, maxQueue: 0 })
      assert.strictEqual(yield* takeWith(bulkhead, { millis: 0, abort: Effect.void }), "taken")
      assert.strictEqual(yield* bulkhead.free, 0)
    })
  )

  it.effect("refuses at once who finds the line full", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make({ capacity: 1, maxQueue: 2 })
      yield* takeWith(bulkhead)
      const waiting = yield* Effect.replicateEffect(Effect.fork(takeWith(bulkhead)), 2)
      yield* settle
      assert.strictEqual(yield* bulkhead.waiting, 2)
      assert.strictEqual(yield* takeWith(bulkhead), "full")
      yield* Effect.forEach(waiting, Fiber.interrupt)
      assert.strictEqual(yield* bulkhead.waiting, 0)
      const next = yield* Effect.fork(takeWith(bulkhead))
      yield* settle
      yield* bulkhead.release()
      assert.strictEqual(yield* Fiber.join(next), "taken")
    })
  )

  it.effect("does not begin to wait where there is no time for it", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make({ capacity: 1 })
      yield* takeWith(bulkhead)
      assert.strictEqual(yield* takeWith(bulkhead, { millis: 0 }), "late")
      assert.strictEqual(yield* takeWith(bulkhead, { millis: -5 }), "late")
    })
  )

  it.effect("ends a wait at its deadline even where nothing can be interrupted", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make({ capacity: 1 })
      yield* takeWith(bulkhead)
      const stopped = yield* Deferred.make<void>()
      const late = yield* Effect.fork(Effect.uninterruptible(takeWith(bulkhead, { millis: 100 })))
      const aborted = yield* Effect.fork(Effect.uninterruptible(takeWith(bulkhead, { abort: Deferred.await(stopped) })))
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(yield* Fiber.join(late), "late")
      yield* Deferred.succeed(stopped, undefined)
      assert.strictEqual(yield* Fiber.join(aborted), "aborted")
      assert.strictEqual(yield* bulkhead.waiting, 0)
    })
  )

  it.effect("goes on when its turn comes even where what might abort it cannot be interrupted", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make({ capacity: 1 })
      yield* takeWith(bulkhead)
      const waiting = yield* Effect.fork(
        Effect.uninterruptible(takeWith(bulkhead, { abort: Effect.never, millis: 100 }))
      )
      yield* settle
      yield* bulkhead.release()
      assert.strictEqual(yield* Fiber.join(waiting), "taken")
    })
  )

  it.effect("keeps the order of arrival among those who wait with a deadline and without", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make({ capacity: 1 })
      const order: Array<number> = []
      yield* takeWith(bulkhead)
      // All arrive in one tick; a wait with a deadline takes fibers, one without takes none.
      const fibers = yield* Effect.forEach([1, 2, 3, 4, 5, 6], (n) =>
        Effect.fork(
          holdingWith(
            bulkhead,
            Effect.sync(() => order.push(n)),
            n % 3 === 0 ? {} : n % 3 === 1 ? { millis: 1000, abort: Effect.never } : { millis: 1000 }
          )
        )
      )
      yield* settle
      yield* bulkhead.release()
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(order, [1, 2, 3, 4, 5, 6])
    })
  )

  describe("with weights", () => {
    it.effect("lets nobody pass a heavy one that waits for enough", () =>
      Effect.gen(function* () {
        const bulkhead = Bulkhead.make({ capacity: 3 })
        yield* Effect.replicateEffect(takeWith(bulkhead), 3)
        const heavy = yield* Effect.fork(takeWith(bulkhead, { weight: 3 }))
        yield* settle
        const light = yield* Effect.fork(takeWith(bulkhead))
        yield* settle
        yield* bulkhead.release()
        yield* bulkhead.release()
        yield* settle
        assert.strictEqual(yield* bulkhead.free, 2)
        assert.strictEqual(yield* bulkhead.waiting, 2)
        yield* bulkhead.release()
        assert.strictEqual(yield* Fiber.join(heavy), "taken")
        assert.strictEqual(yield* bulkhead.waiting, 1)
        yield* bulkhead.release(3)
        assert.strictEqual(yield* Fiber.join(light), "taken")
        assert.strictEqual(yield* bulkhead.free, 2)
      })
    )

    it.effect("serves as many as fit when a heavy one leaves", () =>
      Effect.gen(function* () {
        const bulkhead = Bulkhead.make({ capacity: 4 })
        yield* takeWith(bulkhead, { weight: 4 })
        const line = yield* Effect.forEach([1, 2, 1, 1], (weight) =>
          Effect.zipLeft(Effect.fork(takeWith(bulkhead, { weight })), settle)
        )
        yield* bulkhead.release(4)
        yield* settle
        const states = yield* Effect.forEach(line, (fiber) => Fiber.poll(fiber))
        assert.deepStrictEqual(
          states.map((state) => state._tag),
          ["Some", "Some", "Some", "None"]
        )
        assert.strictEqual(yield* bulkhead.free, 0)
        yield* Fiber.interruptAll(line)
      })
    )

    it.effect("goes on with the next when the heavy one at the head gives up, is late or is aborted", () =>
      Effect.gen(function* () {
        for (const how of ["interrupted", "late", "aborted"] as const) {
          const bulkhead = Bulkhead.make({ capacity: 2 })
          const opened = yield* Deferred.make<void>()
          yield* takeWith(bulkhead)
          const heavy = yield* Effect.fork(
            takeWith(bulkhead, {
              weight: 2,
              ...(how === "late" ? { millis: 10 } : {}),
              ...(how === "aborted" ? { abort: Deferred.await(opened) } : {})
            })
          )
          yield* settle
          const light = yield* Effect.fork(takeWith(bulkhead))
          yield* settle
          assert.strictEqual(yield* bulkhead.waiting, 2)
          if (how === "interrupted") yield* Fiber.interrupt(heavy)
          if (how === "late") yield* TestClock.adjust(10)
          if (how === "aborted") yield* Deferred.succeed(opened, undefined)
          assert.strictEqual(yield* Fiber.join(light), "taken")
          if (how !== "interrupted") assert.strictEqual(yield* Fiber.join(heavy), how)
          assert.strictEqual(yield* bulkhead.free, 0)
        }
      })
    )

    it.effect("takes a weight above the capacity for all there is", () =>
      Effect.gen(function* () {
        const bulkhead = Bulkhead.make({ capacity: 2 })
        assert.strictEqual(yield* takeWith(bulkhead, { weight: 5 }), "taken")
        assert.strictEqual(yield* bulkhead.free, 0)
        yield* bulkhead.release(5)
        assert.strictEqual(yield* bulkhead.free, 2)
      })
    )
  })

  describe("when a wait is aborted", () => {
    it.effect("answers all in line at that moment, and nobody after", () =>
      Effect.gen(function* () {
        const bulkhead = Bulkhead.make({ capacity: 1 })
        const opened = yield* Deferred.make<void>()
        const abort = Deferred.await(opened)
        yield* takeWith(bulkhead)
        const line = yield* Effect.replicateEffect(Effect.fork(takeWith(bulkhead, { abort, millis: 1000 })), 5)
        const other = yield* Effect.fork(takeWith(bulkhead))
        yield* settle
        yield* Deferred.succeed(opened, undefined)
        assert.deepStrictEqual(
          yield* Fiber.join(Fiber.all(line)),
          Array.from(line, () => "aborted" as const)
        )
        assert.strictEqual(yield* bulkhead.waiting, 1)
        yield* bulkhead.release()
        assert.strictEqual(yield* Fiber.join(other), "taken")
      })
    )

    it.effect("loses no slot that is freed in the same tick", () =>
      Effect.gen(function* () {
        for (const freedFirst of [true, false]) {
          const bulkhead = Bulkhead.make({ capacity: 1 })
          const opened = yield* Deferred.make<void>()
          yield* takeWith(bulkhead)
          const aborted = yield* Effect.fork(holdingWith(bulkhead, Effect.void, { abort: Deferred.await(opened) }))
          yield* settle
          const next = yield* Effect.fork(holding(bulkhead, Effect.succeed("served")))
          yield* settle
          const open = Deferred.succeed(opened, undefined)
          yield* freedFirst ? Effect.zipRight(bulkhead.release(), open) : Effect.zipRight(open, bulkhead.release())
          yield* Fiber.join(aborted)
          assert.strictEqual((yield* Fiber.join(next))._tag, "Some")
          assert.strictEqual(yield* freeSlots(bulkhead), 1)
        }
      })
    )

    it.effect("passes on a defect of what should have aborted it, and stands in no line", () =>
      Effect.gen(function* () {
        const bulkhead = Bulkhead.make({ capacity: 1 })
        yield* takeWith(bulkhead)
        const exit = yield* Effect.exit(takeWith(bulkhead, { abort: Effect.die("broken") }))
        assert.isTrue(Exit.isFailure(exit))
        assert.strictEqual(yield* bulkhead.waiting, 0)
      })
    )
  })

  it.effect("keeps capacity and order through random weights, deadlines, aborts and interruptions", () =>
    Effect.gen(function* () {
      const capacity = 5
      const bulkhead = Bulkhead.make({ capacity, maxQueue: 12 })
      let inUse = 0
      let most = 0
      for (let round = 0; round < 60; round++) {
        const opened = yield* Deferred.make<void>()
        const entered: Array<{ readonly n: number; readonly at: number }> = []
        const fibers: Array<Fiber.Fiber<unknown>> = []
        for (let n = 0; n < 20; n++) {
          const weight = yield* Random.nextIntBetween(1, 8)
          const millis = (yield* Random.nextBoolean) ? yield* Random.nextIntBetween(0, 30) : forever
          const abort = (yield* Random.nextBoolean) ? Deferred.await(opened) : undefined
          const lasts = yield* Random.nextIntBetween(1, 30)
          const slots = Math.min(weight, capacity)
          const work = Effect.acquireUseRelease(
            Effect.map(Clock.currentTimeMillis, (at) => {
              entered.push({ n, at })
              inUse += slots
              most = Math.max(most, inUse)
            }),
            () => Effect.sleep(lasts),
            () => Effect.sync(() => (inUse -= slots))
          )
          fibers.push(yield* Effect.fork(holdingWith(bulkhead, work, { weight, millis, abort })))
        }
        yield* TestClock.adjust(yield* Random.nextIntBetween(0, 20))
        if (yield* Random.nextBoolean) yield* Deferred.succeed(opened, undefined)
        yield* TestClock.adjust(yield* Random.nextIntBetween(0, 20))
        yield* Effect.forEach(yield* Random.shuffle(fibers), Fiber.interruptFork, { discard: true })
        yield* Effect.forEach(fibers, Fiber.await, { discard: true })
        // Those granted in the same instant may begin in any order.
        const times = entered.toSorted((a, b) => a.n - b.n).map(({ at }) => at)
        assert.deepStrictEqual(
          times,
          times.toSorted((a, b) => a - b)
        )
        assert.strictEqual(inUse, 0)
        assert.strictEqual(yield* bulkhead.free, capacity)
        assert.strictEqual(yield* bulkhead.waiting, 0)
      }
      assert.strictEqual(most, capacity)
    }).pipe(Effect.withRandom(Random.make("weights")))
  )
})
