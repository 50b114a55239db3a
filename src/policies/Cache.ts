/**
 * Answers of `read` tools that are kept for a while, by tool and canonical input (RFC 8785). Only executions that
 * succeeded are kept: no failure, and no answer of a fallback. A call that waits for the outputs of others is neither
 * answered from the cache nor kept, since its answer may depend on them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Failed } from "../internal/failed.ts"
import type { Answer, Job } from "../internal/job.ts"

/**
 * Answers from the cache, or with `run`.
 *
 * @internal
 */
export const around = (job: Job, run: Effect.Effect<Answer, Failed>): Effect.Effect<Answer, Failed> => {
  const { key } = job
  const { cache } = job.guards
  if (cache === undefined || key === undefined || job.dependencies.size > 0) return run
  return Effect.flatMap(cache.getOption(key), (kept) =>
    Option.isSome(kept)
      ? Effect.succeed<Answer>({ ...kept.value, source: "cache" })
      : Effect.tap(run, (answer) => (answer.source === "fallback" ? Effect.void : cache.set(key, answer)))
  )
}
