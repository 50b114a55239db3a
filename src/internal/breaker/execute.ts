/** One call through a breaker: admitted, run, recorded, in as few steps of the fiber as that takes. */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as RuntimeFlags from "effect/RuntimeFlags"
import * as RuntimeFlagsPatch from "effect/RuntimeFlagsPatch"
import type { Breaker, Outcome, Permit } from "../../services/CircuitBreaker.ts"
import type { CircuitOpen } from "../../ToolError.ts"
import type { Restore } from "../job.ts"
import * as Monotonic from "../monotonic.ts"
import * as Through from "./through.ts"

export type Classify<in A, in E> = (exit: Exit.Exit<A, E>) => Outcome

const success: Outcome = { _tag: "Success" }
const ignored: Outcome = { _tag: "Ignored" }
const unclassified: Outcome = { _tag: "Failure", cause: "its exit could not be classified" }

const firstLine = (text: string): string => text.split("\n", 1)[0] ?? ""

export const classifyExit: Classify<unknown, unknown> = (exit) => {
  if (Exit.isSuccess(exit)) return success
  return Cause.isInterruptedOnly(exit.cause) ? ignored : { _tag: "Failure", cause: firstLine(Cause.pretty(exit.cause)) }
}

const unclassifiable = <A, E>(breaker: Breaker, permit: Permit, mistake: unknown): Effect.Effect<A, E> =>
  // Whatever happens, the permit has to come back.
  Effect.zipRight(breaker.record(permit, unclassified), Effect.die(mistake))

const recorded = <A, E>(
  breaker: Breaker,
  permit: Permit,
  classify: Classify<A, E>,
  time: () => number,
  exit: Exit.Exit<A, E>
): Effect.Effect<A, E> => {
  let outcome: Outcome
  try {
    outcome = classify(exit)
  } catch (mistake) {
    return unclassifiable(breaker, permit, mistake)
  }
  return Through.record(breaker, permit, outcome, time, exit)
}

/** To be run where interruption is masked. */
const admitted = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  breaker: Breaker,
  classify: Classify<A, E>,
  clock: Clock.Clock,
  restore: Restore
): Effect.Effect<A, E | CircuitOpen, R> => {
  const time = Monotonic.reader(clock)
  const use = (permit: Permit): Effect.Effect<A, E | CircuitOpen, R> =>
    Effect.matchCauseEffect(restore(effect), {
      onFailure: (cause) => recorded(breaker, permit, classify, time, Exit.failCause(cause)),
      onSuccess: (value) => recorded(breaker, permit, classify, time, Exit.succeed(value))
    })
  return Through.admit(breaker, restore, time, use, Effect.failCause)
}

// `Effect.uninterruptibleMask` is made of these, and takes the fiber more steps.
const mask = Effect.withRuntimeFlagsPatch(RuntimeFlagsPatch.disable(RuntimeFlags.Interruption))
const unmask: Restore = Effect.withRuntimeFlagsPatch(RuntimeFlagsPatch.enable(RuntimeFlags.Interruption))

/** An interruption frees the slot it held and counts as nothing. `flags` are those of the fiber that runs it. */
export const execute = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  breaker: Breaker,
  classify: Classify<A, E>,
  clock: Clock.Clock,
  flags: RuntimeFlags.RuntimeFlags
): Effect.Effect<A, E | CircuitOpen, R> => {
  const call = (restore: Restore) => admitted(effect, breaker, classify, clock, restore)
  if (!RuntimeFlags.interruption(flags)) return call(identity)
  return mask(Through.isLazy(breaker) ? call(unmask) : Effect.suspend(() => call(unmask)))
}
