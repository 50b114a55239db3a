/**
 * How much of an answer the model is given. `Report` keeps head and tail of one that is over `maxOutputBytes`; here the
 * whole of it is put into the `OutputStore`, where one is provided, so that the model can read the rest.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Content from "../Content.ts"
import type { Answer, Job } from "../internal/job.ts"
import { exceeds } from "../internal/text.ts"
import type { Spilled } from "../ToolResult.ts"
import * as Timeout from "./Timeout.ts"

/** An answer as the text the model would read. */
const textOf = (encoded: unknown): string => {
  if (typeof encoded === "string") return encoded
  if (!Content.isContent(encoded)) return encoded === undefined ? "" : JSON.stringify(encoded)
  return encoded.blocks.flatMap((block) => (typeof block["text"] === "string" ? [block["text"]] : [])).join("\n")
}

/** A store is waited for no longer than a handler would be, and never beyond the batch. */
const inTime = <A, E>(job: Job, put: Effect.Effect<A, E>) =>
  Effect.flatMap(Timeout.now, (time) =>
    Effect.timeout(
      Effect.disconnect(put),
      Duration.millis(Math.max(0, Math.min(job.policy.attemptMillis, job.shared.batchDeadline - time)))
    )
  )

/**
 * Puts away what the model will not be shown. A store that fails costs the call nothing but that.
 *
 * @internal
 */
export const spill = (job: Job, { encoded }: Answer): Effect.Effect<Spilled | undefined> => {
  const { outputStore } = job.shared
  if (outputStore === undefined) return Effect.succeed(undefined)
  const text = textOf(encoded)
  if (!exceeds(text, job.policy.maxOutputBytes)) return Effect.succeed(undefined)
  // Two calls may have one id, but never one key.
  const key = job.idempotencyKey
  const put = Effect.suspend(() => outputStore.put(key, text))
  return inTime(job, put).pipe(
    Effect.as<Spilled | undefined>({ key, characters: text.length }),
    Effect.catchAllCause((cause) =>
      Effect.as(
        Effect.annotateLogs(Effect.logWarning("The output could not be kept", cause), {
          tool: job.definition.name,
          call: job.call.id
        }),
        undefined
      )
    )
  )
}
