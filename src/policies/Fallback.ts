/**
 * The answer of last resort: when the call has failed for good, the tool's `fallback` may still give one: an effect, a
 * value, or another tool under its own policy. Its answer is marked as a fallback, in the result and to the model. It
 * is not asked after an interruption, nor when the batch's time is up, nor for what the model got wrong: then the model
 * has to know. A fallback that fails leaves the failure it was to replace, and what it may have changed is said there.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { answer, fromExit, leaked, work } from "../internal/handler.ts"
import * as Effects from "../internal/effects.ts"
import * as Failed from "../internal/failed.ts"
import { type Answer, besideAttempts, type Job } from "../internal/job.ts"
import * as Recall from "../internal/journal/recall.ts"
import type { TookEffect } from "../Fault.ts"
import type { ToolError } from "../ToolError.ts"
import type { FallbackPolicy, FallbackTool } from "./PolicyData.ts"
import * as Timeout from "./Timeout.ts"

type Fallback = FallbackPolicy<never, unknown, unknown>

const applies = ({ error, fault }: Failed.Failed): boolean =>
  fault.owner !== "run" && fault.owner !== "model" && !(error._tag === "Timeout" && error.kind === "batch")

/**
 * The effect of a fallback runs like a handler: in a fiber of its own, within the attempt's time. That of a write may
 * write as well.
 */
const fromEffect = (
  job: Job,
  input: unknown,
  fallback: (input: never, error: ToolError) => Effect.Effect<unknown, unknown>,
  failed: Failed.Failed
): Effect.Effect<Answer, Failed.Failed> =>
  Effect.gen(function* () {
    yield* Recall.intend(job)
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
    ).pipe(Effect.mapError((error) => Failed.of(error, job.definition)))
    return yield* fromExit(job, exit)
  })

/** The other tool's answer, under its own policy, read as this tool's. */
const fromTool = (
  job: Job,
  input: unknown,
  { input: makeInput, tool }: FallbackTool<never, unknown, unknown>,
  failed: Failed.Failed
): Effect.Effect<Answer, Failed.Failed> =>
  // The call's own input, if nothing else is said: the two tools then take the same.
  Effect.suspend(() => {
    const instead = job.instead(tool, makeInput === undefined ? job.written : makeInput(input as never))
    // It takes what it uses itself, which may be the same.
    const letGo = job.letGo ?? Effect.void
    return Effect.zipRight(Effect.zipRight(letGo, Recall.givesUp(job, failed)), instead)
  }).pipe(
    Effect.flatMap(({ output }) =>
      Effect.mapError(answer(job.definition, output, "fallback"), (unusable) =>
        Effects.ofCall(tool.definition) === "read" ? unusable : tookToo(unusable, "yes")
      )
    )
  )

const tookToo = ({ error, fault }: Failed.Failed, tookEffect: TookEffect): Failed.Failed => ({
  error,
  fault: { ...fault, tookEffect: Effects.ofBoth(fault.tookEffect, tookEffect) }
})

const ask = (job: Job, input: unknown, fallback: Fallback, failed: Failed.Failed) => {
  if (typeof fallback === "function") return fromEffect(job, input, fallback, failed)
  return "value" in fallback
    ? answer(job.definition, fallback.value, "fallback")
    : fromTool(job, input, fallback, failed)
}

/**
 * Runs `run`, and gives the fallback's answer where it fails, or the failure it could not replace.
 *
 * @internal
 */
export const around = (
  job: Job,
  input: unknown,
  run: Effect.Effect<Answer, Failed.Failed>
): Effect.Effect<Answer, Failed.Failed> => {
  const { fallback } = job.definition.policy
  if (fallback === undefined) return run
  return Effect.catchAll(run, (failed) =>
    applies(failed)
      ? ask(job, input, fallback, failed).pipe(
          Effect.map((answer): Answer => ({ ...answer, replaces: failed.error })),
          // Whatever went wrong with the fallback, the failure it was to replace stands.
          Effect.catchAll(({ fault }) => Effect.fail(tookToo(failed, fault.tookEffect))),
          Effect.catchAllDefect(() => Effect.fail(failed))
        )
      : Effect.fail(failed)
  )
}
