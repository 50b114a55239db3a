/** A batch that is open to its user: calls in, results out, in a scope. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Mailbox from "effect/Mailbox"
import type * as Scope from "effect/Scope"
import type { OpenBatch } from "../services/ToolRunner.ts"
import type * as Tool from "../Tool.ts"
import type { ToolResult } from "../ToolResult.ts"
import * as AtOnce from "./atOnce.ts"
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
      /** Whoever sees it first says so: a batch whose calls have landed is done when its scope is closed. */
      const done = () => {
        if (!isSealed || isDone || batch.left() > 0) return
        isDone = true
        landed.unsafeDone(Exit.void)
      }
      const batch = yield* open((result) => {
        // The results of a batch are those of its own tools.
        landed.unsafeOffer(result as ToolResult<Tools>)
        done()
      })
      yield* Effect.addFinalizer(() =>
        AtOnce.zipRight(isDone ? Effect.void : batch.stop, Effect.zipRight(landed.shutdown, batch.close))
      )
      yield* restore(batch.recall)
      const seal = Effect.zipRight(
        batch.seal,
        Effect.sync(() => {
          isSealed = true
          Deferred.unsafeDone(sealed, Exit.void)
          done()
        })
      )
      return {
        submit: (call, { hold = false } = {}) =>
          Effect.suspend(() =>
            isSealed
              ? Effect.dieMessage(`The batch is sealed: it takes no call ${call.id} any more`)
              : AtOnce.zipRight(batch.add([call], hold), batch.go)
          ),
        seal: Effect.suspend(() => (isSealed ? Effect.void : Effect.uninterruptible(Effect.zipRight(seal, batch.go)))),
        results: Mailbox.toStream(landed),
        await: Deferred.await(sealed).pipe(Effect.zipRight(batch.join), Effect.zipRight(batch.finish))
      }
    })
  )
