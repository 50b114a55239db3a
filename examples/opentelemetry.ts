/**
 * An agent whose traces and metrics go to any OpenTelemetry collector: a span for the agent, for each request to its
 * model and for each tool call, with the attempts and the handlers' own spans below, and Salvo's metrics per tool. The
 * model is played by a script, over HTTP.
 *
 *     OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 npx tsx examples/opentelemetry.ts
 */
import { createServer } from "node:http"
import * as Otlp from "@effect/opentelemetry/Otlp"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Agent, Telemetry, Tool, Toolbox, ToolRunner } from "salvo"
import * as Anthropic from "salvo/anthropic"
import { MessagesServer } from "salvo/testing"

const { reply, text, toolUse } = MessagesServer

class StationDown extends Schema.TaggedError<StationDown>()("StationDown", { city: Schema.String }) {}

class GetWeather extends Tool.Service<GetWeather>()("get_weather", {
  description: "Current weather of a city",
  input: Schema.Struct({ city: Schema.String }),
  output: Schema.Struct({ celsius: Schema.Number }),
  failure: StationDown,
  effects: "read",
  policy: { retry: { times: 1, base: "20 millis" } }
}) {}

/** Oslo's station answers when it is asked again, that of Atlantis never. */
const weather = GetWeather.layer(({ city }, { attempt }) =>
  Effect.delay(Effect.succeed({ celsius: 21 }), "10 millis").pipe(
    Effect.filterOrFail(
      () => city === "Rome" || (city === "Oslo" && attempt > 1),
      () => new StationDown({ city })
    ),
    Effect.withSpan("ask station", { attributes: { city } })
  )
)

/** The model: it asks for three cities at once, and then says what it was told. */
const script: MessagesServer.Script = ({ lastToolResults, turn }) =>
  Effect.succeed(
    turn === 0
      ? reply({ content: ["Oslo", "Atlantis", "Rome"].map((city) => toolUse("get_weather", { city })) })
      : reply({ content: [text(lastToolResults.map((result) => result.text).join("\n"))] })
  )

const Model = Layer.unwrapEffect(
  Effect.map(MessagesServer.MessagesServer, ({ url }) =>
    Anthropic.layer({ apiKey: Redacted.make("embedded"), baseURL: url })
  )
).pipe(
  Layer.provide(MessagesServer.layer(script)),
  Layer.provide(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))
)

const endpoint = Config.withDefault(Config.string("OTEL_EXPORTER_OTLP_ENDPOINT"), "http://localhost:4318")

/** What is left is sent when the program ends. */
const OpenTelemetry = Layer.unwrapEffect(
  Effect.map(endpoint, (baseUrl) => Otlp.layerJson({ baseUrl, resource: { serviceName: "salvo-example" } }))
).pipe(Layer.provide(FetchHttpClient.layer))

const main = Effect.gen(function* () {
  const { answer } = yield* Agent.run({ prompt: "Compare the weather.", toolbox: Toolbox.make(GetWeather) })
  yield* Console.log(answer)
})

main.pipe(
  Effect.provide(Layer.merge(weather, ToolRunner.layer)),
  // Without it, spans hold neither inputs nor outputs.
  Effect.provide(Telemetry.layerContents({ maxLength: 1000 })),
  Effect.provide(OpenTelemetry),
  // Out here: the server that plays the model is not to be traced.
  Effect.provide(Model),
  NodeRuntime.runMain
)
