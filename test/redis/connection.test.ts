import { assert, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { Cluster, Redis as Client } from "ioredis"
import * as RedisCircuitBreaker from "../../src/redis/CircuitBreaker.ts"
import * as Redis from "../../src/redis/Redis.ts"
import * as Store from "../../src/redis/internal/store.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import { admit, call, failure, process, rejection, success } from "../breaker/contract.ts"
import { connect, eventually, shared } from "./connect.ts"
import { clientClock } from "./options.ts"
import { describeRedis, server } from "./server.ts"

const policy = { trip: { consecutive: 2 }, openFor: "1 minute" } as const

const trip = (breaker: CircuitBreaker.Breaker) => Effect.replicateEffect(call(breaker, failure), 2)

it("an option that is wrong is named where the layer is made", () => {
  const wrong = (options: RedisCircuitBreaker.Options) => {
    try {
      RedisCircuitBreaker.layer(options)
    } catch (error) {
      return String(error)
    }
    return assert.fail("was accepted")
  }
  assert.include(wrong({ quorum: 0 }), "options.quorum is the number 0; it takes a whole number of 1 or more")
  assert.include(wrong({ storeTimeout: "-1 seconds" }), "options.storeTimeout")
  assert.include(wrong({ backOff: { from: 0, to: 1 } }), "options.backOff.from")
  RedisCircuitBreaker.layer({ maxStaleness: 0, flush: 0, idleTimeToLive: Number.POSITIVE_INFINITY })
})

describeRedis("a connection to Redis", () => {
  const redis = shared()

  it.scopedLive("takes its URL from the configuration", () =>
    Effect.gen(function* () {
      const layer = RedisCircuitBreaker.layerConfig()
      const at = (entries: ReadonlyArray<readonly [string, string]>) =>
        Effect.exit(Effect.withConfigProvider(Layer.build(layer), ConfigProvider.fromMap(new Map(entries))))
      assert(Exit.isFailure(yield* at([])))
      const there = yield* at([["REDIS_URL", redis.server.url]])
      assert(Exit.isSuccess(there))
      const breaker = yield* Context.get(there.value, CircuitBreaker.CircuitBreaker).get("config", policy)
      yield* trip(breaker)
      const other = yield* connect(redis.server)
      assert.strictEqual((yield* rejection(yield* other.get("config", policy))).mode, "Open")
    })
  )

  it.scopedLive("takes a secret URL and options over it, and keeps prefixes apart", () =>
    Effect.gen(function* () {
      const make = (prefix: string) => Redis.make({ url: Redacted.make(redis.server.url), prefix, db: 5 })
      const [one, other] = [yield* make("one:"), yield* make("other:")]
      const breakers = yield* Effect.forEach([one, other], (service) =>
        Effect.map(
          Layer.build(
            Layer.provide(RedisCircuitBreaker.layer({ storeTimeout: "2 seconds" }), Layer.succeed(Redis.Redis, service))
          ),
          Context.get(CircuitBreaker.CircuitBreaker)
        )
      )
      const [first, second] = yield* Effect.forEach(breakers, (each) => each.get("prefix", policy))
      yield* trip(first!)
      assert.strictEqual((yield* rejection(first!)).mode, "Open")
      assert(Either.isRight(yield* admit(second!)))
      const keys = yield* redis.server.use((client) => client.multi().select(5).keys("*").exec())
      assert.sameMembers(keys?.[1]?.[1] as Array<string>, ["one:{breaker:prefix}", "other:{breaker:prefix}"])
    })
  )

  it.scopedLive("a client of the user's own is used and left open", () =>
    Effect.gen(function* () {
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => new Client(redis.server.port, "127.0.0.1", { lazyConnect: true, keyPrefix: "theirs:" })),
        (client) => Effect.sync(() => client.disconnect())
      )
      const layer = Layer.provide(RedisCircuitBreaker.layer({ storeTimeout: "1 second" }), Redis.layerClient(client))
      const scope = yield* Scope.make()
      const breakers = yield* Effect.map(Layer.buildWithScope(layer, scope), Context.get(CircuitBreaker.CircuitBreaker))
      const breaker = yield* breakers.get("own client", policy)
      yield* trip(breaker)
      assert.strictEqual((yield* rejection(breaker)).mode, "Open")
      yield* Scope.close(scope, Exit.void)
      const keys = yield* Effect.promise(() => client.keys("theirs:salvo:*"))
      assert.strictEqual(keys.length, 1)
      assert.strictEqual(client.status, "ready")
    })
  )

  it.scopedLive("a cluster keeps all keys of a breaker on one node, whatever its name", () =>
    Effect.gen(function* () {
      const node = yield* server({ args: ["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1"] })
      yield* node.use(async (client) => {
        const slots = Array.from({ length: 16384 }, (_, slot) => slot)
        await client.cluster("ADDSLOTS", ...slots)
        while (!(await client.cluster("INFO")).includes("cluster_state:ok")) await client.ping()
      })
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => new Cluster([{ host: "127.0.0.1", port: node.port }])),
        (client) => Effect.sync(() => client.disconnect())
      )
      yield* Effect.promise(() => new Promise<void>((resolve) => client.once("ready", () => resolve())))
      const options = { maxStaleness: 0, storeTimeout: "2 seconds" } as const
      for (const prefix of ["salvo:", "{}:", "{a}b:"]) {
        const layer = Layer.provide(RedisCircuitBreaker.layer(options), Redis.layerClient(client, { prefix }))
        const breakers = yield* Effect.map(Layer.build(layer), Context.get(CircuitBreaker.CircuitBreaker))
        for (const name of ["", "{}", "plain", "}{", "a{b}", "🦊"]) {
          const breaker = yield* breakers.get(name, { ...policy, openFor: "1 millis" })
          yield* trip(breaker)
          const probe = yield* eventually(admit(breaker), Either.isRight)
          if (Either.isRight(probe)) yield* breaker.record(probe.right, success)
          assert.strictEqual((yield* breaker.state).openings, 0, name)
          yield* Effect.scoped(breaker.isolate)
        }
      }
      const keys = yield* node.use((client) => client.dbsize())
      assert.isAtLeast(keys, 18)
    })
  )

  it.scoped(
    "a clock of the server that is set back an hour keeps no circuit open for longer than it was opened for",
    () =>
      Effect.gen(function* () {
        const hour = 3_600_000
        const own = yield* Redis.make({ url: redis.server.url, prefix: "set back:" })
        const [one, other] = yield* Effect.replicateEffect(Effect.flatMap(Store.make(own, clientClock), process), 2)
        yield* TestClock.adjust(2 * hour)
        const [first, second] = yield* Effect.forEach([one!, other!], (breakers) => breakers.get("clock", policy))
        yield* trip(first!)
        yield* TestClock.adjust(20_000)
        assert.deepStrictEqual(yield* rejection(second!), { mode: "Open", retryAfter: 40_000 })
        yield* TestClock.setTime(hour)
        const third = yield* Effect.flatMap(Store.make(own, clientClock), process).pipe(
          Effect.flatMap((breakers) => breakers.get("clock", policy))
        )
        const { mode, retryAfter } = yield* rejection(third)
        assert(mode === "Open" && retryAfter !== undefined && retryAfter <= 60_000, `${retryAfter}`)
        yield* TestClock.adjust("1 minute")
        yield* call(third, success)
        assert.strictEqual((yield* third.state).mode, "Closed")
      })
  )
})
