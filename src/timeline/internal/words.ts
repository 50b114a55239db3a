/** What the picture says: names of outcomes and waits, and the details of a lane or a bar, line by line. */
import * as Duration from "effect/Duration"
import { isSecretName } from "../../internal/text.ts"
import { describeFailure } from "../../internal/wording.ts"
import type { ToolError } from "../../ToolError.ts"
import type { Attempt, Batch, CircuitChange, Lane, Mark, Outcome, Timeline, Wait } from "../model.ts"
import { counted, duration, plain } from "./text.ts"

/** How much is said, and of when: times in details are counted from the start of the picture. */
export interface Telling {
  readonly start: number
  /** Whether inputs, outputs and what may quote them are shown. */
  readonly details: boolean
}

const longName = 200
const longText = 600

export const outcome: Readonly<Record<Outcome | "abandoned", string>> = {
  succeeded: "succeeded",
  fallback: "fallback",
  cache: "from the cache",
  coalesced: "shared",
  journal: "from the journal",
  failed: "failed",
  timedOut: "timed out",
  invalid: "invalid call",
  rejected: "rejected",
  skipped: "skipped",
  unknown: "outcome unknown",
  unfinished: "unfinished",
  abandoned: "abandoned"
}

const rejections: Partial<Record<ToolError["_tag"], string>> = {
  CircuitOpen: "circuit open",
  BulkheadFull: "bulkhead full",
  RateLimited: "rate limited",
  BudgetExhausted: "budget spent",
  NotStarted: "not started"
}

/** Whether a failed call may have changed the world all the same. */
export const mayHaveTakenEffect = ({ outcome, result }: Lane): boolean =>
  result?._tag === "Failure" && result.fault.tookEffect === "maybe" && outcome !== "unknown"

export const verdict = (lane: Lane): string => {
  const word = lane.result?._tag === "Failure" ? rejections[lane.result.error._tag] : undefined
  return `${word ?? outcome[lane.outcome]}${mayHaveTakenEffect(lane) ? ", in doubt" : ""}`
}

export const name = ({ call }: Lane): string => plain(call.name, longName)

const position = (index: number): string => `#${index + 1}`

const positions = (indices: ReadonlyArray<number>): string => {
  const shown = indices.slice(0, 5).map(position).join(", ")
  return indices.length > 5 ? `${shown} and ${indices.length - 5} more` : shown
}

/** The kinds of waits that look different. */
export type WaitKind = "calls" | "queue" | "retry"

export const allWaitKinds: ReadonlyArray<WaitKind> = ["calls", "queue", "retry"]

export const waitKind = (wait: Wait): WaitKind =>
  wait.for._tag === "Calls" ? "calls" : wait.for._tag === "Retrying" ? "retry" : "queue"

export const waitKinds: Readonly<Record<WaitKind, string>> = {
  calls: "waits for other calls",
  queue: "waits in a queue",
  retry: "waits before a retry"
}

export const waiting = ({ for: reason }: Wait): string => {
  switch (reason._tag) {
    case "Calls":
      return reason.why === "identical"
        ? `shares the answer of ${positions(reason.calls)}`
        : `waits for ${positions(reason.calls)}${reason.why === "resource" ? " (same resource)" : ""}`
    case "Turn":
      return "waits for the end of the turn"
    case "Batch":
      return "waits for a place in the batch"
    case "Resource":
      return "waits for its resource"
    case "Bulkhead":
      return "waits for a slot"
    case "RateLimit":
      return `waits for the rate limit (${duration(Duration.toMillis(reason.delay))})`
    case "CircuitBreaker":
      return `waits for the circuit breaker (${duration(Duration.toMillis(reason.delay))})`
    case "Retrying":
      return `backs off for ${duration(Duration.toMillis(reason.delay))}`
  }
}

/** The same in a word or two, for where there is little room. */
export const waitLabel = (wait: Wait): string => {
  switch (wait.for._tag) {
    case "Calls":
      return wait.for.why === "identical" ? `same as ${positions(wait.for.calls)}` : positions(wait.for.calls)
    case "Retrying":
      return "back-off"
    case "CircuitBreaker":
      return "circuit"
    case "RateLimit":
      return "rate limit"
    default:
      return wait.for._tag.toLowerCase()
  }
}

/** A property of something that may throw when it is looked at. */
const said = (failure: unknown, key: string): string | undefined => {
  try {
    const value: unknown = typeof failure === "object" && failure !== null ? Reflect.get(failure, key) : undefined
    return typeof value === "string" && value !== "" ? value : undefined
  } catch {
    return undefined
  }
}

/** A failure's tag and message; its other fields, which may quote the input, only where details are asked for. */
const failure = (value: unknown, { details }: Telling): string => {
  if (details) return describeFailure(value, undefined)
  if (typeof value !== "object" || value === null) return typeof value === "string" ? value : "a failure"
  return [said(value, "_tag") ?? said(value, "name"), said(value, "message")]
    .filter((part) => part !== undefined)
    .join(": ")
}

const errorText = (error: ToolError, telling: Telling): string => {
  switch (error._tag) {
    case "ToolFailure":
      return failure(error.failure, telling)
    case "ToolDefect":
      return telling.details
        ? error.message
        : `The handler crashed (${error.correlationId}): ${[error.name, error.code].filter(Boolean).join(" ")}`
    case "MalformedInput":
      return telling.details ? error.message : "The input is not valid JSON"
    case "InvalidInput":
    case "InvalidOutput":
      return telling.details
        ? error.message
        : `${error._tag}: ${error.issues.map(({ path }) => (path.length === 0 ? "(root)" : path.join("."))).join(", ")}`
    case "UnresolvedReference":
      return telling.details ? error.message : "A reference could not be resolved"
    case "Timeout":
      return `${error.message} after ${duration(Duration.toMillis(error.after))}`
    case "DependencyFailed":
      return error.dependency === error.root ? error.message : `${error.message}, because ${error.root} failed`
    case "CircuitOpen":
      return telling.details && error.lastFailure !== undefined
        ? `${error.message}: ${error.lastFailure}`
        : error.message
    default:
      return error.message
  }
}

/** Reading an error may run code of the tool's author. */
const error = (given: ToolError, telling: Telling): string => {
  try {
    return plain(errorText(given, telling), longText) || given._tag
  } catch {
    return given._tag
  }
}

const json = (value: unknown): string => {
  try {
    const written = JSON.stringify(value, (key, inner: unknown) => (isSecretName(key) ? "[hidden]" : inner))
    return plain(written ?? String(value), longText)
  } catch {
    return "(cannot be written as JSON)"
  }
}

const when = ({ from, to }: { readonly from: number; readonly to: number }, { start }: Telling): string =>
  `${duration(from - start)} to ${duration(to - start)} (${duration(to - from)})`

const attemptName = ({ attempt, source }: Attempt): string =>
  source === "hedge" ? `attempt ${attempt}, a hedge` : `attempt ${attempt}`

export const attemptLines = (lane: Lane, attempt: Attempt, telling: Telling): ReadonlyArray<string> => [
  `${position(lane.index)} ${name(lane)}, ${attemptName(attempt)}: ${outcome[attempt.outcome]}`,
  when(attempt, telling),
  ...(attempt.tool === lane.call.name ? [] : [`By ${plain(attempt.tool, longName)}, which answers instead`]),
  ...(attempt.error === undefined ? [] : [error(attempt.error, telling)])
]

export const waitLines = (lane: Lane, wait: Wait, telling: Telling): ReadonlyArray<string> => [
  `${position(lane.index)} ${name(lane)} ${waiting(wait)}`,
  when(wait, telling)
]

export const markLines = (lane: Lane, mark: Mark, more: number, telling: Telling): ReadonlyArray<string> => [
  `${position(lane.index)} ${name(lane)}, attempt ${mark.attempt}: ${plain(mark.note ?? "progress", longText)}`,
  `at ${duration(mark.at - telling.start)}${more === 0 ? "" : `, and ${more} more close by`}`
]

const detailLines = ({ call, result }: Lane): ReadonlyArray<string> => [
  `Input: ${json(call.input)}`,
  ...(result?._tag === "Success" ? [`Output: ${json(result.encoded)}`] : [])
]

export const laneLines = (lane: Lane, telling: Telling): ReadonlyArray<string> => {
  const { beganBefore, call, result } = lane
  const replaced = result?._tag === "Success" ? result.replaces : undefined
  return [
    `${position(lane.index)} ${name(lane)}: ${verdict(lane)}`,
    when(lane, telling),
    `Call ${plain(call.id, longName)}${result === undefined ? "" : `, ${counted(result.attempts, "attempt")}`}`,
    ...(result?._tag === "Failure" ? [error(result.error, telling)] : []),
    ...(replaced === undefined ? [] : [`In place of: ${error(replaced, telling)}`]),
    ...(mayHaveTakenEffect(lane) ? ["It may have taken effect all the same."] : []),
    ...(beganBefore ? ["Its beginning was not recorded."] : []),
    ...(telling.details ? detailLines(lane) : [])
  ]
}

const modes: Readonly<Record<CircuitChange["to"], string>> = {
  Closed: "closed",
  Open: "open",
  HalfOpen: "half-open",
  Isolated: "isolated"
}

export const circuit = (change: CircuitChange): string => `${plain(change.breaker, longName)} ${modes[change.to]}`

export const circuitLines = (change: CircuitChange, telling: Telling): ReadonlyArray<string> => [
  `Circuit ${circuit(change)}`,
  `at ${duration(change.at - telling.start)}, was ${modes[change.from]}: ${change.reason}`,
  `${counted(change.counts.calls, "call")}, ${counted(change.counts.failures, "failure")}, ${change.counts.slow} slow`,
  ...(telling.details && change.lastFailure !== undefined ? [plain(change.lastFailure, longText)] : [])
]

/** More kinds of outcomes than this are too many to be read in a line. */
const maxKinds = 4

/** "3 succeeded, 1 fallback, 1 failed". */
const outcomes = (lanes: ReadonlyArray<Lane>): string => {
  const counts = new Map<string, number>()
  for (const { outcome: kind } of lanes) counts.set(outcome[kind], (counts.get(outcome[kind]) ?? 0) + 1)
  const kinds = Object.values(outcome).filter((word) => counts.has(word))
  if (kinds.length <= maxKinds) return kinds.map((word) => `${counts.get(word)} ${word}`).join(", ")
  const answered = lanes.filter(({ result }) => result?._tag === "Success").length
  return `${answered} with a result, ${lanes.length - answered} without`
}

/** "5 calls: 3 succeeded, 1 fallback, 1 failed; 6 attempts in 612 ms". */
const tally = (lanes: ReadonlyArray<Lane>, millis: number): string => {
  const attempts = lanes.reduce((sum, lane) => sum + lane.spans.filter(({ _tag }) => _tag === "Attempt").length, 0)
  return `${counted(lanes.length, "call")}: ${outcomes(lanes)}; ${counted(attempts, "attempt")} in ${duration(millis)}`
}

export const batch = ({ from, lanes, to }: Batch): string => tally(lanes, to - from)

export const batchId = ({ id }: Batch): string => plain(id, longName)

export const summary = ({ batches, from, to }: Timeline): string => {
  const lanes = batches.flatMap(({ lanes }) => lanes)
  if (lanes.length === 0) return "No calls."
  const lost = lanes.some(({ beganBefore }) => beganBefore) ? " The beginning was not recorded." : ""
  const open = lanes.some(({ result }) => result === undefined) ? " Not all calls had ended." : ""
  const turns = batches.length === 1 ? "" : `${batches.length} batches, `
  return `${turns}${tally(lanes, to - from)}.${open}${lost}`
}
