/** What every store of the journal has to do. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import type * as Journal from "../../src/services/Journal.ts"
import { underAJournal } from "./contract-journal.ts"
import { hostileRecords, read, type Store, write } from "./world.ts"

export interface Options {
  readonly name: string
  /** A place for logs that nobody else has, and the processes that share it. */
  readonly place: Effect.Effect<
    (retention?: Journal.Retention) => Effect.Effect<Store, never, Scope.Scope>,
    never,
    Scope.Scope
  >
  /** Lets time pass on the store's clock. */
  readonly advance: (time: Duration.DurationInput) => Effect.Effect<void>
  /** In milliseconds; long enough for a test to act in a tenth of it. */
  readonly age: number
  /** Whether a log that is open stays, however long nobody used it. */
  readonly keepsOpen: boolean
  /** How many operations the comparison with a model makes. */
  readonly operations: number
}

const hostileNames = [
  "",
  " ",
  ".",
  "..",
  "../../etc/passwd",
  "a/b",
  "a%2Fb",
  "a",
  "A",
  "con",
  "order",
  "log:a",
  "slot.0",
  "{a}",
  "a\u0000b",
  "a\nb",
  "😀",
  "\ud83d",
  "\ud83e",
  "\ufffd",
  "%22%5Cud83d%22",
  '"\\ud83d"',
  "e\u0301",
  "\u00e9",
  "__proto__",
  `${"x".repeat(5000)}1`,
  `${"x".repeat(5000)}2`
]

const concurrently = { concurrency: "unbounded" } as const

export const contract = ({ advance, age, keepsOpen, name, operations, place }: Options) => {
  const test = <E>(what: string, body: Effect.Effect<void, E, Scope.Scope>, timeout?: number) =>
    it.scoped(what, () => body, timeout)

  /** A store, and a second process with a store in the same place. */
  const two = (retention?: Journal.Retention) =>
    Effect.flatMap(place, (connect) => Effect.all([connect(retention), connect(retention)]))

  describe(`the journal's store: ${name}`, () => {
    test(
      "begins empty, and keeps all records in order, for this process and the next",
      Effect.gen(function* () {
        const [store, other] = yield* two()
        assert.deepStrictEqual(yield* read(store, "batch"), [])
        yield* write(store, "batch", "1", "2")
        assert.deepStrictEqual(yield* read(store, "batch"), ["1", "2"])
        assert.deepStrictEqual(yield* read(other, "batch"), ["1", "2"])
        yield* write(other, "batch", "3")
        yield* write(store, "batch", "4")
        assert.deepStrictEqual(yield* read(other, "batch"), ["1", "2", "3", "4"])
      })
    )

    test(
      "keeps what is appended together in its order, however much it is",
      Effect.gen(function* () {
        const [store, other] = yield* two()
        const many = Array.from({ length: 10_000 }, (_, i) => `record ${i}`)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const { append } = yield* store.open("batch")
            yield* append(["first"])
            yield* append([])
            yield* append(many)
            yield* append(["last"])
          })
        )
        assert.deepStrictEqual(yield* read(other, "batch"), ["first", ...many, "last"])
      })
    )

    test(
      "finds a log of hundreds of writes",
      Effect.gen(function* () {
        const [store, other] = yield* two()
        const many = Array.from({ length: 300 }, (_, i) => `record ${i}`)
        yield* write(store, "batch", ...many)
        assert.deepStrictEqual(yield* read(other, "batch"), many)
      })
    )

    test(
      "has many logs open at the same time, and mixes none",
      Effect.gen(function* () {
        const [store, other] = yield* two()
        const logs = Array.from({ length: 40 }, (_, i) => `batch ${i}`)
        yield* Effect.forEach(logs, (log) => write(store, log, `1 of ${log}`, `2 of ${log}`), concurrently)
        const found = yield* Effect.forEach(logs, (log) => read(other, log), concurrently)
        assert.deepStrictEqual(
          found,
          logs.map((log) => [`1 of ${log}`, `2 of ${log}`])
        )
      })
    )

    test(
      "takes any text for a name, and never one for another",
      Effect.gen(function* () {
        const [store, other] = yield* two()
        yield* Effect.forEach(hostileNames, (log, i) => write(store, log, String(i)))
        assert.deepStrictEqual(
          yield* Effect.forEach(hostileNames, (log) => read(other, log)),
          hostileNames.map((_, i) => [String(i)])
        )
        yield* Effect.forEach(hostileNames.slice(1), (log) => other.remove(log))
        assert.deepStrictEqual(
          yield* Effect.forEach(hostileNames, (log) => read(store, log)),
          hostileNames.map((_, i) => (i === 0 ? ["0"] : []))
        )
      })
    )

    test(
      "gives back every record to the last character",
      Effect.gen(function* () {
        const [store, other] = yield* two()
        yield* write(store, "one by one", ...hostileRecords)
        yield* Effect.scoped(Effect.flatMap(store.open("at once"), ({ append }) => append(hostileRecords)))
        for (const log of ["one by one", "at once"]) {
          const found = yield* read(other, log)
          assert.lengthOf(found, hostileRecords.length)
          // None of a million characters in the message.
          for (const [i, record] of hostileRecords.entries()) assert.isTrue(found[i] === record, `${log}, ${i}`)
        }
      })
    )

    test(
      "forgets a log that is removed, and begins it anew",
      Effect.gen(function* () {
        const [store, other] = yield* two()
        yield* write(store, "batch", "1", "2")
        yield* write(store, "neighbour", "1")
        yield* other.remove("batch")
        assert.deepStrictEqual(yield* read(store, "batch"), [])
        yield* write(store, "batch", "3")
        assert.deepStrictEqual(yield* read(other, "batch"), ["3"])
        yield* store.remove("batch")
        yield* store.remove("batch")
        yield* store.remove("never there")
        assert.deepStrictEqual(yield* read(other, "batch"), [])
        assert.deepStrictEqual(yield* read(other, "neighbour"), ["1"])
      })
    )

    test(
      "writes no more to a log that was removed while it was open",
      Effect.gen(function* () {
        const [store] = yield* two()
        const { append } = yield* store.open("batch")
        yield* append(["1"])
        yield* store.remove("batch")
        const error = yield* Effect.flip(append(["2"]))
        assert.strictEqual(error._tag, "JournalError")
        assert.include(error.message, "removed")
        assert.deepStrictEqual(yield* read(store, "batch"), [])
        yield* write(store, "batch", "3")
        yield* Effect.flip(append(["4"]))
        assert.deepStrictEqual(yield* read(store, "batch"), ["3"])
      })
    )

    test(
      "keeps so many logs, and lets go of those that were not used for longest",
      Effect.gen(function* () {
        const [store, other] = yield* two({ maxLogs: 3 })
        const pause = advance(2)
        for (const log of ["a", "b", "c"]) yield* Effect.zipRight(write(store, log, log), pause)
        yield* Effect.zipRight(read(store, "a"), pause)
        yield* Effect.zipRight(write(store, "d", "d"), pause)
        // `b` last: to look whether it is there begins it anew.
        for (const log of ["c", "d", "a"]) {
          assert.deepStrictEqual(yield* read(other, log), [log], log)
          yield* pause
        }
        assert.deepStrictEqual(yield* read(other, "b"), [])
      })
    )

    test(
      "keeps a log for so long after it was last opened or written to",
      Effect.gen(function* () {
        const [store, other] = yield* two({ maxAge: age })
        yield* write(store, "old", "1")
        yield* write(store, "opened", "1")
        const scope = yield* Scope.make()
        const { append } = yield* Scope.extend(store.open("written to"), scope)
        yield* append(["1"])
        yield* advance(0.7 * age)
        yield* read(store, "opened")
        yield* append(["2"])
        yield* Scope.close(scope, Exit.void)
        yield* advance(0.7 * age)
        assert.deepStrictEqual(yield* read(other, "written to"), ["1", "2"])
        assert.deepStrictEqual(yield* read(other, "opened"), ["1"])
        assert.deepStrictEqual(yield* read(other, "old"), [])
      })
    )

    test(
      "keeps everything where there is no limit",
      Effect.gen(function* () {
        const [store, other] = yield* two({ maxAge: Duration.infinity, maxLogs: Number.POSITIVE_INFINITY })
        const logs = Array.from({ length: 20 }, (_, i) => `batch ${i}`)
        yield* Effect.forEach(logs, (log) => write(store, log, log))
        yield* advance(age)
        assert.deepStrictEqual(
          yield* Effect.forEach(logs, (log) => read(other, log)),
          logs.map((log) => [log])
        )
      })
    )

    if (keepsOpen) {
      test(
        "never lets go of a log that is open",
        Effect.gen(function* () {
          const [store] = yield* two({ maxLogs: 2, maxAge: age })
          const { append } = yield* store.open("open")
          yield* append(["1"])
          for (let i = 0; i < 10; i++) {
            yield* write(store, `other ${i}`, "1")
            yield* advance(0.3 * age)
          }
          yield* append(["2"])
          assert.deepStrictEqual(yield* read(store, "open"), ["1", "2"])
          assert.deepStrictEqual(yield* read(store, "other 0"), [])
        })
      )
    }

    underAJournal(test, two)

    test(
      `does the same as a list for each log, whatever is done in whatever order (${operations} times)`,
      Effect.gen(function* () {
        const stores = yield* two()
        const model = new Map<string, Array<string>>()
        const logs = ["a", "b", "c"]
        const pick = <A>(choices: ReadonlyArray<A>): Effect.Effect<A> =>
          Effect.map(Random.nextIntBetween(0, choices.length), (i) =>
            Option.getOrThrow(Option.fromNullable(choices[i]))
          )
        for (let i = 0; i < operations; i++) {
          const [store, log] = [yield* pick(stores), yield* pick(logs)]
          const records = Array.from({ length: yield* Random.nextIntBetween(0, 4) }, (_, n) => `${i}.${n}`)
          switch (yield* pick(["write", "write", "write at once", "read", "remove"])) {
            case "write":
              yield* write(store, log, ...records)
              model.set(log, [...(model.get(log) ?? []), ...records])
              break
            case "write at once":
              yield* Effect.scoped(Effect.flatMap(store.open(log), ({ append }) => append(records)))
              model.set(log, [...(model.get(log) ?? []), ...records])
              break
            case "read":
              assert.deepStrictEqual(yield* read(store, log), model.get(log) ?? [])
              break
            case "remove":
              yield* store.remove(log)
              model.delete(log)
          }
        }
        for (const log of logs) {
          for (const store of stores) assert.deepStrictEqual(yield* read(store, log), model.get(log) ?? [])
        }
      }).pipe(Effect.withRandom(Random.make(name)))
    )
  })
}
