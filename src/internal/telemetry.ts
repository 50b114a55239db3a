/** Spans of agents, requests and calls, made only where a tracer listens; and the metrics a batch counts in. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Record from "effect/Record"
import * as Tracer from "effect/Tracer"
import type { Model, Turn } from "../services/Model.ts"
import { type Contents, SpanContents } from "../services/Telemetry.ts"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import type { ToolResult } from "../ToolResult.ts"
import type { Failed } from "./failed.ts"
import * as Metrics from "./metrics.ts"
import { clip, isSecretName, withoutSecrets } from "./text.ts"

export type { ToolMetrics } from "./metrics.ts"

const isHeard = Effect.zipWith(
  Effect.tracer,
  FiberRef.get(FiberRef.currentTracerEnabled),
  (tracer, enabled) => enabled && tracer !== Context.get(DefaultServices.liveServices, Tracer.Tracer)
)

export interface Telemetry {
  readonly isTraced: boolean
  readonly contents: Contents
  /** `name` is that of a tool that is there. */
  readonly metrics: (name: string | undefined) => Metrics.ToolMetrics
  /** The spans of the batch's calls by their ids, where it is traced. */
  readonly spans: Map<string, Tracer.Span>
}

/** As things stand where a batch is opened. */
export const make: Effect.Effect<Telemetry> = Effect.gen(function* () {
  return {
    isTraced: yield* isHeard,
    contents: yield* SpanContents,
    metrics: Metrics.under(yield* FiberRef.get(FiberRef.currentMetricLabels)),
    spans: new Map()
  }
})

type Attributes = Readonly<Record<string, unknown>>

/** What is there but undefined would be told as the word. */
const defined = (attributes: Attributes): Record<string, unknown> =>
  Record.filter<string, unknown>({ ...attributes }, Predicate.isNotUndefined)

const annotate = (span: Tracer.Span, attributes: Attributes): void => {
  for (const [key, value] of Object.entries(defined(attributes))) span.attribute(key, value)
}

/** For what has no class of its own: a defect. */
const otherError = "_OTHER"

/** What the model's span and the agent's say of themselves. */
export interface Operation<A, E> {
  readonly name: string
  readonly kind: Tracer.SpanKind
  readonly attributes: Attributes
  readonly onSuccess: (value: A) => Attributes
  /** The class of a failure. */
  readonly errorType: (error: E) => string
}

const outcomeOf = <A, E>({ errorType, onSuccess }: Operation<A, E>, exit: Exit.Exit<A, E>): Attributes => {
  if (Exit.isSuccess(exit)) return onSuccess(exit.value)
  if (Cause.isInterruptedOnly(exit.cause)) return {}
  return { "error.type": Option.getOrElse(Option.map(Cause.failureOption(exit.cause), errorType), () => otherError) }
}

/** A span around an effect, where a tracer listens. */
export const span = <A, E, R>(effect: Effect.Effect<A, E, R>, operation: Operation<A, E>): Effect.Effect<A, E, R> =>
  Effect.flatMap(isHeard, (heard) => {
    if (!heard) return effect
    const { attributes, kind, name } = operation
    return Effect.useSpan(name, { kind, attributes: defined(attributes), captureStackTrace: false }, (span) =>
      // What needs no span loses nothing by being given one.
      Effect.onExit(Effect.withParentSpan(effect, span) as Effect.Effect<A, E, R>, (exit) =>
        Effect.sync(() => annotate(span, outcomeOf(operation, exit)))
      )
    )
  })

/** The model as spans name it. */
export const ofModel = ({ model, provider }: Pick<Model["Type"], "model" | "provider">): Attributes => ({
  "gen_ai.provider.name": provider,
  "gen_ai.request.model": model
})

export const ofUsage = ({ inputTokens, outputTokens }: Turn["usage"]): Attributes => ({
  "gen_ai.usage.input_tokens": inputTokens,
  "gen_ai.usage.output_tokens": outputTokens
})

/** Looked at beyond the cut: half a secret does not look like one. */
const margin = 1024

const asJson = (value: unknown): string =>
  typeof value === "string"
    ? value
    : (JSON.stringify(value, (name, inner) => (isSecretName(name) ? "[hidden]" : inner)) ?? "")

const shown = (value: unknown, { maxLength }: Contents): string =>
  // Clipped first: what looks for secrets is slow on very long texts. What cannot be written as JSON fails no call.
  Either.try(() => clip(withoutSecrets(clip(asJson(value), maxLength + margin)), maxLength)).pipe(
    Either.getOrElse(() => "(not JSON)")
  )

/** Names of calls that are in no toolbox: the model may write a whole page there. */
const maxName = 128

/** Calls that this one named and that have a span already. */
const linksOf = ({ dependsOn = [] }: ToolCall, { spans }: Telemetry): ReadonlyArray<Tracer.SpanLink> =>
  dependsOn.flatMap((id) => {
    const span = spans.get(id)
    return span === undefined ? [] : [{ _tag: "SpanLink", span, attributes: {} } as const]
  })

const makeSpan = (
  call: ToolCall,
  name: string,
  definition: Pick<Tool.Definition, "description" | "effects"> | undefined,
  telemetry: Telemetry
): Effect.Effect<Tracer.Span> => {
  const { contents, spans } = telemetry
  return Effect.map(
    Effect.makeSpan(name, {
      kind: "internal",
      captureStackTrace: false,
      links: linksOf(call, telemetry),
      attributes: defined({
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": clip(call.name, maxName),
        "gen_ai.tool.call.id": call.id,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.description": definition?.description,
        "salvo.tool.effects": definition?.effects,
        "gen_ai.tool.call.arguments": contents.inputs ? shown(call.input, contents) : undefined
      })
    }),
    (span) => {
      spans.set(call.id, span)
      return span
    }
  )
}

/** The span of a call, to be ended by `ended`. */
export const begun = (
  call: ToolCall,
  definition: Pick<Tool.Definition, "description" | "effects">,
  telemetry: Telemetry
): Effect.Effect<Tracer.Span> => makeSpan(call, `execute_tool ${call.name}`, definition, telemetry)

/** A typed failure's own name. Reading it may throw. */
const failureTag = (failure: unknown): string | undefined =>
  Either.getOrUndefined(
    Either.try(() =>
      Predicate.hasProperty(failure, "_tag") && typeof failure._tag === "string" ? failure._tag : undefined
    )
  )

/** Which error it was, and where its details are. Not its message: it may tell what is private. */
const ofFailed = ({ error, fault }: Failed): Attributes => ({
  "error.type": error._tag,
  "salvo.fault.owner": fault.owner,
  "salvo.failure": error._tag === "ToolFailure" ? failureTag(error.failure) : undefined,
  "salvo.correlation_id": "correlationId" in error ? error.correlationId : undefined
})

/** Also of a call that ends late, when its batch has been interrupted. */
export const ended = (span: Tracer.Span, result: ToolResult, at: bigint, { contents }: Telemetry): void => {
  annotate(span, { "salvo.attempts": result.attempts })
  if (result._tag === "Success") {
    annotate(span, {
      "salvo.source": result.source,
      "gen_ai.tool.call.result": contents.outputs ? shown(result.encoded, contents) : undefined
    })
    span.end(at, Exit.void)
  } else {
    annotate(span, ofFailed(result))
    span.end(at, Exit.fail(result.error._tag))
  }
}

/** The span of a call that was not run: without the name the model has made up, of which there is no end. */
export const unrun = (call: ToolCall, result: ToolResult, telemetry: Telemetry): Effect.Effect<void> => {
  const isUnknown = result._tag === "Failure" && result.error._tag === "UnknownTool"
  return Effect.flatMap(
    makeSpan(call, isUnknown ? "execute_tool" : `execute_tool ${call.name}`, undefined, telemetry),
    (span) => Effect.map(Clock.currentTimeNanos, (at) => ended(span, result, at, telemetry))
  )
}

const endAttempt = (span: Tracer.Span, exit: Exit.Exit<unknown, Failed>, at: bigint): void => {
  if (Exit.isSuccess(exit)) return span.end(at, Exit.void)
  if (Cause.isInterruptedOnly(exit.cause)) return span.end(at, exit)
  const failed = Option.getOrUndefined(Cause.failureOption(exit.cause))
  annotate(span, failed === undefined ? { "error.type": otherError } : ofFailed(failed))
  span.end(at, Exit.fail(failed?.error._tag ?? otherError))
}

/** One attempt, as a child of its call's span. */
export const attempt = <A>(
  effect: Effect.Effect<A, Failed>,
  parent: Tracer.Span,
  number: number,
  source: string
): Effect.Effect<A, Failed> =>
  Effect.useSpan(
    "attempt",
    { parent, captureStackTrace: false, attributes: { "salvo.attempt": number, "salvo.source": source } },
    (span) =>
      // Ended here, with less than the whole exit: tracers write down what is in it.
      Effect.onExit(Effect.withParentSpan(effect, span), (exit) =>
        Effect.map(Clock.currentTimeNanos, (at) => endAttempt(span, exit, at))
      )
  )
