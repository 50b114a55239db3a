/** Many logs in a key-value store, and many processes that share it. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import { age, connect, interfering, isHead, isSlot, type Keys } from "./keys.ts"
import { openMap, read, type Store, write } from "./world.ts"

describe("many logs, and many processes", () => {
  it.scoped("keeps about so many keys as it keeps logs, and the logs of late", () =>
    Effect.gen(function* () {
      const { map, store: keys } = openMap()
      const store = yield* connect(keys, { maxLogs: 50 })
      for (let i = 0; i < 200; i++) {
        yield* write(store, `batch ${i}`, String(i))
        yield* TestClock.adjust("1 second")
        if (i % 3 === 0) yield* store.remove(`batch ${i}`)
      }
      // A head, an entry and a chunk each.
      assert.isAtMost(map.size, 3 * 50)
      for (let i = 190; i < 200; i++) {
        assert.deepStrictEqual(yield* read(yield* connect(keys), `batch ${i}`), i % 3 === 0 ? [] : [String(i)])
      }
    })
  )

  it.scoped("lets go of others where the one that was not used for longest is open", () =>
    Effect.gen(function* () {
      const { map, store: keys } = openMap()
      const store = yield* connect(keys, { maxLogs: 3 })
      const { append } = yield* store.open("open")
      for (let i = 0; i < 10; i++) {
        yield* TestClock.adjust("1 second")
        yield* write(store, `other ${i}`, "1")
      }
      yield* append(["1"])
      assert.isAtMost(map.size, 3 * 3)
      assert.deepStrictEqual(yield* read(store, "open"), ["1"])
      assert.deepStrictEqual(yield* read(store, "other 9"), ["1"])
    })
  )

  it.scoped("lets go of all that are too old, sooner or later", () =>
    Effect.gen(function* () {
      const { map, store: keys } = openMap()
      const store = yield* connect(keys, { maxAge: age })
      yield* Effect.forEach(Array.from({ length: 30 }), (_, i) => write(store, `old ${i}`, "1"))
      yield* TestClock.adjust(Duration.times(age, 2))
      for (let i = 0; map.size > 3 * 10; i++) {
        assert.isBelow(i, 1000)
        yield* write(store, "new", "1")
        yield* store.remove("new")
      }
    })
  )

  it.scoped("lets go of logs that are too old about as fast as others come", () =>
    Effect.gen(function* () {
      const { map, store: keys } = openMap()
      const store = yield* connect(keys, { maxAge: age })
      for (let i = 0; i < 200; i++) {
        yield* write(store, `batch ${i}`, "1")
        yield* TestClock.adjust(Duration.times(age, 1 / 40))
        if (i > 100) assert.isAtMost(map.size, 3 * 80)
      }
    }).pipe(Effect.withRandom(Random.make("age")))
  )

  it.scoped("keeps fewer where it is told to", () =>
    Effect.gen(function* () {
      const { map, store: keys } = openMap()
      const store = yield* connect(keys)
      yield* Effect.forEach(Array.from({ length: 60 }), (_, i) =>
        Effect.zipRight(write(store, `batch ${i}`, "1"), TestClock.adjust("1 second"))
      )
      const stricter = yield* connect(keys, { maxLogs: 10 })
      yield* Effect.forEach(Array.from({ length: 60 }), (_, i) => write(stricter, `later ${i}`, "1"))
      assert.isAtMost(map.size, 3 * 10)
      assert.deepStrictEqual(yield* read(stricter, "later 59"), ["1"])
    })
  )

  it.scoped("keeps a log that another process writes to, and tells one whose log is gone", () =>
    Effect.gen(function* () {
      const { store: keys } = openMap()
      const [one, other] = [yield* connect(keys, { maxAge: age }), yield* connect(keys, { maxAge: age })]
      const busy = yield* one.open("busy")
      const idle = yield* one.open("idle")
      yield* idle.append(["1"])
      for (let i = 0; i < 10; i++) {
        yield* busy.append([String(i)])
        yield* TestClock.adjust(Duration.times(age, 0.3))
        yield* write(other, `other ${i}`, "1")
      }
      assert.lengthOf(yield* read(other, "busy"), 10)
      assert.deepStrictEqual(yield* read(other, "idle"), [])
      assert.include((yield* Effect.flip(idle.append(["2"]))).message, "removed")
      assert.deepStrictEqual(yield* read(other, "idle"), [])
    })
  )

  /** What is written to a slot while `isRacing` is another's by the time it can be read. */
  const racing = (map: Map<string, string>, keys: Keys) => {
    const state = { isRacing: true }
    const entered = JSON.stringify({ id: "another", token: "1", at: 0 })
    return {
      state,
      keys: interfering(keys, (key, _, change) => {
        if (!state.isRacing || !isSlot(key)) return change
        state.isRacing = false
        return Effect.tap(change, () => void map.set(key, entered))
      })
    }
  }

  it.scoped("enters a log again where another process took its place in the same instant", () =>
    Effect.gen(function* () {
      const { map, store: keys } = openMap()
      yield* write(yield* connect(racing(map, keys).keys), "batch", "1")
      assert.deepStrictEqual(yield* read(yield* connect(keys), "batch"), ["1"])
      // What is entered is found once it is too old.
      yield* TestClock.adjust(Duration.times(age, 2))
      yield* read(yield* connect(keys, { maxAge: age }), "sweep")
      assert.lengthOf([...map.keys()], 2)
    })
  )

  it.scoped("does so also where it was alone for long, once another was seen", () =>
    Effect.gen(function* () {
      const { map, store: memory } = openMap()
      const { keys, state } = racing(map, memory)
      state.isRacing = false
      const store = yield* connect(keys)
      yield* Effect.forEach(Array.from({ length: 40 }), (_, i) => write(store, `batch ${i}`, "1"))
      yield* write(yield* connect(memory), "of another", "1")
      state.isRacing = true
      yield* write(store, "last", "1")
      const heads = [...map.keys()].filter(isHead).map((key) => key.slice(-64))
      const entries = [...map].filter(([key]) => isSlot(key)).map(([, text]) => text)
      assert.lengthOf(heads, 42)
      for (const id of heads) assert.isTrue(entries.some((entry) => entry.includes(id)))
    })
  )

  it.scoped("asks little of the store for a log that is begun", () =>
    Effect.gen(function* () {
      const { store: memory } = openMap()
      let asked = 0
      const count = <A, E>(effect: Effect.Effect<A, E>) => Effect.tap(effect, () => void asked++)
      const store = yield* connect({
        ...memory,
        get: (key) => count(memory.get(key)),
        has: (key) => count(memory.has(key)),
        set: (key, text) => count(memory.set(key, text)),
        remove: (key) => count(memory.remove(key))
      })
      const logs = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `batch ${from + i}`)
      yield* Effect.forEach(logs(0, 100), (log) => write(store, log, "1"))
      asked = 0
      yield* Effect.forEach(logs(100, 200), (log) => write(store, log, "1"))
      // Whether it is there, whether its slot is free; the slot, the log, its record. Now and then what may go.
      assert.isAtMost(asked / 100, 5.5)
    })
  )

  it.scoped("loses no log of late where processes begin and remove logs at the same time", () =>
    Effect.gen(function* () {
      const { map, store: memory } = openMap()
      /** Other fibers go on in the middle of every step. */
      const slow = <A, E>(effect: Effect.Effect<A, E>) =>
        Effect.flatMap(Random.nextIntBetween(0, 4), (n) =>
          Effect.zipRight(Effect.replicateEffect(Effect.yieldNow(), n), effect)
        )
      const keys: Keys = {
        ...memory,
        get: (key) => slow(memory.get(key)),
        has: (key) => slow(memory.has(key)),
        set: (key, text) => slow(memory.set(key, text)),
        remove: (key) => slow(memory.remove(key))
      }
      const stores = yield* Effect.replicateEffect(connect(keys, { maxLogs: 40 }), 4)
      const kept = yield* Effect.forEach(
        stores,
        (store: Store, process) =>
          Effect.gen(function* () {
            const mine: Array<string> = []
            for (let i = 0; i < 60; i++) {
              const log = `process ${process}, batch ${i}`
              yield* write(store, log, log)
              // Later than whatever the others do at this moment.
              yield* TestClock.adjust("1 second")
              if (i % 4 === 3) yield* store.remove(log)
              else mine.push(log)
            }
            return mine.slice(-1)
          }),
        { concurrency: "unbounded" }
      )
      const reader = yield* connect(memory)
      for (const log of kept.flat()) assert.deepStrictEqual(yield* read(reader, log), [log])
      // Those that were begun in the same instant may have left a few behind.
      assert.isAtMost(map.size, 3 * 60)
    }).pipe(Effect.withRandom(Random.make("processes")))
  )
})
