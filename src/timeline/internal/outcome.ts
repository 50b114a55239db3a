/** What an error or a result comes to in the picture. */
import type { ToolError } from "../../ToolError.ts"
import type { ToolResult } from "../../ToolResult.ts"
import type { Attempt, Outcome } from "../model.ts"

export const ofError = (error: ToolError): Outcome => {
  switch (error._tag) {
    case "ToolFailure":
    case "ToolDefect":
    case "InvalidOutput":
      return "failed"
    case "Timeout":
      return "timedOut"
    case "UnknownTool":
    case "MalformedInput":
    case "InvalidInput":
    case "UnresolvedReference":
    case "DependencyCycle":
      return "invalid"
    case "CircuitOpen":
    case "BulkheadFull":
    case "RateLimited":
    case "BudgetExhausted":
      return "rejected"
    case "DependencyFailed":
    case "NotStarted":
      return "skipped"
    case "OutcomeUnknown":
      return "unknown"
  }
}

export const ofResult = (result: ToolResult): Outcome => {
  if (result._tag === "Failure") return ofError(result.error)
  return result.source === "executed" || result.source === "hedge" ? "succeeded" : result.source
}

/** What has become of an attempt that was still running when its call's result came. */
export const ofLeftOver = ({ source }: Pick<Attempt, "source">, result: ToolResult): Attempt["outcome"] => {
  if (result._tag === "Success") return result.source === source ? "succeeded" : "abandoned"
  return result.error._tag === "Timeout" || result.error._tag === "OutcomeUnknown" ? ofResult(result) : "abandoned"
}
