/**
 * The answer of last resort: when the call has failed for good, the tool's `fallback` may still give one: an effect, a
 * value, or another tool under its own policy. Its answer is marked as a fallback, in the result and to the model. It
 * is not asked after an interruption, nor when the batch's time is up, nor for what the model got wrong: then the model
 * has to know.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { answer, leaked, work } from "../internal/attempt.ts"
import type { Failed } from "../internal/failed.ts"
import { type Answer, besideAttempts, type Job } from "../internal/job.ts"
import type { ToolError } from "../ToolError.ts"
import type { FallbackPolicy, FallbackTool } from "./PolicyData.ts"
import * as Timeout from "./Timeout.ts"

type Fallback = FallbackPolicy<never, unknown, unknown>

const applies = ({ error, fault }: Failed): boolean =>
  fault.owner !== "run" && fault.owner !== "model" && !(error._tag === "Timeout" && error.kind === "batch")

/** The effect of a fallback runs like a handler: in a fiber of its own, within the attempt's time. */
const fromEffect = (
  job: Job,
  input: unknown,
  fallback: (input: never, error: ToolError) => Effect.Effect<unknown, unknown>,
  failed: Failed
) =>
  Effect.gen(function* () {
    const left = job.shared.batchDeadline - (yield* Timeout.now)
    const asked = { definition: job.definition, handler: (given: never) => fallback(given, failed.error) }
    const limits: Timeout.Limits = {
      millis: Math.min(job.policy.attemptMillis, left),
      kind: "attempt",
      idleMillis: Number.POSITIVE_INFINITY,
      graceMillis: job.policy.graceMillis,
      lastSign: () => 0
    }
    const hooks = { onStart: () => {}, onDone: () => {}, onEnd: Effect.void, onLeak: leaked(job) }
    const exit = yield* Effect.uninterruptibleMask((restore) =>
      Timeout.execute(work(asked, input, besideAttempts(job, 1), "fallback"), limits, hooks, restore)
    )
    return Exit.isSuccess(exit) ? exit.value : yield* Effect.fail(failed)
  })

/** The other tool's answer, under its own policy, read as this tool's. */
const fromTool = (job: Job, input: unknown, { input: makeInput, tool }: FallbackTool<never, unknown, unknown>) =>
  // The call's own input, if nothing else is said: the two tools then take the same.
  Effect.suspend(() => {
    const instead = job.instead(tool, makeInput === undefined ? job.written : makeInput(input as never))
    // It takes what it uses itself, which may be the same.
    return job.letGo === undefined ? instead : Effect.zipRight(job.letGo, instead)
  }).pipe(Effect.flatMap(({ output }) => answer(job.definition, output, "fallback")))

const ask = (job: Job, input: unknown, fallback: Fallback, failed: Failed) => {
  if (typeof fallback === "function") return fromEffect(job, input, fallback, failed)
  return "value" in fallback ? answer(job.definition, fallback.value, "fallback") : fromTool(job, input, fallback)
}

/**
 * Runs `run`, and gives the fallback's answer where it fails, or the failure it could not replace.
 *
 * @internal
 */
export const around = (job: Job, input: unknown, run: Effect.Effect<Answer, Failed>): Effect.Effect<Answer, Failed> => {
  const { fallback } = job.definition.policy
  if (fallback === undefined) return run
  return Effect.catchAll(run, (failed) =>
    applies(failed)
      ? ask(job, input, fallback, failed).pipe(
          Effect.map((answer): Answer => ({ ...answer, replaces: failed.error })),
          // Whatever went wrong with the fallback, the failure it was to replace stands.
          Effect.catchAll(() => Effect.fail(failed)),
          Effect.catchAllDefect(() => Effect.fail(failed))
        )
      : Effect.fail(failed)
  )
}
