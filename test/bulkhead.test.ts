import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/TestClock"
import * as Bulkhead from "../src/policies/Bulkhead.ts"

const forever = Number.POSITIVE_INFINITY

const take = (bulkhead: Bulkhead.Bulkhead, millis = forever) =>
  Effect.uninterruptibleMask((restore) => bulkhead.take(restore, millis))

/** Holds a slot while `work` runs. */
const holding = <A>(bulkhead: Bulkhead.Bulkhead, work: Effect.Effect<A>, millis = forever) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(bulkhead.take(restore, millis), (taken) =>
      taken ? Effect.ensuring(Effect.asSome(restore(work)), bulkhead.release) : Effect.succeedNone
    )
  )

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
    yield* Effect.replicateEffect(bulkhead.release, free)
    return free
  })

/** Lets every fiber run until it waits. */
const settle = Effect.replicateEffect(Effect.yieldNow(), 10)

describe("a bulkhead", () => {
  it.effect("lets so many in, and no more", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make(3)
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
      const bulkhead = Bulkhead.make(1)
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
      yield* bulkhead.release
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(order, [1, 2, 3, 4, 5])
    })
  )

  it.effect("gives a freed slot to the first in line, never to a newcomer", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make(1)
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
      yield* Effect.zipRight(bulkhead.release, enter("newcomer"))
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(order, ["waiting", "newcomer"])
    })
  )

  it.effect("forgets who stops waiting: the next in line is served", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make(1)
      yield* take(bulkhead)
      const gone = yield* Effect.fork(take(bulkhead))
      const next = yield* Effect.zipRight(settle, Effect.fork(take(bulkhead)))
      yield* settle
      const exit = yield* Fiber.interrupt(gone)
      assert.isTrue(Exit.isInterrupted(exit))
      yield* bulkhead.release
      assert.isTrue(yield* Fiber.join(next))
      yield* bulkhead.release
      assert.strictEqual(yield* freeSlots(bulkhead), 1)
    })
  )

  it.effect("hands a slot on when its new owner is interrupted in the tick it is granted", () =>
    Effect.gen(function* () {
      for (const grantFirst of [true, false]) {
        const bulkhead = Bulkhead.make(1)
        yield* take(bulkhead)
        const gone = yield* Effect.fork(holding(bulkhead, Effect.never))
        yield* settle
        const next = yield* Effect.fork(holding(bulkhead, Effect.succeed("served")))
        yield* settle
        const leave = Fiber.interruptFork(gone)
        yield* grantFirst ? Effect.zipRight(bulkhead.release, leave) : Effect.zipRight(leave, bulkhead.release)
        assert.deepStrictEqual((yield* Fiber.join(next))._tag, "Some")
        assert.strictEqual(yield* freeSlots(bulkhead), 1)
      }
    })
  )

  it.effect("turns away who has waited long enough, and nothing of them stays", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make(1)
      yield* take(bulkhead)
      const late = yield* Effect.fork(take(bulkhead, 100))
      const patient = yield* Effect.zipRight(settle, Effect.fork(take(bulkhead)))
      yield* TestClock.adjust("99 millis")
      assert.strictEqual((yield* Fiber.poll(late))._tag, "None")
      yield* TestClock.adjust("1 millis")
      assert.isFalse(yield* Fiber.join(late))
      yield* bulkhead.release
      assert.isTrue(yield* Fiber.join(patient))
      yield* bulkhead.release
      assert.strictEqual(yield* freeSlots(bulkhead), 1)
    })
  )

  it.effect("a slot freed in the tick a wait ends goes to one of the two, and is not lost", () =>
    Effect.gen(function* () {
      const bulkhead = Bulkhead.make(1)
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
      const bulkhead = Bulkhead.make(capacity)
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
})
