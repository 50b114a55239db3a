/** A journal over stores that go wrong, and the kit that makes them. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Journal from "../../src/services/Journal.ts"
import * as FaultyJournal from "../../src/testing/FaultyJournal.ts"
import { ended, read, type Store, stops, write } from "./world.ts"

/** A journal over a faulty store, and the sound one below it. */
const over = (plan: FaultyJournal.Plan, options?: Journal.Options) =>
  Effect.map(
    Layer.build(
      Layer.provide(Journal.layer(options), FaultyJournal.layer(plan)).pipe(
        Layer.provideMerge(Journal.layerStoreMemory())
      )
    ),
    (context): { readonly journal: Journal.Journal["Type"]; readonly store: Store } => ({
      journal: Context.get(context, Journal.Journal),
      store: Context.get(context, Journal.JournalStore)
    })
  )

const faulty = (plan: FaultyJournal.Plan) =>
  Effect.map(
    Layer.build(FaultyJournal.layer(plan).pipe(Layer.provide(Journal.layerStoreMemory()))),
    Context.get(Journal.JournalStore)
  )

const failures = Metric.value(
  Metric.counter("salvo_journal_failures_total", {
    description: "Reads and writes of the journal that failed",
    incremental: true
  })
)

/** The error of an effect that is given so much time. */
const errorWithin = <A>(time: "2 seconds", effect: Effect.Effect<A, Journal.JournalError>) =>
  Effect.gen(function* () {
    const running = yield* Effect.fork(Effect.flip(effect))
    yield* TestClock.adjust(time)
    return (yield* Fiber.join(running)).reason
  })

describe("a journal over a store that goes wrong", () => {
  it.scoped("tells who writes, counts it, and goes on with the next record", () =>
    Effect.gen(function* () {
      const before = yield* failures
      const { journal, store } = yield* over(({ index, method }) =>
        method === "append" && index === 1 ? "fail" : undefined
      )
      const log = yield* journal.open("batch")
      yield* log.append(ended("1"))
      const error = yield* Effect.flip(log.append(ended("2")))
      assert.deepStrictEqual([error._tag, error.log], ["JournalError", "batch"])
      yield* log.append(ended("3"))
      assert.deepStrictEqual(stops(log), ["1", "3"])
      assert.lengthOf(yield* read(store, "batch"), 2)
      assert.strictEqual((yield* failures).count, before.count + 1)
    })
  )

  it.scoped("fails all that were to be written together, and none of those after them", () =>
    Effect.gen(function* () {
      const { journal } = yield* over(({ index, method }) =>
        method !== "append" ? undefined : index === 0 ? { delay: "10 millis" } : index === 1 ? "fail" : undefined
      )
      const log = yield* journal.open("batch")
      const first = yield* Effect.fork(log.append(ended("1")))
      yield* TestClock.adjust("5 millis")
      const together = yield* Effect.fork(
        Effect.forEach(["2", "3"], (stop) => Effect.exit(log.append(ended(stop))), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("5 millis")
      yield* Fiber.join(first)
      assert.deepStrictEqual((yield* Fiber.join(together)).map(Exit.isSuccess), [false, false])
      yield* log.append(ended("4"))
      assert.deepStrictEqual(stops(log), ["1", "4"])
    })
  )

  for (const fault of ["hang", "deaf"] as const) {
    it.scoped(`waits no longer than its timeout for a store that does not answer (${fault})`, () =>
      Effect.gen(function* () {
        const state = { isDown: false }
        const { journal } = yield* over(() => (state.isDown ? fault : undefined), { timeout: "2 seconds" })
        const log = yield* journal.open("batch")
        state.isDown = true
        assert.include(yield* errorWithin("2 seconds", log.append(ended("1"))), "writing took longer than 2s")
        assert.include(yield* errorWithin("2 seconds", journal.remove("batch")), "removing took longer than 2s")
        const opening = yield* Effect.fork(journal.open("other"))
        yield* TestClock.adjust("2 seconds")
        assert.isFalse((yield* Fiber.join(opening)).isKnown)
        state.isDown = false
        yield* log.append(ended("2"))
        assert.deepStrictEqual(stops(log), ["2"])
      })
    )
  }

  it.scoped("takes a store that dies for one that fails", () =>
    Effect.gen(function* () {
      const state = { isBroken: true }
      const { journal } = yield* over(() => (state.isBroken ? "die" : undefined))
      const log = yield* journal.open("batch")
      assert.isFalse(log.isKnown)
      assert.include((yield* Effect.flip(log.append(ended("1")))).reason, "opening died")
      assert.include((yield* Effect.flip(journal.remove("batch"))).reason, "removing died")
      state.isBroken = false
      yield* log.append(ended("2"))
      assert.deepStrictEqual(stops(log), ["2"])
    })
  )

  it.scoped("takes a store that throws, or that interrupts, for one that fails", () =>
    Effect.gen(function* () {
      const throwing: Store = {
        open: () => {
          throw new Error("no store")
        },
        remove: () => Effect.interrupt
      }
      const journal = yield* Effect.provideService(Journal.make(), Journal.JournalStore, throwing)
      const log = yield* journal.open("batch")
      assert.isFalse(log.isKnown)
      assert.include((yield* Effect.flip(log.append(ended("1")))).reason, "no store")
      assert.strictEqual((yield* Effect.flip(journal.remove("batch")))._tag, "JournalError")
    })
  )

  it.scoped("does not know what it could not read, and continues it all the same once it can", () =>
    Effect.gen(function* () {
      const { journal, store } = yield* over(({ index, method }) =>
        method === "open" && index === 1 ? "fail" : undefined
      )
      yield* Effect.scoped(Effect.flatMap(journal.open("batch"), (log) => log.append(ended("1"))))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const log = yield* journal.open("batch")
          assert.isFalse(log.isKnown)
          yield* log.append(ended("2"))
        })
      )
      const log = yield* journal.open("batch")
      assert.isTrue(log.isKnown)
      assert.deepStrictEqual(stops(log), ["1", "2"])
      assert.lengthOf(yield* read(store, "batch"), 2)
    })
  )

  it.scoped("trusts no record that is torn", () =>
    Effect.gen(function* () {
      const { journal } = yield* over(({ index, method }) => (method === "append" && index === 1 ? "tear" : undefined))
      const write = (...stops: ReadonlyArray<string>) =>
        Effect.scoped(
          Effect.flatMap(journal.open("batch"), (log) =>
            Effect.forEach(stops, (stop) => Effect.exit(log.append(ended(stop))))
          )
        )
      yield* write("1", "torn", "2")
      const log = yield* journal.open("batch")
      assert.deepStrictEqual(stops(log), ["1", "2"])
    })
  )

  it.scoped("lets those who wait for a log have it where the first who asked gives up", () =>
    Effect.gen(function* () {
      const { journal } = yield* over(({ method }) => (method === "open" ? { delay: "100 millis" } : undefined))
      const first = yield* Effect.fork(journal.open("batch"))
      const second = yield* Effect.fork(journal.open("batch"))
      yield* TestClock.adjust("50 millis")
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("50 millis")
      const log = yield* Fiber.join(second)
      yield* log.append(ended("1"))
      assert.deepStrictEqual(stops(log), ["1"])
    })
  )

  it.scoped("does not hold up who gives up on a log that opens slowly", () =>
    Effect.gen(function* () {
      const { journal } = yield* over(({ method }) => (method === "open" ? { delay: "100 millis" } : undefined))
      const opening = yield* Effect.fork(Effect.scoped(journal.open("batch")))
      yield* TestClock.adjust("50 millis")
      yield* Fiber.interrupt(opening)
      const again = yield* Effect.fork(journal.open("batch"))
      yield* TestClock.adjust("200 millis")
      assert.isTrue((yield* Fiber.join(again)).isKnown)
    })
  )

  it.scoped("lets go of a log only when what was being written is there, and then all of it is found", () =>
    Effect.gen(function* () {
      const { journal } = yield* over(({ method }) => (method === "append" ? { delay: "100 millis" } : undefined))
      const scope = yield* Scope.make()
      const log = yield* Scope.extend(journal.open("batch"), scope)
      const writing = yield* Effect.fork(log.append(ended("1")))
      yield* TestClock.adjust("50 millis")
      yield* Fiber.interrupt(writing)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      const opening = yield* Effect.fork(journal.open("batch"))
      yield* TestClock.adjust("10 millis")
      assert.strictEqual((yield* Fiber.poll(closing))._tag, "None")
      assert.strictEqual((yield* Fiber.poll(opening))._tag, "None")
      yield* TestClock.adjust("40 millis")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(stops(yield* Fiber.join(opening)), ["1"])
    })
  )

  it.scopedLive("leaves no timer behind, which would keep the process alive", () =>
    Effect.gen(function* () {
      const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length
      const { journal } = yield* over(() => undefined)
      yield* Effect.sleep("10 millis")
      const before = timers()
      yield* Effect.scoped(Effect.flatMap(journal.open("batch"), (log) => log.append(ended("1"))))
      yield* journal.remove("batch")
      yield* Effect.sleep("10 millis")
      assert.isAtMost(timers(), before)
    })
  )

  it("refuses options that cannot be right", () => {
    assert.throws(() => Journal.layer({ timeout: 0 }), /timeout is the number 0; it takes a duration above zero/)
    assert.throws(() => Journal.layer({ whenFailing: "stop" as never }), /whenFailing is the string "stop"/)
    assert.throws(
      () => Journal.layerMemory({ maxLogs: 0 }),
      /maxLogs is the number 0; it takes a whole number of 1 or more/
    )
    assert.throws(() => Journal.layerMemory({ maxLogs: 1.5 }), /maxLogs/)
    assert.throws(() => Journal.layerStoreMemory({ maxAge: "-1 day" as never }), /maxAge is the string "-1 day"/)
    assert.throws(() => Journal.layerKeyValueStore({ maxAge: 0 }), /maxAge is the number 0/)
    assert.throws(() => Journal.layerStoreKeyValueStore({ maxLogs: Number.NaN }), /maxLogs/)
    assert.throws(
      () => Journal.layerStoreMemory({ logs: 1 } as never),
      /retention.logs is the number 1; it takes no such field/
    )
  })
})

describe("a faulty journal", () => {
  const outcome = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.map(Effect.exit(effect), (exit) => (exit._tag === "Success" ? "done" : exit.cause._tag))

  it.scoped("does to each operation what the plan says, and to the rest nothing", () =>
    Effect.gen(function* () {
      const faults: ReadonlyArray<FaultyJournal.Fault | undefined> = ["fail", "lose", "tear", "die", undefined]
      const seen: Array<FaultyJournal.Operation> = []
      const store = yield* faulty((operation) => {
        seen.push(operation)
        return operation.method === "append" ? faults[operation.index] : undefined
      })
      const { append } = yield* store.open("batch")
      const outcomes = yield* Effect.forEach(faults, (_, i) => outcome(append([`${i} first`, `${i} last`])))
      assert.deepStrictEqual(outcomes, ["Fail", "Fail", "Fail", "Die", "done"])
      assert.deepStrictEqual(yield* read(store, "batch"), ["1 first", "1 last", "2 first", "2 l", "4 first", "4 last"])
      assert.deepInclude(seen[1], { method: "append", index: 0, log: "batch", records: ["0 first", "0 last"] })
      yield* store.remove("batch")
      assert.deepInclude(seen.at(-1), { method: "remove", index: 0, log: "batch" })
    })
  )

  it.scoped("tears what is read, too", () =>
    Effect.gen(function* () {
      const store = yield* faulty(({ index, method }) => (method === "open" && index === 1 ? "tear" : undefined))
      yield* write(store, "batch", "first", "last")
      assert.deepStrictEqual(yield* read(store, "batch"), ["first", "la"])
      assert.deepStrictEqual(yield* read(store, "batch"), ["first", "last"])
    })
  )

  it.scoped("delays on the clock", () =>
    Effect.gen(function* () {
      const store = yield* faulty(({ method }) => (method === "open" ? { delay: "1 minute" } : undefined))
      const opening = yield* Effect.fork(read(store, "batch"))
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual((yield* Fiber.poll(opening))._tag, "None")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(opening), [])
    })
  )

  it.scoped("goes wrong by chance as often as it is told to, and again the same with the same seed", () =>
    Effect.gen(function* () {
      const run = (seed: string) =>
        Effect.gen(function* () {
          const store = yield* faulty(
            FaultyJournal.randomly([
              ["fail", 0.2],
              ["die", 0.1]
            ])
          )
          return yield* Effect.replicateEffect(outcome(store.remove("batch")), 500)
        }).pipe(Effect.withRandom(Random.make(seed)))
      const outcomes = yield* run("seed")
      const count = (what: string) => outcomes.filter((one) => one === what).length
      assert.closeTo(count("Fail"), 100, 30)
      assert.closeTo(count("Die"), 50, 25)
      assert.deepStrictEqual(yield* run("seed"), outcomes)
      assert.notDeepEqual(yield* run("another"), outcomes)
    })
  )
})
