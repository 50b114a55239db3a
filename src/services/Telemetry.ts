/**
 * What Salvo tells an observability backend, by the OpenTelemetry conventions for generative AI
 * (https://opentelemetry.io/docs/specs/semconv/gen-ai/, which are still in development): spans of agents, requests to
 * the model and tool calls, and Effect `Metric`s per tool. Which backend is up to the tracer and the exporter that are
 * provided, `@effect/opentelemetry`'s for instance.
 *
 * Spans are made only where a tracer listens: any but Effect's default one, which drops them. They nest like this, and
 * what a handler traces is below its attempt:
 *
 *     invoke_agent
 *     ├─ chat {model}               one request to the model
 *     └─ execute_tool {tool}        one call, from ready to landed
 *        └─ attempt                 one execution of the handler
 *
 * | span | attributes |
 * | --- | --- |
 * | all | `gen_ai.operation.name` (but `attempt`), `error.type` where it failed; `gen_ai.conversation.id` of agents and requests, where there is one |
 * | `invoke_agent` | `gen_ai.provider.name`, `gen_ai.request.model`; `gen_ai.usage.input_tokens` and `output_tokens` of the whole run, `salvo.stop` |
 * | `chat {model}` (client) | `gen_ai.provider.name`, `gen_ai.request.model`, `.max_tokens`, `.stream`; `gen_ai.response.finish_reasons`, `gen_ai.usage.input_tokens`, `.output_tokens` |
 * | `execute_tool {tool}` | `gen_ai.tool.name`, `.call.id`, `.type` (`function`), `.description`, `salvo.tool.effects`; `salvo.attempts`, `salvo.source` of an answer, `salvo.fault.owner` of a failure |
 * | `attempt` | `gen_ai.tool.name` (another tool's, where that is asked instead), `salvo.attempt` from 1, `salvo.source` (`executed` or `hedge`) |
 *
 * A call links to the spans of those it waited for. One that was not run (refused, skipped, answered by an
 * identical call) has a span without length; that of a tool that is not there is called `execute_tool`, since models
 * make up names without end.
 *
 * `error.type` is the tag of a `ToolError`, or the `reason` of a `ModelError`; `_OTHER` stands for a defect outside of
 * tools. Failed calls and attempts also tell the failure's own tag (`salvo.failure`) and the id that finds the details
 * in the log (`salvo.correlation_id`), and nothing else of what failed: messages may be private.
 *
 * | metric | kind | labels |
 * | --- | --- | --- |
 * | `salvo_calls_total` | counter | `tool`, `outcome` (`success`, or the error's tag), `owner` of the fault (or `none`) |
 * | `salvo_attempts_total` | counter | `tool` |
 * | `salvo_call_duration_seconds` | histogram | `tool`; from ready to landed, of calls that were ready |
 * | `salvo_call_queue_seconds` | histogram | `tool`; from ready to the first execution |
 * | `salvo_coalesced_total`, `salvo_skipped_total` | counter | `tool`; answered by an identical call, not run for want of another |
 * | `salvo_leaked_handlers_total`, `salvo_leaked_handlers` | counter, gauge | `tool` |
 * | `salvo_circuit_breaker_state` | gauge | `breaker`; 0 closed, 1 half-open, 2 open, 3 isolated |
 * | `salvo_circuit_breaker_transitions`, `salvo_circuit_breaker_rejections` | counter | `breaker` |
 * | `salvo_circuit_breaker_dropped_outcomes` | counter | `breaker`; outcomes that the shared circuit in Redis may not have heard of |
 * | `salvo_redis_up` | gauge | `store` (`circuit breakers`, `rate limits`); 1 while Redis answers it, also before it is first asked |
 * | `salvo_journal_failures_total` | counter | |
 *
 * Labels of your own (`Effect.tagMetrics` around a run) are kept. `tool` is `(unknown)` for names that no tool has.
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
  /** In characters of JSON; what is longer is cut. Default: 4,096. */
  readonly maxLength: number
}

const defaults: Contents = { inputs: false, outputs: false, maxLength: 4096 }

/**
 * What spans carry, for the batches that are begun where it is provided. Default: neither inputs nor outputs.
 *
 * @since 0.1.0
 * @category references
 */
export class SpanContents extends Context.Reference<SpanContents>()("salvo/SpanContents", {
  defaultValue: () => defaults
}) {}

/**
 * Puts inputs and outputs into spans, up to `maxLength` characters each. What looks like a secret is hidden: values
 * under names such as `password` or `apiKey`, and texts in the form of keys and tokens. That is a safety net, no more.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerContents = (contents: Partial<Contents> = {}): Layer.Layer<never> =>
  Layer.succeed(SpanContents, { ...defaults, inputs: true, outputs: true, ...contents })
