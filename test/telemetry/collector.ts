/** A collector of OTLP over HTTP, with JSON bodies: what a real one would have to understand. */
import { createServer } from "node:http"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"

const Value = Schema.Union(
  Schema.Struct({ stringValue: Schema.String }),
  Schema.Struct({ intValue: Schema.Union(Schema.Int, Schema.NumberFromString) }),
  Schema.Struct({ doubleValue: Schema.Number }),
  Schema.Struct({ boolValue: Schema.Boolean }),
  Schema.Struct({ arrayValue: Schema.Struct({ values: Schema.Array(Schema.Struct({ stringValue: Schema.String })) }) })
)

/** Key and value pairs as an object. */
const Attributes = Schema.transform(
  Schema.Array(Schema.Struct({ key: Schema.String, value: Value })),
  Schema.Record({ key: Schema.String, value: Schema.Unknown }),
  {
    decode: (pairs) =>
      Object.fromEntries(
        pairs.map(({ key, value }) => [
          key,
          "arrayValue" in value ? value.arrayValue.values.map((one) => one.stringValue) : Object.values(value)[0]
        ])
      ),
    encode: () => []
  }
)

const hex = (digits: number) => Schema.String.pipe(Schema.pattern(new RegExp(`^[0-9a-f]{${digits}}$`)))

const resource = Schema.Struct({ attributes: Attributes })

const Span = Schema.Struct({
  traceId: hex(32),
  spanId: hex(16),
  parentSpanId: Schema.optional(hex(16)),
  name: Schema.NonEmptyString,
  /** 1 internal, 3 client. */
  kind: Schema.Int,
  startTimeUnixNano: Schema.BigInt,
  endTimeUnixNano: Schema.BigInt,
  attributes: Attributes,
  /** 1 ok, 2 error. */
  status: Schema.Struct({ code: Schema.Literal(0, 1, 2), message: Schema.optional(Schema.String) })
})

export type Span = typeof Span.Type

const Traces = Schema.Struct({
  resourceSpans: Schema.Array(
    Schema.Struct({ resource, scopeSpans: Schema.Array(Schema.Struct({ spans: Schema.Array(Span) })) })
  )
})

const point = <Fields extends Schema.Struct.Fields>(fields: Fields) =>
  Schema.Struct({ dataPoints: Schema.Array(Schema.Struct({ attributes: Attributes, ...fields })) })

const Metrics = Schema.Struct({
  resourceMetrics: Schema.Array(
    Schema.Struct({
      resource,
      scopeMetrics: Schema.Array(
        Schema.Struct({
          metrics: Schema.Array(
            Schema.Struct({
              name: Schema.NonEmptyString,
              sum: Schema.optional(point({ asDouble: Schema.Number })),
              gauge: Schema.optional(point({ asDouble: Schema.Number })),
              histogram: Schema.optional(point({ count: Schema.Int, sum: Schema.Number }))
            })
          )
        })
      )
    })
  )
})

interface Collected {
  readonly services: ReadonlyArray<unknown>
  readonly spans: ReadonlyArray<Span>
  /** The last that was said of each metric, by name and labels. Of a histogram: how many values. */
  readonly metrics: Readonly<Record<string, number>>
}

const nothing: Collected = { services: [], spans: [], metrics: {} }

const withTraces = (all: Collected, { resourceSpans }: typeof Traces.Type): Collected => ({
  ...all,
  services: [...all.services, ...resourceSpans.map(({ resource }) => resource.attributes["service.name"])],
  spans: [...all.spans, ...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans))]
})

const withMetrics = (all: Collected, { resourceMetrics }: typeof Metrics.Type): Collected => {
  const metrics = { ...all.metrics }
  for (const metric of resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))) {
    const { gauge, histogram, name, sum } = metric
    const points = [
      ...[sum, gauge].flatMap((numbers) => numbers?.dataPoints ?? []),
      ...(histogram?.dataPoints ?? []).map(({ attributes, count }) => ({ attributes, asDouble: count }))
    ]
    for (const { asDouble, attributes } of points) {
      const labels = Object.entries(attributes).map(([key, value]) => `${key}=${String(value)}`)
      metrics[[name, ...labels.toSorted()].join(" ")] = asDouble
    }
  }
  const services = resourceMetrics.map(({ resource }) => resource.attributes["service.name"])
  return { ...all, services: [...all.services, ...services], metrics }
}

/** A running collector: its address, and what it was sent. A body that it cannot read is its own answer, 400. */
export const collector = Effect.gen(function* () {
  const collected = yield* Ref.make(nothing)
  const refused = yield* Ref.make<ReadonlyArray<string>>([])
  const take = Effect.gen(function* () {
    const { headers, method, url } = yield* HttpServerRequest.HttpServerRequest
    if (method !== "POST" || headers["content-type"] !== "application/json")
      return HttpServerResponse.empty({ status: 415 })
    switch (url) {
      case "/v1/traces": {
        const traces = yield* HttpServerRequest.schemaBodyJson(Traces)
        yield* Ref.update(collected, (all) => withTraces(all, traces))
        break
      }
      case "/v1/metrics": {
        const metrics = yield* HttpServerRequest.schemaBodyJson(Metrics)
        yield* Ref.update(collected, (all) => withMetrics(all, metrics))
        break
      }
      default:
        return HttpServerResponse.empty({ status: 404 })
    }
    return yield* HttpServerResponse.json({})
  }).pipe(
    Effect.catchAll((error) =>
      Effect.as(
        Ref.update(refused, (all) => [...all, String(error)]),
        HttpServerResponse.empty({ status: 400 })
      )
    )
  )
  const server = yield* NodeHttpServer.make(createServer, { port: 0, host: "127.0.0.1" })
  yield* server.serve(take)
  return { url: HttpServer.formatAddress(server.address), collected: Ref.get(collected), refused: Ref.get(refused) }
})
