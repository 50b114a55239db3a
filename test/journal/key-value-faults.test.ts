/** What the journal makes of a key-value store that fails, hangs, or holds something else. */
import { assert, describe, it } from "@effect/vitest"
import * as PlatformError from "@effect/platform/Error"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as TestServices from "effect/TestServices"
import { age, connect, interfering, isChunk, isHead, type Keys, silence } from "./keys.ts"
import { openMap, read, write } from "./world.ts"

describe("a store whose writes go wrong", () => {
  const failure = new PlatformError.SystemError({
    reason: "Unknown",
    module: "KeyValueStore",
    method: "set",
    description: "no space left"
  })

  it.scoped("finds all that was acknowledged after dozens of writes that failed", () =>
    Effect.gen(function* () {
      const { store: keys } = openMap()
      let isFull = false
      const full = interfering(keys, (_, __, change) => (isFull ? Effect.fail(failure) : change))
      const store = yield* connect(full)
      const { append } = yield* store.open("batch")
      yield* append(["1"])
      isFull = true
      for (let i = 0; i < 50; i++) {
        const error = yield* Effect.flip(append([`lost ${i}`]))
        assert.include(error.message, "no space left")
      }
      isFull = false
      yield* append(["2"])
      assert.deepStrictEqual(yield* read(yield* connect(keys), "batch"), ["1", "2"])
    })
  )

  it.scoped("says so where a log cannot be begun, and begins it later", () =>
    Effect.gen(function* () {
      const { store: keys } = openMap()
      let isFull = true
      const full = interfering(keys, (_, __, change) => (isFull ? Effect.fail(failure) : change))
      const store = yield* connect(full)
      assert.include((yield* Effect.flip(read(store, "batch"))).message, "no space left")
      isFull = false
      yield* write(store, "batch", "1")
      assert.deepStrictEqual(yield* read(yield* connect(keys), "batch"), ["1"])
    })
  )

  it.scoped("reads a log where it cannot be written to", () =>
    Effect.gen(function* () {
      const { store: keys } = openMap()
      yield* write(yield* connect(keys), "batch", "1")
      const full = interfering(keys, () => Effect.fail(failure))
      assert.deepStrictEqual(yield* read(yield* connect(full), "batch"), ["1"])
    })
  )

  /** Holds writes of chunks back until they are let go. */
  const holding = (keys: Keys) => {
    const held: Array<Deferred.Deferred<void>> = []
    const state = { isHolding: false, held }
    return {
      state,
      keys: interfering(keys, (key, _, change) =>
        Effect.gen(function* () {
          if (state.isHolding && isChunk(key)) {
            const gate = yield* Deferred.make<void>()
            held.push(gate)
            yield* Deferred.await(gate)
          }
          yield* change
        })
      )
    }
  }

  /** In real time: names are digested outside the clock of the test. */
  const until = (isSo: () => boolean) =>
    Effect.sleep("1 milli").pipe(Effect.repeat({ until: isSo }), TestServices.provideLive)

  const within = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.timeoutOption(effect, "10 millis")

  const waited = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      const waiting = yield* Effect.fork(within(effect))
      yield* TestClock.adjust("10 millis")
      return yield* Fiber.join(waiting)
    })

  it.scoped("goes on past a write that hangs, and keeps the order when it arrives late", () =>
    Effect.gen(function* () {
      const { store: memory } = openMap()
      const { keys, state } = holding(memory)
      const store = yield* connect(keys)
      const { append } = yield* store.open("batch")
      yield* append(["1"])
      state.isHolding = true
      assert.strictEqual((yield* waited(append(["2"])))._tag, "None")
      state.isHolding = false
      yield* append(["3"])
      assert.deepStrictEqual(yield* read(yield* connect(memory), "batch"), ["1", "3"])
      for (const gate of state.held) yield* Deferred.succeed(gate, undefined)
      yield* append(["4"])
      assert.deepStrictEqual(yield* read(yield* connect(memory), "batch"), ["1", "2", "3", "4"])
    })
  )

  it.scoped("writes nothing over a write that may still arrive, whatever fails meanwhile", () =>
    Effect.gen(function* () {
      const { store: memory } = openMap()
      const { keys, state } = holding(memory)
      let isFull = false
      const store = yield* connect(
        interfering(keys, (key, _, change) => (isFull && isChunk(key) ? Effect.fail(failure) : change))
      )
      const { append } = yield* store.open("batch")
      yield* append(["1"])
      state.isHolding = true
      assert.strictEqual((yield* waited(append(["2"])))._tag, "None")
      state.isHolding = false
      isFull = true
      yield* Effect.flip(append(["lost"]))
      isFull = false
      yield* append(["3"])
      for (const gate of state.held) yield* Deferred.succeed(gate, undefined)
      yield* append(["4"])
      assert.deepStrictEqual(yield* read(yield* connect(memory), "batch"), ["1", "2", "3", "4"])
    })
  )

  it.scoped("takes no more than a reader would look past while writes hang, and goes on when they have ended", () =>
    Effect.gen(function* () {
      const { store: memory } = openMap()
      const { keys, state } = holding(memory)
      const store = yield* connect(keys)
      const scope = yield* Scope.make()
      const { append } = yield* Scope.extend(store.open("batch"), scope)
      yield* append(["first"])
      state.isHolding = true
      for (let i = 0; i < 16; i++) assert.strictEqual((yield* waited(append([`hung ${i}`])))._tag, "None")
      assert.include((yield* Effect.flip(append(["refused"]))).message, "16 writes in a row have not ended")
      // One that is opened again meanwhile does not write over what may still arrive.
      yield* Scope.close(scope, Exit.void)
      state.isHolding = false
      const again = yield* store.open("batch")
      yield* Effect.flip(again.append(["refused"]))
      for (const gate of state.held) yield* Deferred.succeed(gate, undefined)
      yield* Effect.yieldNow()
      yield* again.append(["last"])
      const hung = Array.from({ length: 16 }, (_, i) => `hung ${i}`)
      assert.deepStrictEqual(yield* read(yield* connect(memory), "batch"), ["first", ...hung, "last"])
    })
  )

  it.scoped("begins a log again where the answer to its beginning was lost, whenever that takes effect", () =>
    Effect.gen(function* () {
      const { store: memory } = openMap()
      const late: Array<Effect.Effect<void, PlatformError.PlatformError>> = []
      let isLosing = true
      const keys = interfering(memory, (key, _, change) => {
        if (!isLosing || !isHead(key)) return change
        late.push(change)
        return silence
      })
      const store = yield* connect(keys)
      const reading = yield* Effect.fork(read(store, "batch"))
      yield* until(() => late.length === 1)
      yield* Fiber.interrupt(reading)
      isLosing = false
      yield* write(store, "batch", "1")
      yield* Effect.all(late)
      assert.deepStrictEqual(yield* read(yield* connect(memory), "batch"), ["1"])
    })
  )

  it.scoped("removes what was still being written when its log was removed", () =>
    Effect.gen(function* () {
      const { map, store: memory } = openMap()
      const { keys, state } = holding(memory)
      const store = yield* connect(keys)
      const { append } = yield* store.open("batch")
      state.isHolding = true
      const writing = yield* Effect.fork(append(["1"]))
      yield* until(() => state.held.length === 1)
      yield* store.remove("batch")
      state.isHolding = false
      for (const gate of state.held) yield* Deferred.succeed(gate, undefined)
      yield* Fiber.await(writing)
      assert.deepStrictEqual([...map.keys()], [])
    })
  )

  it.scoped("waits with a log until its removal has ended", () =>
    Effect.gen(function* () {
      const { store: memory } = openMap()
      const gate = yield* Deferred.make<void>()
      let isRemoving = false
      const keys = interfering(memory, (_, text, change) => {
        if (text !== undefined) return change
        isRemoving = true
        return Effect.zipRight(Deferred.await(gate), change)
      })
      const store = yield* connect(keys)
      yield* write(store, "batch", "1")
      const removing = yield* Effect.fork(store.remove("batch"))
      yield* until(() => isRemoving)
      // Nobody waits for it any more, and still it goes on.
      yield* Fiber.interrupt(removing)
      const writing = yield* Effect.fork(write(store, "batch", "2"))
      yield* TestServices.provideLive(Effect.sleep("20 millis"))
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(writing)
      assert.deepStrictEqual(yield* read(yield* connect(memory), "batch"), ["2"])
    })
  )
})

describe("what is found in place of a log", () => {
  const headOf = (map: Map<string, string>) => [...map.keys()].find(isHead) ?? ""

  it.scoped("begins anew where it was only just being begun", () =>
    Effect.gen(function* () {
      const { map, store: keys } = openMap()
      yield* read(yield* connect(keys), "batch")
      const key = headOf(map)
      const whole = map.get(key) ?? ""
      for (let length = 0; length < whole.length; length++) {
        map.set(key, whole.slice(0, length))
        const store = yield* connect(keys)
        assert.deepStrictEqual(yield* read(store, "batch"), [])
        yield* write(store, "batch", "1")
        assert.deepStrictEqual(yield* read(yield* connect(keys), "batch"), ["1"])
      }
    })
  )

  it.scoped("does not know what it does not understand, until it is removed", () =>
    Effect.gen(function* () {
      const { map, store: keys } = openMap()
      const store = yield* connect(keys)
      for (const foreign of ["garbage", "{}", "\u0000\u0000", '{"salvo":2,"token":"1","at":0,"slot":0}']) {
        yield* write(store, "batch", "1")
        map.set(headOf(map), foreign)
        assert.include((yield* Effect.flip(read(store, "batch"))).message, "no log of this version")
        assert.strictEqual(map.get(headOf(map)), foreign)
        yield* store.remove("batch")
        assert.deepStrictEqual(yield* read(store, "batch"), [])
      }
    })
  )

  it.scoped("still finds a log where the note of its last use is torn", () =>
    Effect.gen(function* () {
      const { map, store: keys } = openMap()
      const retention = { maxAge: age }
      yield* write(yield* connect(keys, retention), "batch", "1")
      yield* TestClock.adjust(Duration.times(age, 0.9))
      yield* read(yield* connect(keys, retention), "batch")
      const key = [...map.keys()].find((key) => key.endsWith(".used")) ?? ""
      const whole = map.get(key) ?? ""
      assert.isNotEmpty(whole)
      yield* TestClock.adjust(Duration.times(age, 0.9))
      for (let length = 0; length < whole.length; length++) {
        map.set(key, whole.slice(0, length))
        // Neither who opens it, nor who looks for what may go.
        yield* TestClock.adjust("1 second")
        yield* read(yield* connect(keys, { ...retention, maxLogs: 2 }), `other ${length}`)
        map.set(key, whole.slice(0, length))
        assert.deepStrictEqual(yield* read(yield* connect(keys, retention), "batch"), ["1"])
      }
    })
  )

  it.scoped("takes what is whole of chunks that are garbage, torn or gone", () =>
    Effect.gen(function* () {
      const { map, store: keys } = openMap()
      const store = yield* connect(keys)
      const records = Array.from({ length: 40 }, (_, i) => `record ${i}`)
      yield* write(store, "batch", ...records)
      const chunk = (n: number) => [...map.keys()].find((key) => isChunk(key) && key.endsWith(`.${n}`)) ?? ""
      map.set(chunk(0), "\ufffd\u0000\n\n\n")
      map.set(chunk(39), "rec")
      for (let n = 10; n < 25; n++) map.delete(chunk(n))
      assert.deepStrictEqual(yield* read(yield* connect(keys), "batch"), [
        "\ufffd\u0000",
        ...records.slice(1, 10),
        ...records.slice(25, 39),
        "rec"
      ])
    })
  )
})
