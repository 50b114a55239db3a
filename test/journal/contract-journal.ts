/** What a journal has to do over every store. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestServices from "effect/TestServices"
import * as Journal from "../../src/services/Journal.ts"
import { ended, hostileRecords, lineOf, type Store, stops, write } from "./world.ts"

const concurrently = { concurrency: "unbounded" } as const

const journalOver = (store: Store) => Effect.provideService(Journal.make(), Journal.JournalStore, store)

/** `two` makes a store, and a second process with a store in the same place. */
export const underAJournal = (
  test: <E>(what: string, body: Effect.Effect<void, E, Scope.Scope>) => void,
  two: () => Effect.Effect<readonly [Store, Store], never, Scope.Scope>
) => {
  test(
    "under a journal, records of many fibers are there in the order in which they came",
    Effect.gen(function* () {
      const [store, other] = yield* two()
      const journal = yield* journalOver(store)
      const names = Array.from({ length: 300 }, (_, i) => String(i))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const log = yield* journal.open("batch")
          assert.deepStrictEqual(stops(log), [])
          yield* Effect.forEach(names, (name) => log.append(ended(name)), concurrently)
          assert.deepStrictEqual(stops(log), names)
        })
      )
      const log = yield* Effect.flatMap(journalOver(other), ({ open }) => open("batch"))
      assert.isTrue(log.isKnown)
      assert.deepStrictEqual(stops(log), names)
    })
  )

  test(
    "under a journal, whoever opens a log that is open already shares it",
    Effect.gen(function* () {
      const [store] = yield* two()
      const journal = yield* journalOver(store)
      const scope = yield* Scope.make()
      const first = yield* Scope.extend(journal.open("batch"), scope)
      yield* first.append(ended("1"))
      const second = yield* journal.open("batch")
      yield* second.append(ended("2"))
      yield* first.append(ended("3"))
      assert.deepStrictEqual(stops(first), ["1", "2", "3"])
      assert.deepStrictEqual(stops(second), ["1", "2", "3"])
      yield* Scope.close(scope, Exit.void)
      yield* second.append(ended("4"))
      assert.deepStrictEqual(stops(second), ["1", "2", "3", "4"])
    })
  )

  test(
    "under a journal, a record in flight is found by whoever opens the log after it was left",
    Effect.gen(function* () {
      const [store] = yield* two()
      const journal = yield* journalOver(store)
      for (let i = 0; i < 20; i++) {
        const log = `batch ${i}`
        const writing = yield* Effect.fork(
          Effect.scoped(Effect.flatMap(journal.open(log), ({ append }) => append(ended("1"))))
        )
        // At a different moment of the write each time.
        yield* Effect.replicateEffect(Effect.yieldNow(), i)
        yield* Fiber.interrupt(writing)
        const before = yield* Effect.scoped(Effect.map(journal.open(log), (log) => stops(log)))
        yield* TestServices.provideLive(Effect.sleep("5 millis"))
        const after = yield* Effect.scoped(Effect.map(journal.open(log), (log) => stops(log)))
        assert.deepStrictEqual(after, before)
      }
    })
  )

  test(
    "under a journal, only what is whole, of this version, and of this log counts",
    Effect.gen(function* () {
      const [store, other] = yield* two()
      const whole = lineOf("batch", "whole")
      yield* write(
        store,
        "batch",
        whole,
        whole.slice(0, -1),
        whole.slice(1),
        lineOf("batch", "older", 0),
        lineOf("batch", "newer", 2),
        lineOf("neighbour", "foreign"),
        JSON.stringify({ salvo: 1, log: "batch", record: { _tag: "Unheard of" } }),
        JSON.stringify({ salvo: 1, log: "batch", record: { _tag: "Ended", stop: 1 } }),
        "null",
        "\u0000\u0000\u0000",
        "\ufffd\ufffd",
        ...hostileRecords,
        lineOf("batch", "as well")
      )
      const log = yield* Effect.flatMap(journalOver(other), ({ open }) => open("batch"))
      assert.isTrue(log.isKnown)
      assert.deepStrictEqual(stops(log), ["whole", "as well"])
      yield* log.append(ended("after"))
      assert.deepStrictEqual(stops(log), ["whole", "as well", "after"])
    })
  )
}
