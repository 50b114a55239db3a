/**
 * What Salvo tells an observability backend, by the OpenTelemetry conventions for generative AI
 * (https://opentelemetry.io/docs/specs/semconv/gen-ai/): a span `execute_tool {name}` for every call with a child for
 * each attempt, `invoke_agent` and `chat` above them, and Effect `Metric`s per tool.
 *
 * Spans are made only where a tracer listens: any but Effect's default one, which drops them.
 *
 * | metric | kind | labels |
 * | --- | --- | --- |
 * | `salvo_calls_total` | counter | `tool`, `outcome` (`success`, or the error's tag), `owner` of the fault (or `none`) |
 * | `salvo_attempts_total` | counter | `tool` |
 * | `salvo_call_duration_seconds` | histogram | `tool`; from ready to landed |
 * | `salvo_call_queue_seconds` | histogram | `tool`; from ready to the first execution |
 * | `salvo_coalesced_total`, `salvo_skipped_total` | counter | `tool`; answered by an identical call, not run for want of another |
 * | `salvo_leaked_handlers_total`, `salvo_leaked_handlers` | counter, gauge | `tool` |
 * | `salvo_circuit_breaker_state` | gauge | `breaker`; 0 closed, 1 half-open, 2 open, 3 isolated |
 * | `salvo_circuit_breaker_transitions`, `salvo_circuit_breaker_rejections` | counter | `breaker` |
 * | `salvo_journal_failures_total` | counter | |
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"

/**
 * Whether spans carry what tools are given and what they answer (`gen_ai.tool.call.arguments`,
 * `gen_ai.tool.call.result`), which may be private. Default: neither.
 *
 * @since 0.1.0
 * @category models
 */
export interface Contents {
  readonly inputs: boolean
  readonly outputs: boolean
  /** In characters of JSON; what is longer is cut. */
  readonly maxLength: number
}

/**
 * @since 0.1.0
 * @category references
 */
export class SpanContents extends Context.Reference<SpanContents>()("salvo/SpanContents", {
  defaultValue: (): Contents => ({ inputs: false, outputs: false, maxLength: 4096 })
}) {}

/**
 * Puts inputs and outputs into spans, up to `maxLength` characters each. What looks like a secret is hidden.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerContents = (contents: Partial<Contents> = {}): Layer.Layer<never> =>
  Layer.succeed(SpanContents, { inputs: true, outputs: true, maxLength: 4096, ...contents })
