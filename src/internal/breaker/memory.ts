/** Breakers of one process: the state machine in a `Ref`. */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { now } from "../../policies/Timeout.ts"
import { type Notify, type Stored, transition } from "./handle.ts"
import * as Look from "./look.ts"
import * as Machine from "./machine.ts"
import type { Settings } from "./settings.ts"

interface Held {
  readonly state: Machine.State
  /** Changes of mode that nobody has been told of yet, oldest first. */
  readonly untold: ReadonlyArray<Parameters<Notify>[0]>
}

const initial: Held = { state: Machine.initial, untold: [] }

export const make = (_name: string, settings: Settings, notify: Notify): Effect.Effect<Stored> =>
  Effect.zipWith(Ref.make(initial), Effect.makeSemaphore(1), (ref, telling) => {
    let named = 0
    const nextName = () => String(++named)

    /** One at a time: a fiber that is slow to tell of its change would else tell of it after those that followed. */
    const tell = telling.withPermits(1)(
      Effect.flatMap(
        Ref.modify(ref, ({ state, untold }) => [untold, { state, untold: [] }]),
        Effect.forEach((change) => notify(change), { discard: true })
      )
    )

    /**
     * One step of the machine, atomically; tells of it where the mode has changed. To be run where interruption is
     * masked. `at` saves asking the clock.
     */
    const step = <A>(
      f: (state: Machine.State, time: number) => readonly [A, Machine.State],
      at: number | undefined
    ): Effect.Effect<A> => {
      if (at === undefined) return Effect.flatMap(now, (time) => step(f, time))
      let moved = false
      const stepped = Ref.modify(ref, (held) => {
        const before = held.state
        const [answer, state] = f(before, at)
        if (before === state) return [answer, held]
        moved = before.mode !== state.mode
        return [
          answer,
          { state, untold: moved ? Arr.append(held.untold, transition(before.mode, state)) : held.untold }
        ]
      })
      return Effect.flatMap(stepped, (answer) => (moved ? Effect.as(tell, answer) : Effect.succeed(answer)))
    }

    const update = (f: (state: Machine.State, time: number) => Machine.State, at?: number) =>
      step((state, time) => [undefined, f(state, time)], at)

    const look = <A>(f: (state: Machine.State, time: number) => A) =>
      Effect.flatMap(now, (time) => Effect.map(Ref.get(ref), ({ state }) => f(state, time)))

    return {
      check: look((state, time) => Machine.check(state, settings, time)),
      admit: (_restore, at) => step((state, time) => Machine.admit(state, settings, time, nextName), at),
      record: (permit, outcome, at) =>
        update((state, time) => Machine.record(state, settings, time, permit, outcome), at),
      status: look((state, time) => Look.status(state, settings, time)),
      isolate: Effect.asVoid(
        Effect.acquireRelease(
          Effect.tap(Effect.sync(nextName), (holder) => update((state) => Machine.isolate(state, holder))),
          (holder) => update((state) => Machine.release(state, holder))
        )
      ),
      reset: Effect.uninterruptible(update(Machine.reset)),
      snapshot: look((state, time) => Look.exported(state, settings, time)),
      restore: (snapshot) =>
        Effect.uninterruptible(update((state, time) => Look.imported(state, settings, time, snapshot)))
    }
  })
