/** Driving a breaker through its public service. */
import { assert } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { CircuitBreakerPolicy } from "../../src/policies/CircuitBreaker.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"

/** Success, failure, ignored. */
export type Kind = "S" | "F" | "N"

export const advance = (by: Duration.DurationInput) => TestClock.adjust(by)

const classify = (exit: Exit.Exit<unknown, Kind>): CircuitBreaker.Outcome =>
  Exit.isSuccess(exit)
    ? { _tag: "Success" }
    : Option.getOrUndefined(Cause.failureOption(exit.cause)) === "F"
      ? { _tag: "Failure", cause: "F" }
      : { _tag: "Ignored" }

/** "ran", or how it was turned away: "Open 1000", "HalfOpen 60000", "Isolated". */
const answerOf = (exit: Exit.Exit<unknown, Kind | CircuitBreaker.CircuitOpen>): string => {
  const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined
  if (typeof error !== "object") return "ran"
  const after = error.retryAfter === undefined ? "" : ` ${Duration.toMillis(error.retryAfter)}`
  return `${error.mode}${after}`
}

/** A breaker, and calls through it whose effects are counted. */
export const make = Effect.fnUntraced(function* (policy: CircuitBreakerPolicy, key = "a") {
  const breakers = yield* CircuitBreaker.CircuitBreaker
  const breaker = yield* breakers.get(key, policy)
  let ran = 0

  const through = (work: Effect.Effect<Kind>): Effect.Effect<string, never, CircuitBreaker.CircuitBreaker> =>
    Effect.suspend(() => {
      ran += 1
      return work
    }).pipe(
      Effect.flatMap((kind) => (kind === "S" ? Effect.succeed(kind) : Effect.fail(kind))),
      CircuitBreaker.execute({ key, classify }),
      Effect.exit,
      Effect.map(answerOf)
    )

  /** A call that ends at once, or after a while. What was turned away must not have run. */
  const call = Effect.fnUntraced(function* (kind: Kind, after?: Duration.DurationInput) {
    const before = ran
    const fiber = yield* Effect.fork(
      through(after === undefined ? Effect.succeed(kind) : Effect.as(Effect.sleep(after), kind))
    )
    if (after !== undefined) yield* TestClock.adjust(after)
    const answer = yield* Fiber.join(fiber)
    assert.strictEqual(ran - before, answer === "ran" ? 1 : 0)
    return answer
  })

  /** A call that is under way until it is told how to end. */
  const start = Effect.gen(function* () {
    const begun = yield* Deferred.make<void>()
    const gate = yield* Deferred.make<Kind>()
    const work = Effect.zipRight(Deferred.succeed(begun, undefined), Deferred.await(gate))
    const fiber = yield* Effect.fork(through(work))
    yield* Deferred.await(begun)
    return {
      end: (kind: Kind) => Effect.zipRight(Deferred.succeed(gate, kind), Fiber.join(fiber)),
      interrupt: Fiber.interrupt(fiber)
    }
  })

  return {
    breaker,
    call,
    start,
    calls: (kinds: string) => Effect.forEach([...kinds], (kind) => call(kind as Kind)),
    mode: Effect.map(breaker.state, (state) => state.mode),
    counts: Effect.map(breaker.state, ({ calls, failures, slow }) => ({ calls, failures, slow })),
    ran: () => ran
  }
})

const bell = "bell"

/** All changes of mode from now on: each time those since the last time, in the order in which they were told. */
export const listen = Effect.gen(function* () {
  const breakers = yield* CircuitBreaker.CircuitBreaker
  const queue = yield* Queue.unbounded<CircuitBreaker.Transition>()
  yield* Effect.forkScoped(Stream.runForEach(breakers.transitions, (transition) => Queue.offer(queue, transition)))
  let rung = 0
  const ring = Effect.suspend(() =>
    Effect.scoped(Effect.flatMap(breakers.get(`${bell} ${++rung}`), (breaker) => breaker.isolate))
  )
  // The listener has begun to listen when it first hears a bell.
  yield* Effect.repeat(Effect.zipRight(ring, Effect.yieldNow()), {
    until: () => Effect.map(Queue.size(queue), (size) => size > 0)
  })
  /** Whoever has heard the last bell out has heard all that came before it. */
  const isOver = ({ breaker, to }: CircuitBreaker.Transition) => breaker === `${bell} ${rung}` && to === "Closed"
  return Effect.zipRight(
    ring,
    Stream.fromQueue(queue).pipe(
      Stream.takeUntil(isOver),
      Stream.filter((transition) => !transition.breaker.startsWith(bell)),
      Stream.runCollect,
      Effect.map(Chunk.toReadonlyArray)
    )
  )
})

/** Transitions in words. */
export const story = (transitions: ReadonlyArray<CircuitBreaker.Transition>): ReadonlyArray<string> =>
  transitions.map(
    ({ counts: { calls, failures, slow }, from, reason, to }) =>
      `${from} > ${to}: ${reason}${calls > 0 ? ` ${failures}/${calls}` : ""}${slow > 0 ? `, ${slow} slow` : ""}`
  )
