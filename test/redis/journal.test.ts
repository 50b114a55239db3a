/** The journal in a real Redis. */
import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as TestServices from "effect/TestServices"
import { Cluster } from "ioredis"
import * as RedisJournal from "../../src/redis/Journal.ts"
import * as Redis from "../../src/redis/Redis.ts"
import * as Journal from "../../src/services/Journal.ts"
import { contract } from "../journal/contract.ts"
import { built, ended, lineOf, read, stops, write } from "../journal/world.ts"
import { eventually, shared, took } from "./connect.ts"
import { describeRedis, server, type Server } from "./server.ts"

const silent = <A, E, R>(effect: Effect.Effect<A, E, R>) => Logger.withMinimumLogLevel(effect, LogLevel.None)

describeRedis("the journal in Redis", () => {
  const redis = shared()
  let places = 0

  const store = ({ url }: Server, options: RedisJournal.StoreOptions = {}, client: Redis.Options = {}) =>
    built(
      Layer.provide(
        RedisJournal.layerStore({ timeout: "10 seconds", ...options }),
        Redis.layer({ url, commandTimeout: 10_000, ...client })
      )
    )

  const journal = ({ url }: Server, options: Parameters<typeof RedisJournal.layer>[0] = {}) =>
    Effect.map(
      Layer.build(Layer.provide(RedisJournal.layer(options), Redis.layer({ url }))),
      Context.get(Journal.Journal)
    )

  contract({
    name: "Redis",
    place: Effect.sync(() => {
      const prefix = `contract ${++places}:`
      return (retention) => store(redis.server, retention, { prefix })
    }),
    advance: (time) => TestServices.provideLive(Effect.sleep(time)),
    age: 3000,
    keepsOpen: false,
    operations: 300
  })

  it.scopedLive("leaves no key that stays for ever, and none outside its slot of a cluster", () =>
    Effect.gen(function* () {
      const prefix = "expiry:"
      const one = yield* store(redis.server, { maxAge: "1 minute", maxLogs: 3 }, { prefix })
      for (let i = 0; i < 10; i++) yield* write(one, `batch ${i} {x}`, "1")
      const keys = yield* redis.server.use(async (client) => {
        const names = await client.keys(`${prefix}*`)
        return Promise.all(names.map(async (name) => ({ name, left: await client.pttl(name) })))
      })
      // Three logs, and the order in which they were used.
      assert.lengthOf(keys, 4)
      for (const { left, name } of keys) {
        assert.isAbove(left, 0, name)
        assert.isAtMost(left, 60_000, name)
        assert.match(name, /^expiry:\{journal\}:[^{}]*$/)
      }
    })
  )

  it.scopedLive("works with a prefix that ioredis puts before all keys, and lets go of logs there, too", () =>
    Effect.gen(function* () {
      const one = yield* store(redis.server, { maxLogs: 2 }, { keyPrefix: "theirs:" })
      for (const log of ["a", "b", "c"]) yield* write(one, log, log)
      assert.deepStrictEqual(yield* read(one, "b"), ["b"])
      const keys = yield* redis.server.use((client) => client.keys("theirs:*"))
      assert.lengthOf(keys, 3)
      assert.deepStrictEqual(yield* read(one, "a"), [])
    })
  )

  it.scopedLive("works in a cluster", () =>
    Effect.gen(function* () {
      const node = yield* server({ args: ["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1"] })
      yield* node.use(async (client) => {
        const slots = Array.from({ length: 16_384 }, (_, slot) => slot)
        await client.cluster("ADDSLOTS", ...slots)
        while (!(await client.cluster("INFO")).includes("cluster_state:ok")) await client.ping()
      })
      const cluster = yield* Effect.acquireRelease(
        Effect.sync(() => new Cluster([{ host: "127.0.0.1", port: node.port }])),
        (cluster) => Effect.sync(() => cluster.disconnect())
      )
      yield* Effect.promise(() => new Promise((resolve) => cluster.once("ready", resolve)))
      const one = yield* built(
        Layer.provide(RedisJournal.layerStore({ maxLogs: 2, timeout: "10 seconds" }), Redis.layerClient(cluster))
      )
      for (const log of ["a", "{b}", "c"]) yield* write(one, log, log)
      assert.deepStrictEqual(yield* read(one, "{b}"), ["{b}"])
      assert.deepStrictEqual(yield* read(one, "c"), ["c"])
      assert.deepStrictEqual(yield* read(one, "a"), [])
    })
  )

  it.scopedLive("does not know what is no log, and says so", () =>
    Effect.gen(function* () {
      yield* redis.server.use((client) => client.set("salvo:{journal}:log:foreign", "a text"))
      const { open } = yield* journal(redis.server)
      const log = yield* open("foreign")
      assert.isFalse(log.isKnown)
      assert.include((yield* Effect.flip(log.append(ended("1")))).reason, "WRONGTYPE")
    }).pipe(silent)
  )

  it.scopedLive("trusts nothing that others have pushed onto a log", () =>
    Effect.gen(function* () {
      const { open } = yield* journal(redis.server)
      yield* Effect.scoped(Effect.flatMap(open("pushed"), (log) => log.append(ended("1"))))
      yield* redis.server.use((client) =>
        client.rpush("salvo:{journal}:log:pushed", "garbage", lineOf("another", "2"), lineOf("pushed", "3", 2))
      )
      const log = yield* open("pushed")
      yield* log.append(ended("4"))
      assert.deepStrictEqual(stops(log), ["1", "4"])
    }).pipe(silent)
  )

  it.scopedLive("waits no longer than its timeout for a server that hangs, and goes on when it answers again", () =>
    Effect.gen(function* () {
      const { open } = yield* journal(redis.server, { timeout: "200 millis" })
      const log = yield* open("hanging")
      yield* log.append(ended("1"))
      yield* redis.server.pause
      const { millis } = yield* took(Effect.flip(log.append(ended("2"))))
      assert.isAtLeast(millis, 190)
      assert.isBelow(millis, 2000)
      const writing = yield* Effect.fork(log.append(ended("3")))
      yield* Effect.sleep("20 millis")
      assert.isBelow((yield* took(Fiber.interrupt(writing))).millis, 150)
      assert.isFalse((yield* open("another")).isKnown)
      yield* redis.server.resume
      yield* eventually(Effect.exit(log.append(ended("4"))), Exit.isSuccess)
      const again = yield* Effect.flatMap(journal(redis.server), ({ open }) => open("hanging"))
      // What hung has come in the meantime, in its order.
      assert.deepStrictEqual(stops(again), ["1", "2", "3", "4"])
    }).pipe(Effect.ensuring(redis.server.resume), silent)
  )

  it.scopedLive("keeps what it acknowledged when the server is killed, where that writes everything down at once", () =>
    Effect.gen(function* () {
      const mine = yield* server({ args: ["--appendonly", "yes", "--appendfsync", "always"] })
      const { open } = yield* journal(mine)
      const log = yield* open("batch")
      const acknowledged: Array<string> = []
      const writing = yield* Effect.fork(
        Effect.forever(
          Effect.suspend(() => {
            const stop = String(acknowledged.length)
            return Effect.map(log.append(ended(stop)), () => acknowledged.push(stop))
          })
        )
      )
      yield* eventually(
        Effect.sync(() => acknowledged.length),
        (count) => count > 100
      )
      yield* mine.kill
      assert.isTrue(Exit.isFailure(yield* Fiber.await(writing)))
      assert.isFalse((yield* open("another")).isKnown)
      yield* mine.restart
      const next = yield* Effect.flatMap(journal(mine), ({ open }) => open("batch"))
      const found = stops(next)
      assert.deepStrictEqual(found.slice(0, acknowledged.length), acknowledged)
      assert.isAtMost(found.length, acknowledged.length + 1)
      yield* eventually(Effect.exit(log.append(ended("after"))), Exit.isSuccess)
    }).pipe(silent)
  )
})
