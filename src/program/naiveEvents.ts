/** What the naive way does, told as the same kind of events: for the live view and the timeline. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { BatchEvents, Fault, type ToolCall, ToolError, type ToolResult } from "../index.ts"
import { now } from "../policies/Timeout.ts"
import { toolbox } from "./tools.ts"

export interface Told {
  /** All calls have been asked for. */
  readonly submitted: Effect.Effect<void>
  /** An execution, told of when it starts, and when it ends, unless nobody waits for it any more. */
  readonly attempt: <A, E extends Error, R>(
    index: number,
    attempt: number,
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
  /** `Promise.all` has rejected: what still runs is left behind. */
  readonly rejected: (attempt: number) => Effect.Effect<void>
  /** All calls are run once more. */
  readonly again: (attempt: number) => Effect.Effect<void>
  /** The results of all calls, or the one error that took their place. */
  readonly finished: (outputs: ReadonlyArray<unknown> | Error, attempts: number) => Effect.Effect<void>
}

/** Nobody knows what a write came to that was left behind, or whose result was thrown away. */
const faultOf = (name: string): Fault.Fault =>
  Fault.permanent({ tookEffect: toolbox.byName.get(name)?.definition.effects === "read" ? "no" : "maybe" })

export const make = (batchId: string, calls: ReadonlyArray<ToolCall.ToolCall>) =>
  Effect.gen(function* () {
    const { publish } = yield* BatchEvents.BatchEvents
    const startedAt = yield* now
    /** The attempts somebody waits for. */
    const running = new Set<string>()

    const tell = (index: number, call: ToolCall.ToolCall, event: BatchEvents.CallEvent) =>
      Effect.flatMap(now, (at) => publish({ ...event, at, batchId, index, call }))

    const all = (event: (call: ToolCall.ToolCall, index: number) => BatchEvents.CallEvent) =>
      Effect.forEach(calls, (call, i) => tell(i, call, event(call, i)), { discard: true })

    const ended = (index: number, attempt: number, exit: Exit.Exit<unknown, Error>): Effect.Effect<void> => {
      const call = calls[index]
      if (call === undefined || !running.delete(`${index} ${attempt}`)) return Effect.void
      return tell(
        index,
        call,
        Exit.isSuccess(exit)
          ? { _tag: "AttemptSucceeded", attempt }
          : { _tag: "AttemptFailed", attempt, error: ToolError.toolFailure(Cause.squash(exit.cause)) }
      )
    }

    const told: Told = {
      submitted: all(() => ({ _tag: "Submitted" })),
      attempt: (index, attempt, effect) =>
        Effect.suspend(() => {
          const call = calls[index]
          running.add(`${index} ${attempt}`)
          const started = { _tag: "AttemptStarted", attempt, source: "executed" } as const
          return Effect.zipRight(
            call === undefined ? Effect.void : tell(index, call, started),
            Effect.onExit(effect, (exit) => ended(index, attempt, exit))
          )
        }),
      rejected: (attempt) =>
        Effect.forEach(
          calls,
          (call, i) =>
            running.delete(`${i} ${attempt}`) ? tell(i, call, { _tag: "AttemptAbandoned", attempt }) : Effect.void,
          { discard: true }
        ),
      again: (attempt) => all(() => ({ _tag: "Retrying", attempt, delay: Duration.zero })),
      finished: (outputs, attempts) =>
        Effect.flatMap(now, (at) => {
          const common = { attempts, duration: Duration.millis(at - startedAt) }
          return all((call, i) => {
            const result: ToolResult.ToolResult =
              outputs instanceof Error
                ? {
                    _tag: "Failure",
                    call,
                    error: ToolError.toolFailure(outputs),
                    fault: faultOf(call.name),
                    ...common
                  }
                : {
                    _tag: "Success",
                    call,
                    output: outputs[i],
                    encoded: outputs[i],
                    source: "executed",
                    ...common
                  }
            return { _tag: "Finished", result }
          })
        })
    }
    return told
  })
