/** What the model reads of a call that did not succeed: what happened, and what to do next. */
import * as Duration from "effect/Duration"
import type { TookEffect } from "../Fault.ts"
import type * as Tool from "../Tool.ts"
import type { CircuitOpen, Issue, NotStarted } from "../ToolError.ts"
import type { Failure } from "../ToolResult.ts"
import * as Effects from "./effects.ts"
import { clip, isSecretName, withoutSecrets } from "./text.ts"

const maxIssues = 10
const maxValue = 300
const maxText = 4000

const seconds = (duration: Duration.Duration): string => {
  const value = Duration.toSeconds(duration)
  return value < 1 ? `${Math.ceil(value * 1000)} milliseconds` : `${Math.ceil(value)} seconds`
}

/** The path is not searched for secrets: "password: Expected a string" holds none, and looks as if it did. */
const issueLine = (issue: Issue): string => {
  const path = issue.path.length === 0 ? "input" : clip(issue.path.join("."), maxValue)
  return `- ${path}: ${withoutSecrets(clip(issue.message.replaceAll(/\s+/g, " "), maxValue))}`
}

const issueLines = (issues: ReadonlyArray<Issue>): string => {
  const more = issues.length - maxIssues
  return [...issues.slice(0, maxIssues).map(issueLine), ...(more > 0 ? [`- and ${more} more`] : [])].join("\n")
}

/** What a model may conclude about the world. */
const effectWords = (tookEffect: TookEffect, effects: Tool.Effects | undefined): string => {
  if (effects === undefined || effects === "read") return ""
  switch (tookEffect) {
    case "no":
      return " It did not take effect."
    case "yes":
      return " It did take effect: do not call it again for the same purpose."
    case "maybe":
      return effects === "idempotent"
        ? " It may have taken effect; calling it again with the same input is safe."
        : " It may have taken effect: find out before you call it again."
  }
}

const plainValue = (value: unknown): string | undefined => {
  switch (typeof value) {
    case "string":
      // Before the quotes are escaped, which would hide a secret in JSON text from its pattern.
      return JSON.stringify(clip(withoutSecrets(clip(value, 4 * maxValue)), maxValue))
    case "number":
    case "boolean":
    case "bigint":
      return String(value)
    default:
      return undefined
  }
}

/** Fields that say what went wrong on the inside. */
const internal = new Set(["_tag", "name", "cause", "stack", "error", "message"])

const ownMessage = (failure: object): string | undefined => {
  const prototype: unknown = Object.getPrototypeOf(failure)
  const written =
    Object.hasOwn(failure, "message") ||
    (typeof prototype === "object" && prototype !== null && Object.hasOwn(prototype, "message"))
  const message: unknown = written ? Reflect.get(failure, "message") : undefined
  return typeof message === "string" && message !== "" ? message : undefined
}

const describeObject = (failure: object): string => {
  const tag: unknown = Reflect.get(failure, "_tag")
  const message = ownMessage(failure)
  const fields = Object.keys(failure).flatMap((key) => {
    if (internal.has(key)) return []
    const value = isSecretName(key) ? "[hidden]" : plainValue(Reflect.get(failure, key))
    return value === undefined ? [] : [`${key}: ${value}`]
  })
  const name = typeof tag === "string" ? tag : "Failure"
  return `${name}${message === undefined ? "" : `: ${message}`}${fields.length === 0 ? "" : ` (${fields.join(", ")})`}`
}

/** A failure's own words where it has any; a hostile one that throws when read is left unnamed. */
export const describeFailure = (failure: unknown, tool: Tool.Definition | undefined): string => {
  try {
    const own = tool?.describe(failure)
    if (typeof own === "string" && own.trim() !== "") return own
    return typeof failure === "object" && failure !== null
      ? describeObject(failure)
      : (plainValue(failure) ?? "Failure")
  } catch {
    return "Failure"
  }
}

const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`)

const laterWords = " The same call may succeed later."
const againWords = " Call it again only if it is still needed."

const waitWords = (retryAfter: Duration.Duration | undefined): string =>
  retryAfter === undefined ? "" : ` Retry after ${seconds(retryAfter)}.`

const triesWords = (attempts: number): string => (attempts > 1 ? ` It was tried ${attempts} times.` : "")

const next = (failure: Failure, effects: Tool.Effects | undefined): string => {
  const { fault } = failure
  const took = effectWords(fault.tookEffect, effects)
  if (fault.owner === "model") return `${took} Change the input before you call it again.`
  if (!fault.transient) return `${took} The same call is unlikely to succeed.`
  const later = took === "" ? laterWords : took
  return `${triesWords(failure.attempts)}${later}${waitWords(fault.retryAfter)}`
}

const nearestWords = (nearest: ReadonlyArray<string>): string =>
  nearest.length === 0
    ? "Use only the tools you were given."
    : `Did you mean ${nearest.map((name) => `"${name}"`).join(" or ")}?`

/** The tool that reads what is kept of outputs too long to show. */
export const readOutput = "read_output"

const circuitWords = (error: CircuitOpen, alternative: string | undefined): string => {
  const why =
    error.mode === "Isolated"
      ? "the service behind this tool has been taken out of use for now"
      : error.mode === "HalfOpen"
        ? "the service behind this tool has been failing and is just being tried again"
        : "the service behind this tool has been failing and is left alone for now"
  const instead = alternative === undefined ? "" : ` Use ${JSON.stringify(alternative)} instead.`
  const wait = waitWords(error.retryAfter)
  return `Not executed: ${why}.${wait}${instead}${wait === "" && instead === "" ? " Go on without it, or call it again later." : ""}`
}

const words = (failure: Failure, tool: Tool.Definition | undefined, alternative: string | undefined): string => {
  const { error, fault } = failure
  const effects = tool && Effects.ofCall(tool)
  const took = effectWords(fault.tookEffect, effects)
  switch (error._tag) {
    case "UnknownTool":
      return `Not executed: there is no tool named ${JSON.stringify(clip(error.name, 80))}. ${nearestWords(error.nearest)}`
    case "MalformedInput":
      return error.truncated
        ? "Not executed: the input ends in the middle of the JSON. Call the tool again with the complete input."
        : `Not executed: the input is not valid JSON (${clip(error.reason, maxValue)}). Call the tool again with valid JSON.`
    case "InvalidInput":
      return `Not executed: the input does not fit the tool's schema.\n${issueLines(error.issues)}\nCorrect the input and call the tool again.`
    case "UnresolvedReference":
      return `Not executed: ${JSON.stringify(clip(error.reference, 80))} cannot be resolved (${error.reason}). Name exactly one other call of the same turn, and a place in its output that is there.`
    case "DependencyCycle":
      return `Not executed: this call waits for itself (${clip([...error.cycle, error.cycle[0]].join(" -> "), maxValue)}). Break the circle and call again.`
    case "ToolFailure":
      return `Failed: ${sentence(clip(describeFailure(error.failure, tool), 2000))}${next(failure, effects)}`
    case "ToolDefect": {
      const why = error.code === undefined ? "an internal error" : `an internal error (${error.code})`
      return `Failed: the tool ended with ${why}.${next(failure, effects)} Reference for support: ${error.correlationId}.`
    }
    case "InvalidOutput":
      return `Failed: the tool ran, but its answer was unusable.${took === "" ? " The same call is unlikely to succeed." : took} Reference for support: ${error.correlationId}.`
    case "Timeout":
      return `Timed out: no answer within ${seconds(error.after)}.${triesWords(failure.attempts)}${took === "" ? laterWords : took}`
    case "CircuitOpen":
      return circuitWords(error, alternative)
    case "BulkheadFull":
      return "Not executed: the tool was busy with other calls all the time. Call it again later, or call it less often at once."
    case "RateLimited":
      return `Not executed: the tool's rate limit is reached.${waitWords(error.retryAfter)}`
    case "BudgetExhausted":
      return "Not executed: the budget for this tool is spent. Go on without it."
    case "DependencyFailed":
      return `Not executed: it depends on ${error.dependency}, which did not succeed${error.root === error.dependency ? "" : ` because ${error.root} failed`}. It had no effect. Call it again once that has succeeded.`
    case "NotStarted":
      return `Not executed: ${notStartedWords[error.reason]}. It had no effect.${againWords}`
    case "OutcomeUnknown":
      if (error.reason === "journal") {
        return `Not executed: whether this call was made before cannot be looked up at the moment.${took}`
      }
      return effects === "read"
        ? "Interrupted while it was running; nothing was changed. Call it again if the answer is still needed."
        : `Outcome unknown: the turn was interrupted while it was running.${took}`
  }
}

const notStartedWords: Readonly<Record<NotStarted["reason"], string>> = {
  interrupted: "the turn was interrupted before this call began",
  deadline: "there was no time left in this turn",
  journal: "calls that change something cannot be made safely at the moment"
}

/** `alternative` is a tool that is there to be used instead. */
export const describe = (failure: Failure, tool: Tool.Definition | undefined, alternative?: string): string => {
  const said = words(failure, tool, alternative)
  return failure.error._tag === "InvalidInput" ? said : withoutSecrets(clip(said, maxText))
}
