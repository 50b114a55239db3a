/** Logs that are open: whoever asks for one that is open already shares it. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import type { Log } from "../../services/Journal.ts"
import type { Open } from "./log.ts"

interface Shared {
  readonly opened: Deferred.Deferred<Open>
  readonly closed: Deferred.Deferred<void>
  users: number
}

/**
 * Not an `RcMap`: that forgets what nobody uses any more before it has come to rest, and whoever opened the log next
 * would miss what is still being written.
 */
export const make = (open: (name: string) => Effect.Effect<Open>) => {
  const logs = new Map<string, Shared>()

  const close = (name: string, { closed, opened }: Shared) =>
    Deferred.await(opened).pipe(
      Effect.flatMap((log) => log.close),
      Effect.ensuring(Effect.sync(() => logs.delete(name))),
      Effect.zipRight(Deferred.succeed(closed, undefined))
    )

  const leave = (name: string, shared: Shared) =>
    Effect.gen(function* () {
      if (--shared.users > 0) return
      // Who was interrupted while it was being opened has written nothing, and need not wait for it.
      const isOpen = yield* Deferred.isDone(shared.opened)
      yield* isOpen ? close(name, shared) : Effect.forkDaemon(close(name, shared))
    })

  const begin = (name: string): Shared => {
    const shared: Shared = {
      opened: Deferred.unsafeMake(FiberId.none),
      closed: Deferred.unsafeMake(FiberId.none),
      users: 0
    }
    logs.set(name, shared)
    return shared
  }

  return (name: string): Effect.Effect<Log, never, Scope.Scope> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        let shared = logs.get(name)
        while (shared?.users === 0) {
          yield* restore(Deferred.await(shared.closed))
          shared = logs.get(name)
        }
        const isNew = shared === undefined
        const mine = shared ?? begin(name)
        mine.users++
        yield* Effect.addFinalizer(() => leave(name, mine))
        // In a fiber of its own: whoever asks first may be interrupted while others wait.
        if (isNew) yield* Effect.forkDaemon(Effect.interruptible(Effect.intoDeferred(open(name), mine.opened)))
        return (yield* restore(Deferred.await(mine.opened))).log
      })
    )
}
