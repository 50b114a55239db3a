import * as Command from "@effect/platform/Command"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { collector, type Span } from "./collector.ts"

describe("examples/opentelemetry.ts", () => {
  it.scopedLive(
    "sends its traces and metrics to a collector",
    () =>
      Effect.gen(function* () {
        const { collected, refused, url } = yield* collector
        const output = yield* Command.make("npx", "tsx", "examples/opentelemetry.ts").pipe(
          Command.env({ OTEL_EXPORTER_OTLP_ENDPOINT: url }),
          Command.string,
          Effect.provide(NodeContext.layer)
        )
        assert.include(output, "celsius")
        assert.deepStrictEqual(yield* refused, [])
        const { metrics, services, spans } = yield* collected

        assert.sameMembers([...new Set(services)], ["salvo-example"])
        assert.lengthOf(new Set(spans.map(({ traceId }) => traceId)), 1)
        const byId = new Map(spans.map((span) => [span.spanId, span]))
        assert.strictEqual(byId.size, spans.length)
        const pathOf = ({ name, parentSpanId = "" }: Span): string => {
          const parent = byId.get(parentSpanId)
          return parent === undefined ? name : `${pathOf(parent)} > ${name}`
        }
        const times = (count: number, path: string) => Array.from({ length: count }, () => path)
        assert.sameMembers(spans.map(pathOf), [
          "invoke_agent",
          ...times(2, "invoke_agent > chat claude-haiku-5-5"),
          ...times(3, "invoke_agent > execute_tool get_weather"),
          ...times(5, "invoke_agent > execute_tool get_weather > attempt"),
          ...times(5, "invoke_agent > execute_tool get_weather > attempt > ask station")
        ])
        assert.deepStrictEqual(
          spans.filter(({ kind }) => kind === 3).map(({ name }) => name),
          ["chat claude-haiku-5-5", "chat claude-haiku-5-5"]
        )
        assert.isTrue(spans.every((span) => span.endTimeUnixNano >= span.startTimeUnixNano))

        const chat = spans.find(({ name }) => name.startsWith("chat"))
        assert.deepInclude(chat?.attributes, {
          "gen_ai.operation.name": "chat",
          "gen_ai.provider.name": "anthropic",
          "gen_ai.request.model": "claude-haiku-5-5",
          "gen_ai.request.stream": true,
          "gen_ai.response.finish_reasons": ["tool_use"]
        })
        assert.isAbove(Number(chat?.attributes["gen_ai.usage.input_tokens"]), 0)

        const outcomes = spans
          .filter(({ name }) => name.startsWith("execute_tool"))
          .map(({ attributes, status }) => [
            attributes["gen_ai.tool.call.arguments"],
            attributes["salvo.attempts"],
            attributes["gen_ai.tool.call.result"] ?? attributes["error.type"],
            status.code
          ])
        assert.sameDeepMembers(outcomes, [
          ['{"city":"Oslo"}', 2, '{"celsius":21}', 1],
          ['{"city":"Atlantis"}', 2, "ToolFailure", 2],
          ['{"city":"Rome"}', 1, '{"celsius":21}', 1]
        ])

        assert.deepInclude(metrics, {
          "salvo_calls_total outcome=success owner=none tool=get_weather": 2,
          "salvo_calls_total outcome=ToolFailure owner=tool tool=get_weather": 1,
          "salvo_attempts_total tool=get_weather": 5,
          "salvo_call_duration_seconds tool=get_weather": 3,
          "salvo_call_queue_seconds tool=get_weather": 3,
          "salvo_circuit_breaker_state breaker=get_weather": 0
        })
      }),
    60_000
  )
})
