/** Breakers of one process: the state machine in a `Ref`. */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { now } from "../../policies/Timeout.ts"
import { type Notify, type Stored, transition } from "./handle.ts"
import * as Machine from "./machine.ts"
import type { Settings } from "./settings.ts"

export const make = (_name: string, settings: Settings, notify: Notify): Effect.Effect<Stored> =>
  Effect.map(Ref.make(Machine.initial), (ref) => {
    let named = 0
    const nextName = () => String(++named)

    /** One step of the machine, atomically; tells of it where the mode has changed. */
    const step = <A>(f: (state: Machine.State, time: number) => readonly [A, Machine.State]): Effect.Effect<A> =>
      Effect.flatMap(now, (time) =>
        Effect.flatMap(
          Ref.modify(ref, (before) => {
            const [answer, after] = f(before, time)
            return [{ answer, before, after }, after]
          }),
          ({ after, answer, before }) =>
            before.mode === after.mode
              ? Effect.succeed(answer)
              : Effect.as(notify(transition(before.mode, after)), answer)
        )
      )

    const update = (f: (state: Machine.State, time: number) => Machine.State) =>
      step((state, time) => [undefined, f(state, time)])

    const look = <A>(f: (state: Machine.State, time: number) => A) =>
      Effect.flatMap(now, (time) => Effect.map(Ref.get(ref), (state) => f(state, time)))

    return {
      check: look((state, time) => Machine.check(state, settings, time)),
      admit: () => step((state, time) => Machine.admit(state, settings, time, nextName())),
      record: (permit, outcome) => update((state, time) => Machine.record(state, settings, time, permit, outcome)),
      status: look((state, time) => Machine.status(state, settings, time)),
      isolate: Effect.asVoid(
        Effect.acquireRelease(
          Effect.tap(Effect.sync(nextName), (holder) => update((state) => Machine.isolate(state, holder))),
          (holder) => update((state) => Machine.release(state, holder))
        )
      ),
      reset: update(Machine.reset),
      snapshot: look((state, time) => Machine.exported(state, settings, time)),
      restore: (snapshot) => update((state, time) => Machine.imported(state, settings, time, snapshot))
    }
  })
