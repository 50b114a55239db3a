/** A handler run on its own: any way it can end is an answer or a failure, and one that will not end is told of. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import type * as Tool from "../Tool.ts"
import type { Issue } from "../ToolError.ts"
import * as Failed from "./failed.ts"
import type { Answer, Job } from "./job.ts"
import * as Output from "./output.ts"

const isEffect = (u: unknown): u is Effect.Effect<unknown, unknown> => Effect.isEffect(u)

const notAnEffect = (name: string, u: unknown) =>
  Effect.dieMessage(
    `The handler of ${name} answered with ${typeof u === "object" ? "an object" : typeof u}, not an Effect`
  )

type Handled = Pick<Job, "definition" | "handler">

/** Runs the handler. */
export const handle = (
  { definition, handler }: Handled,
  input: unknown,
  call: Tool.Call
): Effect.Effect<unknown, unknown> =>
  Effect.suspend(() => {
    // The toolbox pairs a handler with its own definition, whose schema decoded this input.
    const effect = handler(input as never, call)
    return isEffect(effect) ? effect : notAnEffect(definition.name, effect)
  })

/** Runs the handler and encodes its output; any way it can end is an answer or a failed attempt. */
export const work = (
  handled: Handled,
  input: unknown,
  call: Tool.Call,
  source: Answer["source"]
): Effect.Effect<Answer, Failed.Failed> =>
  Effect.matchCauseEffect(handle(handled, input, call), {
    onFailure: (cause) => Effect.flatMap(Failed.fromCause(handled.definition, cause), Effect.fail),
    onSuccess: (output) => answer(handled.definition, output, source)
  })

/** Encodes an output. */
export const answer = (
  definition: Tool.Definition,
  output: unknown,
  source: Answer["source"]
): Effect.Effect<Answer, Failed.Failed> => {
  const refused = (issues: ReadonlyArray<Issue>) =>
    Effect.flatMap(Failed.invalidOutput(definition, issues), Effect.fail)
  const encoded = Output.encode(definition, output)
  if (!Either.isEither(encoded)) {
    return Effect.matchEffect(encoded, {
      onFailure: refused,
      onSuccess: (encoded) => Effect.succeed<Answer>({ output, encoded, source })
    })
  }
  return Either.isLeft(encoded) ? refused(encoded.left) : Exit.succeed({ output, encoded: encoded.right, source })
}

const leakedCounter = Metric.counter("salvo_leaked_handlers_total", {
  description: "Handlers that did not stop in time after they were interrupted",
  incremental: true
})

const leakedGauge = Metric.gauge("salvo_leaked_handlers", {
  description: "Handlers that were interrupted long ago and are still running"
})

/** Tells of a handler that ignores interruption, and counts it until it has ended. */
export const leaked =
  ({ call, definition }: Job) =>
  (ended: Effect.Effect<void>): Effect.Effect<void> => {
    const running = Metric.tagged(leakedGauge, "tool", definition.name)
    return Effect.logWarning(`Tool ${definition.name} ignores interruption and is still running`).pipe(
      Effect.annotateLogs({ tool: definition.name, call: call.id }),
      Effect.zipRight(Metric.increment(Metric.tagged(leakedCounter, "tool", definition.name))),
      Effect.zipRight(Metric.modify(running, 1)),
      Effect.zipRight(ended),
      Effect.zipRight(Metric.modify(running, -1))
    )
  }

/** A handler's fiber that ends without an answer was killed from inside: its finalizers died, or it stopped itself. */
export const fromExit = (job: Job, exit: Exit.Exit<Answer, Failed.Failed>): Effect.Effect<Answer, Failed.Failed> =>
  Exit.isSuccess(exit) || Cause.isFailType(exit.cause)
    ? exit
    : Effect.flatMap(Failed.fromCause(job.definition, exit.cause), Effect.fail)
