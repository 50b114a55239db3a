import { assert, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { CircuitBreakerPolicy } from "../../src/policies/CircuitBreaker.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import { admit, admitted, call, failure, ignored, listen, rejection, success } from "../breaker/contract.ts"
import { connect, dropped, eventually, scriptRuns, shared } from "./connect.ts"
import { describeRedis } from "./server.ts"

const policy: CircuitBreakerPolicy = { trip: { consecutive: 2 }, openFor: "300 millis", lease: "300 millis" }

const long: CircuitBreakerPolicy = { ...policy, openFor: "1 minute" }

const modeOf = (breaker: CircuitBreaker.Breaker) => Effect.map(breaker.state, (state) => state.mode)

const trip = (breaker: CircuitBreaker.Breaker) => Effect.replicateEffect(call(breaker, failure), 2)

/** When the open circuit's time is up. */
const untilProbe = (breaker: CircuitBreaker.Breaker) => eventually(modeOf(breaker), (mode) => mode === "HalfOpen")

/** The process hears of the server's time a little late: until then it turns calls away, and asks nothing. */
const firstProbe = (breaker: CircuitBreaker.Breaker) =>
  Effect.map(eventually(admit(breaker), Either.isRight), Either.getOrThrow)

describeRedis("the store in Redis", () => {
  const redis = shared()

  const keysOf = (name: string) => redis.server.use((client) => client.keys(`salvo:*${name}*`))

  it.scopedLive("asks nothing while closed with a fresh view, and sends the successes together", () =>
    Effect.gen(function* () {
      const breakers = yield* connect(redis.server, { maxStaleness: "1 minute", flush: "50 millis" })
      const breaker = yield* breakers.get("fresh", { ...policy, trip: { failureRate: 0.5, window: { calls: 1000 } } })
      const before = yield* scriptRuns(redis.server)
      const permits = yield* Effect.replicateEffect(admitted(breaker), 100)
      assert.strictEqual((yield* scriptRuns(redis.server)) - before, 1)
      yield* Effect.forEach(permits, (permit) => breaker.record(permit, success))
      yield* eventually(scriptRuns(redis.server), (runs) => runs - before >= 2)
      const { calls } = yield* breaker.state
      assert.strictEqual(calls, 100)
      assert.strictEqual((yield* scriptRuns(redis.server)) - before, 3)
    })
  )

  it.scopedLive("asks once where the view is stale", () =>
    Effect.gen(function* () {
      const breakers = yield* connect(redis.server, { maxStaleness: "30 millis" })
      const breaker = yield* breakers.get("stale", policy)
      const before = yield* scriptRuns(redis.server)
      yield* Effect.replicateEffect(admitted(breaker), 3)
      assert.strictEqual((yield* scriptRuns(redis.server)) - before, 1)
      yield* Effect.sleep("31 millis")
      yield* admitted(breaker)
      assert.strictEqual((yield* scriptRuns(redis.server)) - before, 2)
    })
  )

  it.scopedLive("asks nothing while open, and once for a probe", () =>
    Effect.gen(function* () {
      const breaker = yield* Effect.flatMap(connect(redis.server), (breakers) => breakers.get("open", policy))
      yield* trip(breaker)
      yield* rejection(breaker)
      const before = yield* scriptRuns(redis.server)
      const answers = yield* Effect.replicateEffect(rejection(breaker), 100)
      for (const { mode, retryAfter } of answers) {
        assert.strictEqual(mode, "Open")
        assert(retryAfter !== undefined && retryAfter > 0 && retryAfter <= 300)
      }
      assert(Either.isLeft(yield* Effect.either(breaker.check)))
      assert.strictEqual((yield* scriptRuns(redis.server)) - before, 0)
      yield* untilProbe(breaker)
      const asked = yield* scriptRuns(redis.server)
      const probe = yield* firstProbe(breaker)
      assert.strictEqual((yield* scriptRuns(redis.server)) - asked, 1)
      assert.strictEqual((yield* rejection(breaker)).mode, "HalfOpen")
      assert.strictEqual((yield* scriptRuns(redis.server)) - asked, 2)
      yield* breaker.record(probe, ignored)
      assert(Either.isRight(yield* admit(breaker)), "the slot was free for the very next call")
      assert.strictEqual((yield* scriptRuns(redis.server)) - asked, 4)
    })
  )

  it.scopedLive("shows a process its own failures at once, although it does not wait for them", () =>
    Effect.gen(function* () {
      const breakers = yield* connect(redis.server, { maxStaleness: "1 minute" })
      for (let round = 0; round < 50; round++) {
        const breaker = yield* breakers.get(`own ${round}`, long)
        yield* trip(breaker)
        yield* rejection(breaker)
      }
    })
  )

  it.scopedLive("keeps what happens in a row in order, although successes wait", () =>
    Effect.gen(function* () {
      const breakers = yield* connect(redis.server, { maxStaleness: "1 minute", flush: "1 minute" })
      const breaker = yield* breakers.get("order", long)
      for (const outcome of [failure, success, failure, success, failure]) yield* call(breaker, outcome)
      assert.strictEqual(yield* modeOf(breaker), "Closed")
      assert.strictEqual((yield* breaker.state).streak, 1)
      yield* call(breaker, failure)
      yield* rejection(breaker)
    })
  )

  it.scopedLive("counts the failures of one batch in a row as one", () =>
    Effect.gen(function* () {
      const breaker = yield* Effect.flatMap(connect(redis.server), (breakers) => breakers.get("groups", long))
      yield* Effect.replicateEffect(call(breaker, { ...failure, group: "batch 1" }), 5)
      assert.strictEqual(yield* modeOf(breaker), "Closed")
      yield* call(breaker, { ...failure, group: "batch 2" })
      assert.strictEqual(yield* modeOf(breaker), "Open")
    })
  )

  it.scopedLive("F9 where its key is lost it is closed in a later era, and older outcomes are stale", () =>
    Effect.gen(function* () {
      const breakers = yield* connect(redis.server, { maxStaleness: 0 })
      const breaker = yield* breakers.get("lost", policy)
      const late = yield* Effect.replicateEffect(admitted(breaker), 3)
      yield* redis.server.use((client) => client.flushall())
      const later = yield* admitted(breaker)
      assert.isAbove(later.era, late[0]!.era)
      yield* Effect.forEach(late, (permit) => breaker.record(permit, failure))
      assert.strictEqual((yield* breaker.state).streak, 0)
      yield* breaker.record(later, failure)
      assert.strictEqual((yield* breaker.state).streak, 1)
    })
  )

  it.scopedLive(
    "F10 F12 every key outlives what it tells of by the idle time, and calls turned away keep none alive",
    () =>
      Effect.gen(function* () {
        const breakers = yield* connect(redis.server, { idleTimeToLive: "100 seconds" })
        const breaker = yield* breakers.get("ttl", { ...policy, openFor: "200 millis", lease: "50 seconds" })
        const left = (key: string) => redis.server.use((client) => client.pttl(key))
        yield* trip(breaker)
        yield* rejection(breaker)
        const [state] = yield* keysOf("ttl")
        assert(state !== undefined)
        const open = yield* left(state)
        assert(open > 100_000 && open <= 100_200, `open: ${open}`)
        yield* untilProbe(breaker)
        yield* firstProbe(breaker)
        const keys = yield* keysOf("ttl")
        assert.strictEqual(keys.length, 2)
        for (const key of keys) {
          const halfOpen = yield* left(key)
          assert(halfOpen > 149_000 && halfOpen <= 150_000, `half-open: ${halfOpen}`)
        }
        yield* redis.server.use((client) => client.pexpire(state, 60_000))
        yield* Effect.replicateEffect(rejection(breaker), 5)
        assert.isAtMost(yield* left(state), 60_000)
      })
  )

  it.scopedLive("F15 with a quorum of two one process's failures open only its own circuit", () =>
    Effect.gen(function* () {
      const [a, b, c] = yield* Effect.replicateEffect(connect(redis.server, { quorum: 2, maxStaleness: 0 }), 3)
      const [one, two, three] = yield* Effect.forEach([a!, b!, c!], (breakers) => breakers.get("quorum", long))
      yield* trip(one!)
      assert.strictEqual((yield* rejection(one!)).mode, "Open")
      yield* call(two!, success)
      yield* call(three!, success)
      yield* trip(two!)
      assert.strictEqual((yield* rejection(two!)).mode, "Open")
      assert.strictEqual((yield* rejection(three!)).mode, "Open")
    })
  )

  it.scopedLive("F15 the circuit that a process opened for itself it closes by a probe of its own", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Effect.replicateEffect(connect(redis.server, { quorum: 2, maxStaleness: 0 }), 2)
      const [one, two] = yield* Effect.forEach([a!, b!], (breakers) => breakers.get("own quorum", policy))
      const heard = yield* listen(a!)
      yield* trip(one!)
      yield* eventually(modeOf(one!), (mode) => mode === "HalfOpen")
      const probe = yield* admitted(one!)
      assert.strictEqual((yield* rejection(one!)).mode, "HalfOpen")
      yield* call(two!, success)
      yield* one!.record(probe, success)
      yield* call(one!, success)
      assert.deepStrictEqual(yield* heard, [
        "Closed -> Open: consecutive",
        "Open -> HalfOpen: time is up",
        "HalfOpen -> Closed: probes succeeded"
      ])
    })
  )

  it.scopedLive("F16 processes whose clocks are an hour apart find the same", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.clockWith(Effect.succeed)
      const shifted = (hours: number): Clock.Clock => {
        const millis = hours * 3_600_000
        return {
          ...clock,
          unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + millis,
          unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos() + BigInt(millis) * 1_000_000n,
          currentTimeMillis: Effect.map(clock.currentTimeMillis, (time) => time + millis),
          currentTimeNanos: Effect.map(clock.currentTimeNanos, (time) => time + BigInt(millis) * 1_000_000n),
          sleep: (duration) => clock.sleep(duration)
        }
      }
      const each = yield* Effect.forEach([-1, 0, 1], (hours) =>
        Effect.map(connect(redis.server, { maxStaleness: 0 }), (breakers) => ({
          breakers,
          there: Effect.withClock(shifted(hours))
        }))
      )
      const all = yield* Effect.forEach(each, ({ breakers, there }) =>
        Effect.map(there(breakers.get("clocks", policy)), (breaker) => ({ breaker, there }))
      )
      for (const from of all) {
        yield* from.there(trip(from.breaker))
        for (const { breaker, there } of all) {
          const { mode, retryAfter } = yield* there(rejection(breaker))
          assert(mode === "Open" && retryAfter !== undefined && retryAfter > 0 && retryAfter <= 300)
        }
        // Each by its own clock, from when it heard of it: the last one a moment after the server.
        for (const { breaker, there } of all) yield* eventually(there(Effect.either(breaker.check)), Either.isRight)
        const answers = yield* Effect.forEach(all, ({ breaker, there }) => there(admit(breaker)))
        assert.deepStrictEqual(answers.map(Either.isRight), [true, false, false])
        for (const [i, answer] of answers.entries()) {
          if (Either.isRight(answer)) yield* all[i]!.there(all[i]!.breaker.record(answer.right, success))
        }
      }
    })
  )

  it.scopedLive("F17 where too many outcomes are under way the newest are dropped and counted, and no call waits", () =>
    Effect.gen(function* () {
      const breakers = yield* connect(redis.server, { maxPending: 10, flush: "1 minute", maxStaleness: "1 minute" })
      const breaker = yield* breakers.get("full", { ...policy, trip: { failureRate: 1, window: { calls: 100 } } })
      yield* Effect.replicateEffect(call(breaker, success), 25)
      assert.strictEqual(yield* dropped("full"), 15)
      assert.strictEqual((yield* breaker.state).calls, 10)
      yield* Effect.replicateEffect(call(breaker, success), 3)
      assert.strictEqual((yield* breaker.state).calls, 13)
    })
  )

  it.scopedLive("a probe that is interrupted leaves its slot to the next caller", () =>
    Effect.gen(function* () {
      const breakers = yield* connect(redis.server)
      const options = { key: "interrupted", policy: { ...policy, lease: "1 minute" } } as const
      const breaker = yield* breakers.get(options.key, options.policy)
      yield* trip(breaker)
      yield* untilProbe(breaker)
      const started = yield* Deferred.make<void>()
      const probe = yield* Deferred.succeed(started, undefined).pipe(
        Effect.zipRight(Effect.never),
        CircuitBreaker.execute(options),
        Effect.provideService(CircuitBreaker.CircuitBreaker, breakers),
        // As `firstProbe` does.
        Effect.eventually,
        Effect.fork
      )
      yield* Deferred.await(started)
      assert.strictEqual((yield* rejection(breaker)).mode, "HalfOpen")
      yield* Fiber.interrupt(probe)
      yield* call(breaker, success)
      assert.strictEqual(yield* modeOf(breaker), "Closed")
    })
  )

  it.scopedLive("what was gathered is sent when the store is closed", () =>
    Effect.gen(function* () {
      const window: CircuitBreakerPolicy = { trip: { failureRate: 1, window: { calls: 100 } } }
      const scope = yield* Scope.make()
      const breakers = yield* Scope.extend(connect(redis.server, { flush: "1 minute" }), scope)
      const breaker = yield* breakers.get("closing", window)
      yield* Effect.replicateEffect(call(breaker, success), 7)
      yield* Scope.close(scope, Exit.void)
      const other = yield* Effect.flatMap(connect(redis.server), (breakers) => breakers.get("closing", window))
      assert.strictEqual((yield* other.state).calls, 7)
    })
  )

  it.scopedLive("an isolation is renewed while it is held, and released at once", () =>
    Effect.gen(function* () {
      const options = { isolationLease: "300 millis", maxStaleness: 0 } as const
      const [a, b] = yield* Effect.replicateEffect(connect(redis.server, options), 2)
      const [one, other] = yield* Effect.forEach([a!, b!], (breakers) => breakers.get("held", policy))
      const scope = yield* Scope.make()
      yield* Scope.extend(one!.isolate, scope)
      yield* Effect.sleep("700 millis")
      assert.strictEqual((yield* rejection(other!)).mode, "Isolated")
      yield* Scope.close(scope, Exit.void)
      yield* call(one!, success)
      yield* call(other!, success)
    })
  )

  it.scopedLive("a word about the failure reaches the other processes, whatever is in it", () =>
    Effect.gen(function* () {
      const [a, b] = yield* Effect.replicateEffect(connect(redis.server), 2)
      const [one, other] = yield* Effect.forEach([a!, b!], (breakers) => breakers.get("words", long))
      const cause = 'line one\n"two" \u0000 é 🦊 {} = %s'
      yield* call(one!, { _tag: "Failure", cause: "half a fox \ud83e", group: "\udd8a" })
      yield* call(one!, { _tag: "Failure", cause, retryAfter: Duration.infinity })
      const answer = yield* admit(other!)
      assert(Either.isLeft(answer))
      assert.strictEqual(answer.left.lastFailure, cause)
    })
  )

  it.scopedLive("hostile names neither meet nor break a cluster's slots", () =>
    Effect.gen(function* () {
      const names = ["", " ", "{", "}", "{}", "}{", "a{b}c", "é", "🦊", "a b", "a%20b", "*", "a:probes", "a", "\n"]
      const breakers = yield* connect(redis.server, { maxStaleness: 0, redis: { prefix: "{hostile}:" } })
      yield* breakers.get("", long).pipe(Effect.flatMap(trip))
      for (const name of names.slice(1)) {
        const breaker = yield* breakers.get(name, long)
        assert.strictEqual(yield* modeOf(breaker), "Closed", JSON.stringify(name))
        yield* trip(breaker)
        assert.strictEqual(yield* modeOf(breaker), "Open", JSON.stringify(name))
      }
    })
  )
})
