/** What a call has come to, as its one result. */
import * as Duration from "effect/Duration"
import type * as Exit from "effect/Exit"
import type { ToolCall } from "../ToolCall.ts"
import * as ToolError from "../ToolError.ts"
import type * as ToolResult from "../ToolResult.ts"
import * as Failed from "./failed.ts"
import type { Answer, Job } from "./job.ts"
import * as Entry from "./journal/entry.ts"

/** Of a call that was not run. */
export const unstarted = (call: ToolCall, failed: Failed.Failed): ToolResult.Failure => ({
  _tag: "Failure",
  call,
  error: failed.error,
  fault: failed.fault,
  attempts: 0,
  duration: Duration.zero
})

/** The result of what a call has come to. */
const resultOf = ({ call, progress, shared }: Job, settled: Answer | Failed.Failed): ToolResult.ToolResult => {
  const { attempts, spilled, startedAt } = progress
  const duration = Duration.millis(startedAt === undefined ? 0 : shared.time() - startedAt)
  if (!Entry.isAnswer(settled)) {
    return { _tag: "Failure", call, error: settled.error, fault: settled.fault, attempts, duration }
  }
  const success = { _tag: "Success", call, ...settled, attempts, duration } as const
  return spilled === undefined ? success : { ...success, spilled }
}

/** What a call has come to when the batch is interrupted. */
export const interrupted = (job: Job): ToolResult.ToolResult => {
  const { attempts, instead, last, running, settled } = job.progress
  if (settled !== undefined) return resultOf(job, settled)
  const unknown = Failed.of(new ToolError.OutcomeUnknown(), job.definition)
  const notStarted = Failed.of(new ToolError.NotStarted({ reason: "interrupted" }), job.definition)
  // Between two attempts the last one's failure stands.
  const known = attempts === 0 ? notStarted : (last ?? unknown)
  return resultOf(job, !running.isEmpty || (instead !== undefined && mayHaveChanged(instead)) ? unknown : known)
}

/** What a call has come to. One whose fiber ended in no other way was interrupted. */
export const ended = (job: Job, exit: Exit.Exit<Answer, Failed.Failed>): ToolResult.ToolResult => {
  const settled = Failed.settled(exit)
  return settled === undefined ? interrupted(job) : resultOf(job, settled)
}

/** Whether a tool that was asked instead, and is not running now, may have changed something. */
const mayHaveChanged = ({ definition, progress: { instead, last, settled } }: Job): boolean =>
  (settled !== undefined && Entry.isAnswer(settled)
    ? definition.effects !== "read"
    : last !== undefined && last.fault.tookEffect !== "no") ||
  (instead !== undefined && mayHaveChanged(instead))
