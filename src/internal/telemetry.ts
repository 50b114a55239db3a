/** Spans and metrics of calls. Nothing of it costs anything to speak of where nobody listens. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricLabel from "effect/MetricLabel"
import * as Tracer from "effect/Tracer"
import { type Contents, SpanContents } from "../services/Telemetry.ts"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import type { ToolResult } from "../ToolResult.ts"
import { clip, withoutSecrets } from "./text.ts"

type Labels = ReadonlyArray<MetricLabel.MetricLabel>

const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

const calls = counter("salvo_calls_total", "Tool calls by outcome and owner of the fault")
const attempts = counter("salvo_attempts_total", "Executions of handlers")
const coalesced = counter("salvo_coalesced_total", "Tool calls that were answered by an identical call of their batch")
const skipped = counter("salvo_skipped_total", "Tool calls that were not run because a call they depend on failed")

/** Those the GenAI conventions recommend for durations, in seconds. */
const seconds = MetricBoundaries.exponential({ start: 0.01, factor: 2, count: 14 })

const durations = Metric.histogram("salvo_call_duration_seconds", seconds, "From ready to landed")
const queues = Metric.histogram("salvo_call_queue_seconds", seconds, "From ready to the first execution")

/** The metrics of one tool. Labels are made once: Effect finds a metric by their identity. */
export interface ToolMetrics {
  readonly attempted: () => void
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
    queued: (millis) => queues.unsafeUpdate(millis / 1000, tool),
    landed: (result, millis) => {
      durations.unsafeUpdate(millis / 1000, tool)
      if (result._tag === "Success") {
        calls.unsafeUpdate(1, success)
        if (result.source === "coalesced") coalesced.unsafeUpdate(1, tool)
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

const isHeard = Effect.zipWith(
  Effect.tracer,
  FiberRef.get(FiberRef.currentTracerEnabled),
  (tracer, enabled) => enabled && tracer !== Context.get(DefaultServices.liveServices, Tracer.Tracer)
)

export interface Telemetry {
  readonly isTraced: boolean
  readonly contents: Contents
  /** `name` is that of a tool that is there. */
  readonly metrics: (name: string | undefined) => ToolMetrics
}

/** As things stand where a batch is opened. */
export const make: Effect.Effect<Telemetry> = Effect.gen(function* () {
  const extra = yield* FiberRef.get(FiberRef.currentMetricLabels)
  const own = new Map<string, ToolMetrics>()
  return {
    isTraced: yield* isHeard,
    contents: yield* SpanContents,
    metrics: (name = unknownTool) => {
      if (extra.length === 0) return known(name)
      const metrics = own.get(name) ?? metricsOf(name, extra)
      own.set(name, metrics)
      return metrics
    }
  }
})

/** A span around an effect, where a tracer listens. */
export const span = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  name: string,
  attributes: Record<string, unknown>,
  kind: Tracer.SpanKind = "internal"
): Effect.Effect<A, E, R> =>
  Effect.flatMap(isHeard, (heard) =>
    heard
      ? (Effect.withSpan(effect, name, { attributes, kind, captureStackTrace: false }) as Effect.Effect<A, E, R>)
      : effect
  )

const shown = (value: unknown, { maxLength }: Contents): string =>
  // Clipped first: what looks for secrets is slow on very long texts.
  withoutSecrets(clip(typeof value === "string" ? value : (JSON.stringify(value) ?? ""), maxLength))

/** The span of a call, to be ended by `ended`. `definition` is missing where the call was not run. */
export const begun = (
  call: ToolCall,
  definition: Pick<Tool.Definition, "description" | "effects"> | undefined,
  { contents }: Telemetry
): Effect.Effect<Tracer.Span> =>
  Effect.makeSpan(`execute_tool ${call.name}`, {
    kind: "internal",
    captureStackTrace: false,
    attributes: {
      "gen_ai.operation.name": "execute_tool",
      "gen_ai.tool.name": call.name,
      "gen_ai.tool.call.id": call.id,
      "gen_ai.tool.type": "function",
      ...(definition === undefined
        ? {}
        : { "gen_ai.tool.description": definition.description, "salvo.tool.effects": definition.effects }),
      ...(contents.inputs ? { "gen_ai.tool.call.arguments": shown(call.input, contents) } : {})
    }
  })

export const ended = (span: Tracer.Span, result: ToolResult, at: bigint, { contents }: Telemetry): void => {
  span.attribute("salvo.attempts", result.attempts)
  if (result._tag === "Success") {
    span.attribute("salvo.source", result.source)
    if (contents.outputs) span.attribute("gen_ai.tool.call.result", shown(result.encoded, contents))
    span.end(at, Exit.void)
  } else {
    span.attribute("error.type", result.error._tag)
    span.attribute("salvo.fault.owner", result.fault.owner)
    span.end(at, Exit.fail(result.error._tag))
  }
}

/** The span of a call that was not run. */
export const unrun = (call: ToolCall, result: ToolResult, telemetry: Telemetry): Effect.Effect<void> =>
  Effect.flatMap(begun(call, undefined, telemetry), (span) =>
    Effect.map(Clock.currentTimeNanos, (at) => ended(span, result, at, telemetry))
  )

/** One attempt, as a child of its call's span. */
export const attempt = <A, E>(
  effect: Effect.Effect<A, E>,
  parent: Tracer.Span,
  number: number,
  source: string
): Effect.Effect<A, E> =>
  Effect.withSpan(effect, "attempt", {
    parent,
    captureStackTrace: false,
    attributes: { "salvo.attempt": number, "salvo.source": source }
  })
