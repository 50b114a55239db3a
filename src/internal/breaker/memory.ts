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

    /** One step of the machine, atomically; tells of it where the mode has changed. */
    const step = <A>(f: (state: Machine.State, time: number) => readonly [A, Machine.State]): Effect.Effect<A> =>
      Effect.uninterruptible(
        Effect.flatMap(now, (time) =>
          Effect.flatMap(
            Ref.modify(ref, ({ state: before, untold }) => {
              const [answer, state] = f(before, time)
              const moved = before.mode !== state.mode
              return [
                { answer, moved },
                { state, untold: moved ? Arr.append(untold, transition(before.mode, state)) : untold }
              ]
            }),
            ({ answer, moved }) => (moved ? Effect.as(tell, answer) : Effect.succeed(answer))
          )
        )
      )

    const update = (f: (state: Machine.State, time: number) => Machine.State) =>
      step((state, time) => [undefined, f(state, time)])

    const look = <A>(f: (state: Machine.State, time: number) => A) =>
      Effect.flatMap(now, (time) => Effect.map(Ref.get(ref), ({ state }) => f(state, time)))

    return {
      check: look((state, time) => Machine.check(state, settings, time)),
      admit: () => step((state, time) => Machine.admit(state, settings, time, nextName())),
      record: (permit, outcome) => update((state, time) => Machine.record(state, settings, time, permit, outcome)),
      status: look((state, time) => Look.status(state, settings, time)),
      isolate: Effect.asVoid(
        Effect.acquireRelease(
          Effect.tap(Effect.sync(nextName), (holder) => update((state) => Machine.isolate(state, holder))),
          (holder) => update((state) => Machine.release(state, holder))
        )
      ),
      reset: update(Machine.reset),
      snapshot: look((state, time) => Look.exported(state, settings, time)),
      restore: (snapshot) => update((state, time) => Look.imported(state, settings, time, snapshot))
    }
  })
