/**
 * What became of the calls of one turn.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Tool from "./Tool.ts"
import type { Toolbox } from "./Toolbox.ts"
import * as ToolResult from "./ToolResult.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Summary {
  readonly calls: number
  readonly succeeded: number
  readonly failed: number
  /** How often a handler was executed, over all calls. */
  readonly executions: number
  /**
   * What an agent would have paid for that runs the whole turn again until no call is left to repeat: every call that
   * was started, as often as the call that took the most attempts.
   */
  readonly executionsIfAllRetried: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface BatchResult<out Tools extends Tool.Tool = Tool.Tool> {
  readonly id: string
  /** The tools that were there, and how much of their answers may be shown. */
  readonly toolbox: Toolbox<Tools>
  /** One per call, in call order. */
  readonly results: ReadonlyArray<ToolResult.ToolResult<Tools>>
  readonly succeeded: ReadonlyArray<ToolResult.Success<Tool.Output<Tools>>>
  readonly failed: ReadonlyArray<ToolResult.Failure<Tool.Failure<Tools>>>
  readonly duration: Duration.Duration
  readonly summary: Summary
}

const summarise = (results: ReadonlyArray<ToolResult.ToolResult>): Summary => {
  const attempts = results.map((result) => result.attempts)
  const started = attempts.filter((n) => n > 0)
  const succeeded = results.filter(ToolResult.isSuccess).length
  return {
    calls: results.length,
    succeeded,
    failed: results.length - succeeded,
    executions: started.reduce((sum, n) => sum + n, 0),
    executionsIfAllRetried: started.length * started.reduce((most, n) => Math.max(most, n), 0)
  }
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = <Tools extends Tool.Tool>(
  id: string,
  toolbox: Toolbox<Tools>,
  results: ReadonlyArray<ToolResult.ToolResult<Tools>>,
  duration: Duration.Duration
): BatchResult<Tools> => ({
  id,
  toolbox,
  results,
  succeeded: results.filter(ToolResult.isSuccess),
  failed: results.filter(ToolResult.isFailure),
  duration,
  summary: summarise(results)
})
