/** A clock moved by hand. A `TestClock` waits some real milliseconds at each step, which is long where there are many. */
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Order from "effect/Order"

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

export interface HandClock extends Clock.Clock {
  /** Goes on by so many milliseconds and wakes whoever's time has come. */
  readonly advance: (millis: number) => void
  /** How long until the next sleeper's time; none where nobody sleeps. */
  readonly next: () => number | undefined
}

export const make = (): HandClock => {
  let time = 0
  let sleepers: ReadonlyArray<Sleeper> = []
  const unsafeCurrentTimeNanos = () => BigInt(Math.round(time * 1e6))
  const unsafeSchedule = (task: Clock.Task, duration: Duration.Duration): Clock.CancelToken => {
    const sleeper = { at: time + Duration.toMillis(duration), wake: task }
    sleepers = [...sleepers, sleeper]
    return () => {
      const waiting = sleepers.includes(sleeper)
      sleepers = sleepers.filter((other) => other !== sleeper)
      return waiting
    }
  }
  return {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => time,
    unsafeCurrentTimeNanos,
    currentTimeMillis: Effect.sync(() => time),
    currentTimeNanos: Effect.sync(unsafeCurrentTimeNanos),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const cancel = unsafeSchedule(() => resume(Effect.void), duration)
        return Effect.sync(() => void cancel())
      }),
    next: () => (sleepers.length === 0 ? undefined : Math.min(...sleepers.map(({ at }) => at)) - time),
    advance: (millis) => {
      time += millis
      const due = Arr.sortWith(
        sleepers.filter((sleeper) => sleeper.at <= time),
        (sleeper) => sleeper.at,
        Order.number
      )
      sleepers = sleepers.filter((sleeper) => sleeper.at > time)
      for (const { wake } of due) wake()
    }
  }
}

/** Lets every fiber run until it waits. */
const settle = Effect.replicateEffect(Effect.yieldNow(), 40, { discard: true })

/** Goes from one moment at which something happens to the next, which takes no real time. */
export const inNoTime = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const clock = make()
    const fiber = yield* Effect.fork(Effect.withClock(effect, clock))
    yield* settle
    for (let next = clock.next(); next !== undefined; next = clock.next()) {
      clock.advance(next)
      yield* settle
    }
    return yield* Fiber.join(fiber)
  })
