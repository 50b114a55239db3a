/** A batch that is open to its user: calls in, results out, in a scope. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import type * as Scope from "effect/Scope"
import type { OpenBatch } from "../services/ToolRunner.ts"
import type * as Tool from "../Tool.ts"
import type { ToolResult } from "../ToolResult.ts"
import type { Opened } from "./scheduler.ts"

export const make = <Tools extends Tool.Tool, R>(
  open: (onLand: (result: ToolResult) => void) => Effect.Effect<Opened<Tools>, never, R>
): Effect.Effect<OpenBatch<Tools>, never, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const landed = yield* Mailbox.make<ToolResult<Tools>>()
      const sealed = yield* Deferred.make<void>()
      let isSealed = false
      let isDone = false
      // The results of a batch are those of its own tools.
      const batch = yield* open((result) => landed.unsafeOffer(result as ToolResult<Tools>))
      // Whoever sees first that all have landed says so: a batch that was awaited is done when its scope is closed.
      const joined = Deferred.await(sealed).pipe(
        Effect.zipRight(batch.join),
        Effect.zipRight(
          Effect.sync(() => {
            isDone = true
            landed.unsafeDone(Exit.void)
          })
        )
      )
      yield* Effect.addFinalizer(() =>
        Effect.all([isDone ? Effect.void : batch.stop, landed.shutdown, batch.close], { discard: true })
      )
      yield* restore(batch.recall)
      yield* Effect.forkScoped(Effect.interruptible(joined))
      return {
        submit: (call, { hold = false } = {}) =>
          isSealed
            ? Effect.dieMessage(`The batch is sealed: it takes no call ${call.id} any more`)
            : Effect.zipRight(batch.add([call], hold), batch.go),
        seal: Effect.suspend(() => {
          if (isSealed) return Effect.void
          isSealed = true
          return Effect.uninterruptible(
            Effect.all([batch.seal, Deferred.succeed(sealed, undefined), batch.go], { discard: true })
          )
        }),
        results: Mailbox.toStream(landed),
        await: Effect.zipRight(joined, batch.finish)
      }
    })
  )
