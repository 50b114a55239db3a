/**
 * The answer of last resort: when the call has failed for good, the tool's `fallback` may still give one, within the
 * attempt timeout. Its answer is marked as a fallback, in the result and to the model. It is not asked after an
 * interruption, nor when the batch's time is up, nor for what the model got wrong: then the model has to know.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { type Answer, type Job, leaked, work } from "../internal/attempt.ts"
import type { Failed } from "../internal/failed.ts"
import * as Timeout from "./Timeout.ts"

const applies = ({ error, fault }: Failed): boolean =>
  fault.owner !== "run" && fault.owner !== "model" && !(error._tag === "Timeout" && error.kind === "batch")

/**
 * Gives the fallback's answer, or the failure it could not replace.
 *
 * @since 0.1.0
 * @category combinators
 */
export const answer = (job: Job, input: unknown, failed: Failed): Effect.Effect<Answer, Failed> => {
  const { fallback } = job.definition.policy
  if (fallback === undefined || !applies(failed)) return Effect.fail(failed)
  const asked = Effect.gen(function* () {
    const left = job.batchDeadline - (yield* Timeout.now)
    const handler = work({ ...job, handler: (given) => fallback(given, failed.error) }, input, {
      id: job.call.id,
      attempt: 1,
      idempotencyKey: job.idempotencyKey,
      dependencies: job.dependencies,
      progress: () => Effect.void
    })
    const limits: Timeout.Limits = {
      millis: Math.min(job.policy.attemptMillis, left),
      kind: "attempt",
      idleMillis: Number.POSITIVE_INFINITY,
      lastSign: () => 0
    }
    const hooks = { onStart: () => {}, onEnd: Effect.void, onLeak: leaked(job) }
    const exit = yield* Effect.uninterruptibleMask((restore) => Timeout.execute(handler, limits, hooks, restore))
    // Whatever went wrong with the fallback, the failure it was to replace stands.
    return Exit.isSuccess(exit) ? exit.value : yield* Effect.fail(failed)
  })
  return Effect.catchAll(asked, () => Effect.fail(failed))
}
