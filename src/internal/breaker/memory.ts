/** Breakers of one process: the state machine, and a `Ref` for its state. */
import * as Effect from "effect/Effect"
import { constant } from "effect/Function"
import * as Ref from "effect/Ref"
import { now } from "../../policies/Timeout.ts"
import { type Notify, type Stored, transition } from "./handle.ts"
import * as Look from "./look.ts"
import * as Machine from "./machine.ts"
import type { Settings } from "./settings.ts"

const withoutTime = ({ era }: Machine.State) => ({
  era,
  admitted: Effect.succeed<Machine.Verdict>({
    _tag: "Admitted",
    permit: { era, token: undefined, startedAt: Number.NaN }
  })
})

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

    /** The effect, which has to be run, tells of the change where it is one of mode. */
    const told = <A>(before: Machine.State, next: Machine.State, answer: A): Effect.Effect<A> => {
      if (before.mode === next.mode) return Effect.succeed(answer)
      untold.push(transition(before.mode, next))
      return Effect.as(tell, answer)
    }

    /** Of a closed circuit that does not look at the clock: the same for all calls of an era. */
    let timeless = withoutTime(Machine.initial)

    const admit = (time: () => number): Effect.Effect<Machine.Verdict> =>
      Effect.flatten(
        Ref.modify(state, (before) => {
          if (before.mode === "Closed" && settings.slowRate > 1) {
            if (timeless.era !== before.era) timeless = withoutTime(before)
            return [timeless.admitted, before]
          }
          const [verdict, next] = Machine.admit(before, settings, time(), nextName)
          if (verdict._tag === "Rejected") rejected += 1
          return [told(before, next, verdict), next]
        })
      )

    /** To be run where interruption is masked. */
    const update = (f: (before: Machine.State) => Machine.State): Effect.Effect<void> =>
      Effect.flatten(
        Ref.modify(state, (before) => {
          const next = f(before)
          return [told(before, next, undefined), next]
        })
      )

    const record = (permit: Machine.Permit, outcome: Machine.Outcome, time: () => number): Effect.Effect<void> =>
      update((before) =>
        Machine.isIdle(before, settings, permit, outcome)
          ? before
          : Machine.record(before, settings, time(), permit, outcome)
      )

    const updateNow = (f: (before: Machine.State, time: number) => Machine.State) =>
      Effect.flatMap(now, (time) => update((before) => f(before, time)))

    const look = <A>(f: (state: Machine.State, time: number) => A) => Effect.zipWith(Ref.get(state), now, f)

    return {
      obey: (others) => {
        settings = others
      },
      check: look((state, time) => Machine.check(state, settings, time)),
      admit: (_restore, time) =>
        time === undefined ? Effect.flatMap(now, (time) => admit(constant(time))) : admit(time),
      record: (permit, outcome, time) =>
        time === undefined
          ? Effect.flatMap(now, (time) => record(permit, outcome, constant(time)))
          : record(permit, outcome, time),
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
