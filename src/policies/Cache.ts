/**
 * Answers of `read` tools that are kept for a while, by tool and canonical input (RFC 8785). Only executions that
 * succeeded are kept: no failure, and no answer of a fallback. A call that waits for the outputs of others is neither
 * answered from the cache nor kept, since its answer may depend on them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Failed } from "../internal/failed.ts"
import type { Answer, Job } from "../internal/job.ts"
import type { Resolved } from "../internal/resolve.ts"
import { now } from "./Timeout.ts"

/**
 * The answers of one tool, by key.
 *
 * @internal
 */
export interface Cache {
  readonly get: (key: string) => Effect.Effect<Answer | undefined>
  readonly set: (key: string, answer: Answer) => Effect.Effect<void>
}

/**
 * Not Effect's `Cache`: that of version 3 drops first what was put in first, however often it is asked for, and keeps
 * the keys of expired answers in its list for good.
 *
 * @internal
 */
export const make = ({ capacity, ttlMillis }: NonNullable<Resolved["cache"]>): Cache => {
  /** The least recently used first. */
  const kept = new Map<string, { readonly answer: Answer; readonly until: number }>()
  return {
    get: (key) =>
      Effect.map(now, (time) => {
        const entry = kept.get(key)
        kept.delete(key)
        if (entry === undefined || entry.until <= time) return undefined
        kept.set(key, entry)
        return entry.answer
      }),
    set: (key, answer) =>
      Effect.map(now, (time) => {
        kept.delete(key)
        kept.set(key, { answer, until: time + ttlMillis })
        const [first] = kept.keys()
        if (kept.size > capacity && first !== undefined) kept.delete(first)
      })
  }
}

/**
 * Answers from the cache, or with `run`.
 *
 * @internal
 */
export const around = (job: Job, run: Effect.Effect<Answer, Failed>): Effect.Effect<Answer, Failed> => {
  const { cache } = job.guards
  // One cache for each tool.
  const key = cache === undefined ? undefined : job.canonical
  if (cache === undefined || key === undefined || job.dependencies.size > 0) return run
  return Effect.flatMap(cache.get(key), (kept) =>
    kept !== undefined
      ? Effect.succeed<Answer>({ ...kept, source: "cache" })
      : Effect.tap(run, (answer) => (answer.source === "fallback" ? Effect.void : cache.set(key, answer)))
  )
}
