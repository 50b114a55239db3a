/** The journal in files, as they are after a crash. */
import { assert, describe, it } from "@effect/vitest"
import * as NodeKeyValueStore from "@effect/platform-node/NodeKeyValueStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Journal from "../../src/services/Journal.ts"
import { built, ended, read, stops, write } from "./world.ts"

const temporary = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "salvo-journal-"))),
  (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
)

const filesOf = (folder: string) => Layer.orDie(NodeKeyValueStore.layerFileSystem(folder))

const connect = (folder: string) => built(Layer.provide(Journal.layerStoreKeyValueStore(), filesOf(folder)))

/** A process of its own, for the time of the effect. */
const process = <A, E>(folder: string, effect: Effect.Effect<A, E, Journal.Journal>) =>
  Effect.provide(effect, Layer.fresh(Layer.provide(Journal.layerKeyValueStore(), filesOf(folder)))).pipe(
    // It warns of each record that is torn.
    Logger.withMinimumLogLevel(LogLevel.Error)
  )

const opened = (folder: string) =>
  process(
    folder,
    Effect.scoped(
      Effect.flatMap(Journal.Journal, ({ open }) =>
        Effect.map(open("batch"), (log) => ({ isKnown: log.isKnown, stops: stops(log) }))
      )
    )
  )

const append = (folder: string, ...stops: ReadonlyArray<string>) =>
  process(
    folder,
    Effect.scoped(
      Effect.flatMap(Journal.Journal, ({ open }) =>
        Effect.flatMap(open("batch"), (log) =>
          Effect.forEach(stops, (stop) => log.append(ended(stop)), { concurrency: "unbounded", discard: true })
        )
      )
    )
  )

const chunks = (folder: string) =>
  Effect.map(
    Effect.promise(() => readdir(folder)),
    (names) =>
      names
        .flatMap((name) => {
          const n = /^salvo%2Fjournal%2F[0-9a-f]{64}\.\w+\.(\d+)$/.exec(name)?.[1]
          return n === undefined ? [] : [{ n: Number(n), path: join(folder, name) }]
        })
        .toSorted((a, b) => a.n - b.n)
        .map(({ path }) => path)
  )

describe("the journal in files", () => {
  it.scopedLive("reads what is whole where the last write is torn, at whatever byte", () =>
    Effect.gen(function* () {
      const folder = yield* temporary
      yield* append(folder, "first")
      yield* append(folder, "second: ü, 😀", "third")
      const last = (yield* chunks(folder)).at(-1) ?? ""
      const whole = yield* Effect.promise(() => readFile(last))
      const ends = [...whole.entries()].filter(([, byte]) => byte === 10).map(([at]) => at)
      assert.lengthOf(ends, 2)
      for (let length = whole.length; length >= 0; length--) {
        yield* Effect.promise(() => truncate(last, length))
        const found = yield* opened(folder)
        assert.isTrue(found.isKnown)
        // A line counts without its end, too: it is whole.
        const lines = ends.filter((end) => length >= end).length
        assert.deepStrictEqual(found.stops, ["first", "second: ü, 😀", "third"].slice(0, 1 + lines), `at ${length}`)
      }
    })
  )

  it.scopedLive("goes on behind a write that is torn", () =>
    Effect.gen(function* () {
      const folder = yield* temporary
      yield* append(folder, "first")
      yield* append(folder, "second")
      const last = (yield* chunks(folder)).at(-1) ?? ""
      yield* Effect.promise(() => truncate(last, 20))
      yield* append(folder, "third")
      assert.deepStrictEqual((yield* opened(folder)).stops, ["first", "third"])
    })
  )

  it.scopedLive("trusts no garbage in place of a write", () =>
    Effect.gen(function* () {
      const folder = yield* temporary
      yield* append(folder, "first")
      yield* append(folder, "second")
      yield* append(folder, "third")
      const second = (yield* chunks(folder)).at(1) ?? ""
      const whole = yield* Effect.promise(() => readFile(second))
      const garbage = [
        Buffer.alloc(whole.length),
        Buffer.from(whole.map((byte) => byte ^ 0xff)),
        Buffer.from(whole.toReversed()),
        Buffer.concat([whole.subarray(0, 30), Buffer.alloc(8), whole.subarray(38)])
      ]
      for (const bytes of garbage) {
        yield* Effect.promise(() => writeFile(second, bytes))
        assert.deepStrictEqual((yield* opened(folder)).stops, ["first", "third"])
      }
    })
  )

  it.scopedLive("has names for its files that every file system takes", () =>
    Effect.gen(function* () {
      const folder = yield* temporary
      const store = yield* connect(folder)
      for (const log of ["", "../x", "A", "a", "CON", "x".repeat(10_000), "😀", "a:b*c?"])
        yield* write(store, log, "1", "2")
      for (const log of ["A", "a"]) yield* read(store, log)
      for (const name of yield* Effect.promise(() => readdir(folder))) assert.match(name, /^[\w%.]{1,150}$/)
    })
  )

  it.scopedLive("does not know what it may not read, and says so", () =>
    Effect.gen(function* () {
      const folder = yield* temporary
      yield* append(folder, "first")
      const [chunk = ""] = yield* chunks(folder)
      yield* Effect.promise(() => rm(chunk))
      // A folder in place of the file: reading it fails, for every user.
      yield* Effect.promise(() => mkdir(chunk))
      assert.deepStrictEqual(yield* opened(folder), { isKnown: false, stops: [] })
    })
  )
})
