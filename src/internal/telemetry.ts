/** Spans of agents, requests and calls, made only where a tracer listens; and the metrics a batch counts in. */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Record from "effect/Record"
import type * as Runtime from "effect/Runtime"
import * as Tracer from "effect/Tracer"
import type { Model, Turn } from "../services/Model.ts"
import { type Contents, SpanContents } from "../services/Telemetry.ts"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import type { ToolResult } from "../ToolResult.ts"
import type { Failed } from "./failed.ts"
import type { Job } from "./job.ts"
import * as Metrics from "./metrics.ts"
import { clip, isSecretName, withoutSecrets } from "./text.ts"

export type { ToolMetrics } from "./metrics.ts"

const tracerOf = (services: Context.Context<DefaultServices.DefaultServices>) => Context.get(services, Tracer.Tracer)

const isHeard = (refs: FiberRefs.FiberRefs): boolean =>
  FiberRefs.getOrDefault(refs, FiberRef.currentTracerEnabled) &&
  tracerOf(FiberRefs.getOrDefault(refs, DefaultServices.currentServices)) !== tracerOf(DefaultServices.liveServices)

export interface Telemetry {
  readonly isTraced: boolean
  readonly contents: Contents
  /** `name` is that of a tool that is there. */
  readonly metrics: (name: string | undefined) => Metrics.ToolMetrics
  /** The spans of the batch's calls by their ids, where it is traced. */
  readonly spans: Map<string, Tracer.Span>
  /** The time, as spans are dated. */
  readonly nanos: () => bigint
}

/** As things stand where a batch is opened. */
export const make = ({ context, fiberRefs }: Runtime.Runtime<never>, clock: Clock.Clock): Telemetry => ({
  isTraced: isHeard(fiberRefs),
  contents: Context.get(context, SpanContents),
  metrics: Metrics.under(FiberRefs.getOrDefault(fiberRefs, FiberRef.currentMetricLabels)),
  spans: new Map(),
  nanos: () => clock.unsafeCurrentTimeNanos()
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
  Effect.flatMap(Effect.getFiberRefs, (refs) => {
    if (!isHeard(refs)) return effect
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

/** What spans say of a call and its tool, if there is one. */
interface Called {
  readonly call: ToolCall
  readonly definition: Pick<Tool.Definition, "description" | "effects"> | undefined
  /** What the tool is given; missing where it is given nothing. */
  readonly input: unknown
  /** The ids of the calls it waited for. */
  readonly needs: Iterable<string>
}

const linksTo = (needs: Iterable<string>, { spans }: Telemetry): ReadonlyArray<Tracer.SpanLink> =>
  Array.from(new Set(needs)).flatMap((id) => {
    const span = spans.get(id)
    return span === undefined ? [] : [{ _tag: "SpanLink", span, attributes: {} } as const]
  })

const makeSpan = ({ call, definition, input, needs }: Called, telemetry: Telemetry): Effect.Effect<Tracer.Span> => {
  const { contents, spans } = telemetry
  // Without the name that the model has made up where there is no such tool: of those there is no end.
  const made = Effect.makeSpan(definition === undefined ? "execute_tool" : `execute_tool ${call.name}`, {
    kind: "internal",
    captureStackTrace: false,
    links: linksTo(needs, telemetry),
    attributes: defined({
      "gen_ai.operation.name": "execute_tool",
      "gen_ai.tool.name": clip(call.name, maxName),
      "gen_ai.tool.call.id": call.id,
      "gen_ai.tool.type": "function",
      "gen_ai.tool.description": definition?.description,
      "salvo.tool.effects": definition?.effects,
      "gen_ai.tool.call.arguments": contents.inputs ? shown(input, contents) : undefined
    })
  })
  return Effect.map(made, (span) => {
    spans.set(call.id, span)
    return span
  })
}

const named = ({ dependsOn = [] }: ToolCall): ReadonlyArray<string> => dependsOn

/** The span of a call, to be ended by `ended`. */
export const begun = ({ call, definition, dependencies, shared, written }: Job): Effect.Effect<Tracer.Span> =>
  makeSpan({ call, definition, input: written, needs: [...named(call), ...dependencies.keys()] }, shared.telemetry)

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

export const ended = (span: Tracer.Span, result: ToolResult, { contents, nanos }: Telemetry): void => {
  annotate(span, { "salvo.attempts": result.attempts })
  if (result._tag === "Success") {
    annotate(span, {
      "salvo.source": result.source,
      "gen_ai.tool.call.result": contents.outputs ? shown(result.encoded, contents) : undefined
    })
    span.end(nanos(), Exit.void)
  } else {
    annotate(span, ofFailed(result))
    span.end(nanos(), Exit.fail(result.error._tag))
  }
}

/** The span of a call that was not run. */
export const unrun = (
  call: ToolCall,
  result: ToolResult,
  definition: Called["definition"],
  telemetry: Telemetry
): Effect.Effect<void> =>
  Effect.map(makeSpan({ call, definition, input: call.input, needs: named(call) }, telemetry), (span) =>
    ended(span, result, telemetry)
  )

/** The span of the attempt that comes next, as a child of its call's; to be ended by `attemptEnded`. */
export const attemptBegun = (
  { definition, progress }: Job,
  parent: Tracer.Span,
  source: string
): Effect.Effect<Tracer.Span> =>
  Effect.makeSpan("attempt", {
    parent,
    captureStackTrace: false,
    attributes: {
      "gen_ai.tool.name": definition.name,
      "salvo.attempt": progress.attempts + 1,
      "salvo.source": source
    }
  })

/** With less than the whole exit: tracers write down what is in it. */
export const attemptEnded = (span: Tracer.Span, exit: Exit.Exit<unknown, Failed>, { nanos }: Telemetry): void => {
  if (Exit.isSuccess(exit)) return span.end(nanos(), Exit.void)
  const failed = Option.getOrUndefined(Cause.failureOption(exit.cause))
  // Nobody waited for it any more.
  if (failed === undefined) return span.end(nanos(), Exit.interrupt(FiberId.none))
  annotate(span, ofFailed(failed))
  span.end(nanos(), Exit.fail(failed.error._tag))
}
