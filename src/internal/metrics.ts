/** The metrics of tools, as Effect's registry keeps them. */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricLabel from "effect/MetricLabel"
import type { ToolError } from "../ToolError.ts"
import type { ToolResult } from "../ToolResult.ts"

export type Labels = ReadonlyArray<MetricLabel.MetricLabel>

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

const calls = counter("salvo_calls_total", "Tool calls by outcome and owner of the fault")
const attempts = counter("salvo_attempts_total", "Executions of handlers")
const coalesced = counter("salvo_coalesced_total", "Tool calls that were answered by an identical call of their batch")
const skipped = counter("salvo_skipped_total", "Tool calls that were not run because a call they depend on failed")

/** Those the GenAI conventions recommend for durations, in seconds. */
const seconds = MetricBoundaries.exponential({ start: 0.01, factor: 2, count: 14 })

const durations = Metric.histogram("salvo_call_duration_seconds", seconds, "From ready to landed")
const queues = Metric.histogram("salvo_call_queue_seconds", seconds, "From ready to the first execution")

/** Errors of calls that nothing was waited for or asked of: how long they took says nothing. */
const neverReady: ReadonlySet<string> = new Set<ToolError["_tag"]>([
  "UnknownTool",
  "MalformedInput",
  "InvalidInput",
  "UnresolvedReference",
  "DependencyCycle",
  "DependencyFailed",
  "NotStarted"
])

const wasReady = (result: ToolResult, millis: number): boolean =>
  result._tag === "Success" || millis > 0 || !neverReady.has(result.error._tag)

/** The metrics of one tool. Labels are made once: Effect finds a metric by their identity. */
export interface ToolMetrics {
  readonly attempted: () => void
  readonly coalesced: () => void
  readonly queued: (millis: number) => void
  readonly landed: (result: ToolResult, millis: number) => void
}

const metricsOf = (name: string, extra: Labels): ToolMetrics => {
  const tool = [MetricLabel.make("tool", name), ...extra]
  const outcomes = new Map<string, Labels>()
  const outcome = (kind: string, owner: string): Labels => {
    const key = `${kind} ${owner}`
    const known = outcomes.get(key)
    if (known !== undefined) return known
    const made = [...tool, MetricLabel.make("outcome", kind), MetricLabel.make("owner", owner)]
    outcomes.set(key, made)
    return made
  }
  const success = outcome("success", "none")
  return {
    attempted: () => attempts.unsafeUpdate(1, tool),
    coalesced: () => coalesced.unsafeUpdate(1, tool),
    queued: (millis) => queues.unsafeUpdate(millis / 1000, tool),
    landed: (result, millis) => {
      if (wasReady(result, millis)) durations.unsafeUpdate(millis / 1000, tool)
      if (result._tag === "Success") {
        calls.unsafeUpdate(1, success)
      } else {
        calls.unsafeUpdate(1, outcome(result.error._tag, result.fault.owner))
        if (result.error._tag === "DependencyFailed") skipped.unsafeUpdate(1, tool)
      }
    }
  }
}

/** What the model invents is no label: there would be no end of them. */
const unknownTool = "(unknown)"

const untagged = new Map<string, ToolMetrics>()

/** A process has a few tools of a few names, also where their definitions are made anew. */
const known = (name: string): ToolMetrics => {
  const metrics = untagged.get(name) ?? metricsOf(name, [])
  untagged.set(name, metrics)
  return metrics
}

/** The metrics of tools under the labels that are around a batch. `name` is that of a tool that is there. */
export const under = (extra: Labels): ((name: string | undefined) => ToolMetrics) => {
  if (extra.length === 0) return (name = unknownTool) => known(name)
  const own = new Map<string, ToolMetrics>()
  return (name = unknownTool) => {
    const metrics = own.get(name) ?? metricsOf(name, extra)
    own.set(name, metrics)
    return metrics
  }
}
