/** What happens to the calls when something happens to Redis: each test has a server of its own to break. */
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Redis from "../../src/redis/Redis.ts"
import type { CircuitBreakerPolicy } from "../../src/policies/CircuitBreaker.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import { admit, admitted, call, failure, listen, rejection, success } from "../breaker/contract.ts"
import { connect, dropped, eventually, took } from "./connect.ts"
import { describeRedis, type Server, server } from "./server.ts"

const policy: CircuitBreakerPolicy = { trip: { consecutive: 2 }, openFor: "400 millis", lease: "400 millis" }
const long: CircuitBreakerPolicy = { ...policy, openFor: "1 minute" }

/** Asks for every call, so that every call meets the fault. */
const options = { maxStaleness: 0, backOff: { from: "20 millis", to: "50 millis" } } as const

/** For a busy machine; much less than what a call would take that waits for Redis after all. */
const slack = 500

const modeOf = (breaker: CircuitBreaker.Breaker) => Effect.map(breaker.state, (state) => state.mode)

const trip = (breaker: CircuitBreaker.Breaker) => Effect.replicateEffect(call(breaker, failure), 2)

/** Until the time is up that the process itself knows of: from then on it asks. */
const untilAsking = (breaker: CircuitBreaker.Breaker) =>
  Effect.zipRight(
    eventually(modeOf(breaker), (mode) => mode === "HalfOpen"),
    eventually(Effect.either(breaker.check), Either.isRight)
  )

/** Calls until Redis is asked again: then there is something in it. */
const rejoined = (breaker: CircuitBreaker.Breaker, redis: Server) =>
  eventually(
    Effect.zipRight(
      call(breaker, success),
      redis.use((client) => client.dbsize())
    ),
    (size) => size > 0
  )

describeRedis("when Redis fails", () => {
  it.scopedLive(
    "F12 F14 killed: the calls go on, each process protects itself, and an open circuit is found again once",
    () =>
      Effect.gen(function* () {
        const redis = yield* server()
        const [a, b] = yield* Effect.replicateEffect(connect(redis, options), 2)
        const [one, other] = yield* Effect.forEach([a!, b!], (breakers) => breakers.get("killed", policy))
        const heard = yield* listen(a!)
        yield* call(one!, success)
        yield* redis.kill
        const { millis } = yield* took(Effect.replicateEffect(call(one!, success), 100))
        assert.isBelow(millis, 50 + slack, "a hundred calls")
        yield* trip(one!)
        assert.strictEqual((yield* rejection(one!)).mode, "Open")
        yield* call(other!, success)
        yield* redis.restart
        // Its own open circuit is honoured although the shared one is closed: the store is empty.
        assert.strictEqual((yield* rejection(one!)).mode, "Open")
        yield* eventually(Effect.map(admit(one!), Either.isRight), (isRight) => isRight)
        yield* eventually(modeOf(one!), (mode) => mode === "HalfOpen" || mode === "Closed")
        const opened = yield* heard
        assert.deepStrictEqual(opened.filter((text) => text.startsWith("Closed -> Open")).length, 1)
      })
  )

  it.scopedLive("F14 an open circuit that others found is adopted when Redis is back, and told of once", () =>
    Effect.gen(function* () {
      const redis = yield* server()
      const [a, b] = [
        yield* connect(redis, { ...options, storeTimeout: "200 millis" }),
        yield* connect(redis, { ...options, storeTimeout: "5 seconds", redis: { commandTimeout: 10_000 } })
      ]
      const [one, other] = yield* Effect.forEach([a, b], (breakers) => breakers.get("back", long))
      const heard = yield* listen(a)
      yield* call(one!, success)
      const permits = yield* Effect.replicateEffect(admitted(other!), 2)
      yield* redis.pause
      yield* call(one!, success)
      yield* Effect.forEach(permits, (permit) => other!.record(permit, failure))
      yield* redis.resume
      const isOpen = eventually(Effect.map(admit(one!), Either.isLeft), (isLeft) => isLeft)
      yield* isOpen
      yield* Effect.replicateEffect(rejection(one!), 10)
      assert.deepStrictEqual(yield* heard, ["Closed -> Open: consecutive"])
      const { retryAfter } = yield* rejection(one!)
      assert(retryAfter !== undefined && retryAfter > 55_000)
    })
  )

  it.scopedLive(
    "F13 stopped for two seconds: a call takes its own time and the store's at most, and the circuit trips here",
    () =>
      Effect.gen(function* () {
        const redis = yield* server()
        const breakers = yield* connect(redis, { ...options, storeTimeout: "50 millis" })
        const breaker = yield* breakers.get("stopped", { ...policy, openFor: "100 millis" })
        yield* call(breaker, success)
        yield* redis.pause
        const fiber = yield* Effect.fork(Effect.zipRight(Effect.sleep("2 seconds"), redis.resume))
        const times: Array<number> = []
        for (let i = 0; i < 20; i++) {
          const run = Effect.sleep("20 millis").pipe(
            CircuitBreaker.execute({ key: "stopped" }),
            Effect.provideService(CircuitBreaker.CircuitBreaker, breakers)
          )
          times.push((yield* took(Effect.either(run))).millis)
        }
        assert.isBelow(Math.max(...times), 20 + 50 + slack)
        yield* trip(breaker)
        assert.strictEqual((yield* rejection(breaker)).mode, "Open")
        yield* eventually(modeOf(breaker), (mode) => mode === "HalfOpen")
        yield* call(breaker, success)
        assert.strictEqual(yield* modeOf(breaker), "Closed")
        assert.strictEqual(yield* Effect.map(Fiber.poll(fiber), (exit) => exit._tag), "None", "it was over too soon")
        yield* Fiber.join(fiber)
        yield* eventually(Effect.zipRight(call(breaker, success), dropped("stopped")), () => true)
        assert.strictEqual(yield* modeOf(breaker), "Closed")
      })
  )

  it.scopedLive("stopped: one call finds out, the others go on without asking", () =>
    Effect.gen(function* () {
      const redis = yield* server()
      const backOff = { from: "10 seconds", to: "10 seconds" } as const
      const breakers = yield* connect(redis, { ...options, backOff, storeTimeout: "100 millis" })
      const [one, other] = [yield* breakers.get("one", policy), yield* breakers.get("other", policy)]
      yield* call(one, success)
      yield* redis.pause
      yield* Effect.addFinalizer(() => redis.resume)
      const { millis } = yield* took(
        Effect.replicateEffect(Effect.zipRight(call(one, success), call(other, success)), 25)
      )
      assert.isBelow(millis, 100 + slack)
      assert.isBelow((yield* took(one.state)).millis, 100)
    })
  )

  it.scopedLive("killed: what was counted before counts on", () =>
    Effect.gen(function* () {
      const redis = yield* server()
      const breaker = yield* Effect.flatMap(connect(redis, options), (breakers) => breakers.get("counts", long))
      yield* call(breaker, failure)
      yield* breaker.state
      yield* redis.kill
      yield* call(breaker, failure)
      assert.strictEqual((yield* rejection(breaker)).mode, "Open")
    })
  )

  it.scopedLive("killed: a circuit that was open stays so for the rest of its time", () =>
    Effect.gen(function* () {
      const redis = yield* server()
      const [a, b] = yield* Effect.replicateEffect(connect(redis, options), 2)
      const [one, other] = yield* Effect.forEach([a!, b!], (breakers) => breakers.get("stays", long))
      yield* trip(one!)
      yield* rejection(one!)
      yield* rejection(other!)
      yield* redis.kill
      for (const breaker of [one!, other!]) {
        const { mode, retryAfter } = yield* rejection(breaker)
        assert(mode === "Open" && retryAfter !== undefined && retryAfter > 50_000)
        assert.strictEqual(yield* modeOf(breaker), "Open")
      }
    })
  )

  it.scopedLive("stopped: an interruption is obeyed at once, also of a call that waits for Redis", () =>
    Effect.gen(function* () {
      const redis = yield* server()
      const breakers = yield* connect(redis, {
        ...options,
        storeTimeout: "10 seconds",
        redis: { commandTimeout: 20_000 }
      })
      const breaker = yield* breakers.get("prompt", policy)
      const permit = yield* admitted(breaker)
      yield* redis.pause
      yield* Effect.addFinalizer(() => redis.resume)
      const recorded = yield* took(breaker.record(permit, failure))
      assert.isBelow(recorded.millis, slack, "record")
      for (const waiting of [admit(breaker), breaker.state, breaker.reset, Effect.scoped(breaker.isolate)]) {
        const fiber = yield* Effect.fork(waiting)
        yield* Effect.sleep("20 millis")
        assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None", "it did not wait for Redis")
        const { millis } = yield* took(Fiber.interrupt(fiber))
        assert.isBelow(millis, slack, "interruption")
      }
      const { millis } = yield* took(Effect.timeoutOption(Effect.uninterruptible(breaker.check), "1 second"))
      assert.isBelow(millis, slack, "check")
    })
  )

  it.scopedLive("the probe's slot of a call that gave up while Redis was stopped is given back", () =>
    Effect.gen(function* () {
      const redis = yield* server()
      const policy: CircuitBreakerPolicy = { trip: { consecutive: 2 }, openFor: "100 millis", lease: "1 minute" }
      const [a, b] = yield* Effect.replicateEffect(
        connect(redis, { ...options, storeTimeout: "10 seconds", redis: { commandTimeout: 20_000 } }),
        2
      )
      const [one, other] = yield* Effect.forEach([a!, b!], (breakers) => breakers.get("gave up", policy))
      yield* trip(one!)
      yield* untilAsking(one!)
      yield* redis.pause
      const fiber = yield* Effect.fork(admit(one!))
      yield* Effect.sleep("50 millis")
      yield* Fiber.interrupt(fiber)
      yield* redis.resume
      const answer = yield* eventually(admit(other!), Either.isRight)
      assert(Either.isRight(answer))
    })
  )

  it.scopedLive("the probe's slot of a call that Redis answered too late is given back", () =>
    Effect.gen(function* () {
      const redis = yield* server()
      const policy: CircuitBreakerPolicy = { trip: { consecutive: 2 }, openFor: "100 millis", lease: "1 minute" }
      const [a, b] = [
        yield* connect(redis, { ...options, storeTimeout: "300 millis" }),
        yield* connect(redis, { ...options, storeTimeout: "10 seconds", redis: { commandTimeout: 20_000 } })
      ]
      const [one, other] = yield* Effect.forEach([a, b], (breakers) => breakers.get("late", policy))
      yield* trip(one!)
      yield* untilAsking(one!)
      yield* redis.pause
      // Half-open for itself now: it probes on its own.
      const { millis, result } = yield* took(admit(one!))
      assert(Either.isRight(result))
      assert.isBelow(millis, 300 + slack)
      yield* redis.resume
      yield* eventually(admit(other!), Either.isRight)
    })
  )

  it.scopedLive("scripts flushed, keys deleted: the calls go on", () =>
    Effect.gen(function* () {
      const redis = yield* server()
      const breakers = yield* connect(redis, options)
      const breaker = yield* breakers.get("flushed", policy)
      for (let i = 0; i < 20; i++) {
        yield* call(breaker, i % 2 === 0 ? success : failure)
        yield* redis.use((client) => (i % 4 === 0 ? client.script("FLUSH") : client.flushall()))
      }
      yield* redis.use((client) => client.script("FLUSH"))
      yield* trip(breaker)
      assert.strictEqual((yield* rejection(breaker)).mode, "Open")
      yield* redis.use((client) => client.flushall())
      // This process knows better than the empty store, until the time is up.
      assert.strictEqual((yield* rejection(breaker)).mode, "Open")
      yield* eventually(Effect.map(admit(breaker), Either.isRight), (isRight) => isRight)
      assert.strictEqual(yield* dropped("flushed"), 0)
    })
  )

  it.scopedLive("a Redis that refuses to write is as good as none, until it writes again", () =>
    Effect.gen(function* () {
      const redis = yield* server()
      const [a, b] = yield* Effect.replicateEffect(connect(redis, { ...options, flush: "5 millis" }), 2)
      const [one, other] = yield* Effect.forEach([a!, b!], (breakers) => breakers.get("memory", long))
      yield* call(one!, success)
      yield* redis.use((client) => client.config("SET", "maxmemory", "1"))
      // A failure that is not written, again and again: a process that believed Redis were back would count none.
      yield* Effect.forEach(Array.from({ length: 15 }), () =>
        Effect.zipRight(call(one!, success), Effect.sleep("20 millis"))
      )
      yield* call(one!, failure)
      yield* Effect.sleep("60 millis")
      yield* call(one!, failure)
      assert.strictEqual((yield* rejection(one!)).mode, "Open")
      yield* redis.use((client) => client.config("SET", "maxmemory", "0"))
      yield* trip(other!)
      yield* eventually(modeOf(other!), (mode) => mode === "Open")
    })
  )

  it.scopedLive("breakers are made at once where Redis was never there, and shared when it comes", () =>
    Effect.gen(function* () {
      const redis = yield* server()
      yield* redis.kill
      const { millis, result } = yield* took(Effect.replicateEffect(connect(redis, options), 2))
      assert.isBelow(millis, slack)
      const [one, other] = yield* Effect.forEach(result, (breakers) => breakers.get("never", long))
      yield* call(one!, success)
      yield* redis.restart
      yield* rejoined(one!, redis)
      yield* trip(one!)
      yield* eventually(Effect.map(admit(other!), Either.isLeft), (isLeft) => isLeft)
    })
  )

  it.scopedLive("a connection that goes nowhere holds the layer up no longer than it may", () =>
    Effect.gen(function* () {
      const redis = yield* server()
      yield* redis.pause
      yield* Effect.addFinalizer(() => redis.resume)
      const building = Layer.build(Redis.layer({ url: redis.url, readyWithin: "200 millis" }))
      const scope = yield* Scope.make()
      const { millis } = yield* took(Scope.extend(building, scope))
      assert(millis >= 195 && millis < 200 + slack, `took ${millis}`)
      const closing = yield* took(Scope.close(scope, Exit.void))
      assert.isBelow(closing.millis, slack)
    })
  )

  it.scopedLive("closing waits for what is under way, but not for a Redis that does not answer", () =>
    Effect.gen(function* () {
      const redis = yield* server()
      const scope = yield* Scope.make()
      const breakers = yield* Scope.extend(connect(redis, { ...options, storeTimeout: "200 millis" }), scope)
      const breaker = yield* breakers.get("closing", policy)
      const permit = yield* admitted(breaker)
      yield* redis.pause
      yield* Effect.addFinalizer(() => redis.resume)
      yield* breaker.record(permit, failure)
      const done = yield* Deferred.make<number>()
      yield* Effect.forkDaemon(
        Effect.flatMap(took(Scope.close(scope, Exit.void)), ({ millis }) => Deferred.succeed(done, millis))
      )
      const millis = yield* Deferred.await(done).pipe(Effect.timeout("2 seconds"))
      assert.isBelow(millis, 200 + slack)
    })
  )
})
