/** Breakers of one process: the state machine, and a `Ref` for its state. */
import * as Effect from "effect/Effect"
import { constant } from "effect/Function"
import * as Ref from "effect/Ref"
import { now } from "../../policies/Timeout.ts"
import { type AtHand, type Notify, type Stored, transition } from "./handle.ts"
import * as Look from "./look.ts"
import * as Machine from "./machine.ts"
import type { Settings } from "./settings.ts"

interface Timeless {
  readonly era: number
  readonly admitted: Machine.Verdict
}

const withoutTime = ({ era }: Machine.State): Timeless => ({
  era,
  admitted: { _tag: "Admitted", permit: { era, token: undefined, startedAt: Number.NaN } }
})

/** The answer of a step that changed the mode. */
class Moved<out A> {
  readonly answer: A

  constructor(answer: A) {
    this.answer = answer
  }
}

export const make = (_name: string, first: Settings, notify: Notify): Effect.Effect<Stored> =>
  Effect.map(Ref.make(Machine.initial), (state) => {
    let settings = first
    let rejected = 0
    let named = 0
    const nextName = () => String(++named)

    /** Changes of mode that nobody has been told of yet, oldest first. */
    const untold: Array<Parameters<Notify>[0]> = []
    const telling = Effect.unsafeMakeSemaphore(1)
    // One at a time: a fiber that is slow to tell of its change would else tell of it after those that followed.
    const tell = telling.withPermits(1)(
      Effect.suspend(() => Effect.forEach(untold.splice(0), (change) => notify(change), { discard: true }))
    )

    /** Takes a step, tells of it where it changed the mode, and goes on from its answer. */
    const step = <B, A, E, R>(
      f: (before: Machine.State) => readonly [B, Machine.State],
      then: (answer: B) => Effect.Effect<A, E, R>
    ): Effect.Effect<A, E, R> =>
      Effect.flatMap(
        Ref.modify(state, (before): readonly [B | Moved<B>, Machine.State] => {
          const taken = f(before)
          const [answer, next] = taken
          if (before.mode === next.mode) return taken
          untold.push(transition(before.mode, next))
          return [new Moved(answer), next]
        }),
        (answer) => (answer instanceof Moved ? Effect.flatMap(tell, () => then(answer.answer)) : then(answer))
      )

    /** Of a closed circuit that does not look at the clock: the same for all calls of an era. */
    let timeless = withoutTime(Machine.initial)

    const admit: AtHand["admit"] = (time, then) =>
      step((before) => {
        if (before.mode === "Closed" && settings.slowRate > 1) {
          if (timeless.era !== before.era) timeless = withoutTime(before)
          return [timeless.admitted, before]
        }
        const taken = Machine.admit(before, settings, time(), nextName)
        if (taken[0]._tag === "Rejected") rejected += 1
        return taken
      }, then)

    const record: AtHand["record"] = (permit, outcome, time, then) =>
      step(
        (before) => [
          undefined,
          Machine.isIdle(before, settings, permit, outcome)
            ? before
            : Machine.record(before, settings, time(), permit, outcome)
        ],
        () => then
      )

    /** To be run where interruption is masked. */
    const update = (f: (before: Machine.State) => Machine.State): Effect.Effect<void> =>
      step((before) => [undefined, f(before)], constant(Effect.void))

    const updateNow = (f: (before: Machine.State, time: number) => Machine.State) =>
      Effect.flatMap(now, (time) => update((before) => f(before, time)))

    const look = <A>(f: (state: Machine.State, time: number) => A) => Effect.zipWith(Ref.get(state), now, f)

    return {
      obey: (others) => {
        settings = others
      },
      check: look((state, time) => Machine.check(state, settings, time)),
      atHand: { admit, record },
      admit: (_restore, time) =>
        time === undefined
          ? Effect.flatMap(now, (time) => admit(constant(time), Effect.succeed))
          : admit(time, Effect.succeed),
      record: (permit, outcome, time) =>
        time === undefined
          ? Effect.flatMap(now, (time) => record(permit, outcome, constant(time), Effect.void))
          : record(permit, outcome, time, Effect.void),
      status: look((state, time) => ({ ...Look.status(state, settings, time), rejected })),
      isolate: Effect.asVoid(
        Effect.acquireRelease(
          Effect.tap(Effect.sync(nextName), (holder) => update((before) => Machine.isolate(before, holder))),
          (holder) => update((before) => Machine.release(before, holder))
        )
      ),
      reset: Effect.uninterruptible(update(Machine.reset)),
      snapshot: look((state, time) => Look.exported(state, settings, time)),
      restore: (snapshot) =>
        Effect.uninterruptible(updateNow((before, time) => Look.imported(before, settings, time, snapshot)))
    }
  })
