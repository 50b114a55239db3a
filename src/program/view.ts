/** What the program shows: progress while it runs, then tables, or the same as one JSON document. */
import type { BatchEvents } from "../index.ts"
import type { RunOutcome } from "./Outcome.ts"

const wide = 60

const clip = (text: string, width: number): string => {
  const line = text.replaceAll(/\s+/g, " ").trim()
  return line.length <= width ? line : `${line.slice(0, width - 1)}…`
}

/** Columns as wide as their widest cell; numbers to the right. */
const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string | number>>): string => {
  const cells = [head, ...rows.map((row) => row.map(String))]
  const widths = head.map((_, i) => Math.max(...cells.map((row) => (row[i] ?? "").length)))
  const line = (row: ReadonlyArray<string>, source: ReadonlyArray<unknown>) =>
    row
      .map((cell, i) => (typeof source[i] === "number" ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join("  ")
      .trimEnd()
  return [
    line(head, []),
    widths.map((width) => "-".repeat(width)).join("  "),
    ...rows.map((row) => line(row.map(String), row))
  ].join("\n")
}

const waiting = (wait: BatchEvents.Wait): string => {
  switch (wait._tag) {
    case "Calls":
      return `waits for ${wait.calls.map((index) => `#${index + 1}`).join(", ")}`
    case "Turn":
      return "waits for the end of the turn"
    case "CircuitBreaker":
      return "waits for its circuit breaker"
    case "RateLimit":
      return "waits for its rate limit"
    default:
      return `waits for its ${wait._tag.toLowerCase()}`
  }
}

const mode = { Closed: "closed", Open: "open", HalfOpen: "half-open", Isolated: "isolated" } as const

/** One line of progress, where there is something to tell. */
export const progress = (event: BatchEvents.BatchEvent): string | undefined => {
  if (event._tag === "CircuitChanged") return `  o ${event.breaker}: circuit ${mode[event.to]}`
  const name = event.call.name
  switch (event._tag) {
    case "Submitted":
    case "AttemptSucceeded":
      return undefined
    case "Waiting":
      return `  _ ${name}: ${waiting(event.for)}`
    case "AttemptStarted":
      return `  > ${name}: ${event.source === "hedge" ? "hedge, " : ""}attempt ${event.attempt}`
    case "AttemptFailed":
      return `  ! ${name}: attempt ${event.attempt} failed (${event.error._tag})`
    case "AttemptAbandoned":
      return `  - ${name}: attempt ${event.attempt} abandoned`
    case "Retrying":
      return `  ~ ${name}: again`
    case "Progress":
      return `  . ${name}: ${event.note ?? "working"}`
    case "Finished":
      return event.result._tag === "Success"
        ? `  + ${name}: ${event.result.source === "executed" ? "done" : event.result.source}`
        : `  x ${name}: ${event.result.error._tag}`
  }
}

export const turn = (number: number, { calls, millis }: RunOutcome["turns"][number]): string =>
  `Turn ${number}: ${calls.length} call${calls.length === 1 ? "" : "s"} in ${millis} ms\n` +
  table(
    ["call", "outcome", "attempts", "ms", "what the model was told"],
    calls.map((call) => [call.tool, call.outcome, call.attempts, call.millis, clip(call.told, wide)])
  )

const calls = (n: number) => `${n} call${n === 1 ? "" : "s"}`

/** What is left of a run that was killed, and what it took to end it. */
export const resumed = ({ executions, ledger }: RunOutcome, kept: number): string =>
  `${calls(kept)} answered from the journal, ${executions === 0 ? "none" : calls(executions)} executed by this process, ` +
  `${ledger.refunds} refund${ledger.refunds === 1 ? "" : "s"} in the ledger.`

export const comparison = (outcomes: ReadonlyArray<RunOutcome>): string =>
  table(
    ["", "results lost", "executions paid for", "refunds in the ledger"],
    outcomes.map(({ executions, ledger, lost, mode }) => [
      mode === "safe" ? "Salvo" : "Promise.all + blanket retry",
      lost,
      executions,
      ledger.refunds
    ])
  )
