/** Between one breaker and its state in Redis: steps go out in order, answers are taken note of, changes are told. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constant } from "effect/Function"
import * as Option from "effect/Option"
import type { Notify } from "../../internal/breaker/handle.ts"
import type { Restore } from "../../internal/job.ts"
import { now } from "../../policies/Timeout.ts"
import type { Unreachable } from "./command.ts"
import type { Line, Operation, Reply } from "./line.ts"
import type { Mirror } from "./mirror.ts"
import type { Store } from "./store.ts"

/** A step is not seen before its answer; a trial finds out whether Redis is back. */
export type Kind = "question" | "step" | "trial"

export interface Link {
  /**
   * Tells of the change of mode that what has just happened has brought, if it has: what it gives has to be run, and is
   * an `Exit` where there is nothing to tell.
   */
  readonly told: () => Effect.Effect<void>
  /** The same, when it is run. */
  readonly tell: Effect.Effect<void>
  /**
   * Called, it writes to the connection at once. The effect waits for the answer, with `restore`, and takes note of what
   * came of it: it has to be run, and where interruption is masked.
   */
  readonly ask: (
    operation: Operation,
    time: number,
    kind: Kind,
    restore: Restore
  ) => Effect.Effect<Exit.Exit<Reply, Unreachable>>
  /** The same for a step, and only whether it was answered. Waits interruptibly if nothing else is said. */
  readonly deliver: (operation: Operation, time: number, restore?: Restore) => Effect.Effect<boolean>
}

export const make = (mirror: Mirror, line: Line, { health, options }: Store, notify: Notify): Link => {
  const untold: Array<Parameters<Notify>[0]> = []
  const telling = Effect.unsafeMakeSemaphore(1)
  // One at a time: who is slow to tell of a change would else tell of it after those that followed.
  const tellAll = telling.withPermits(1)(
    Effect.suspend(() => Effect.forEach(untold.splice(0), (change) => notify(change), { discard: true }))
  )
  const told = () => {
    const change = mirror.change()
    if (change !== undefined) untold.push(change)
    return untold.length === 0 ? Effect.void : Effect.uninterruptible(tellAll)
  }
  const tell = Effect.suspend(told)

  const note = (exit: Exit.Exit<Reply, Unreachable>, time: number, kind: Kind): Effect.Effect<void> => {
    if (Exit.isSuccess(exit)) {
      mirror.answered(exit.value, time, kind === "step")
      return kind === "trial" ? Effect.zipRight(health.answered, tell) : tell
    }
    mirror.lost(kind === "step")
    return Option.match(Cause.failureOption(exit.cause), {
      onNone: constant(Effect.void),
      onSome: (error) => Effect.zipRight(health.failed(time, error.cause), tell)
    })
  }

  const ask: Link["ask"] = (operation, time, kind, restore) => {
    if (kind === "step") mirror.sent()
    return Effect.flatMap(Effect.exit(restore(line.ask(operation, options.clientClock ? time : undefined))), (exit) =>
      Effect.as(
        Effect.flatMap(now, (time) => note(exit, time, kind)),
        exit
      )
    )
  }

  return {
    told,
    tell,
    ask,
    deliver: (operation, time, restore = Effect.interruptible) =>
      Effect.map(ask(operation, time, "step", restore), Exit.isSuccess)
  }
}
