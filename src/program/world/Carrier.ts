/** The parcel carrier, as an HTTP server whose first answer never arrives. */
import type * as HttpServerError from "@effect/platform/HttpServerError"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { hangUp, serve } from "./serve.ts"

export const Parcel = Schema.Struct({
  number: Schema.String,
  status: Schema.Literal("in transit", "delayed", "lost", "delivered"),
  lastScan: Schema.Struct({ place: Schema.String, on: Schema.String }),
  note: Schema.String
})

export interface Parcel extends Schema.Schema.Type<typeof Parcel> {}

export class Carrier extends Context.Tag("salvo/program/Carrier")<Carrier, { readonly url: string }>() {}

const latency = Duration.millis(150)

const parcels: ReadonlyMap<string, Parcel> = new Map([
  [
    "NX482910077DE",
    {
      number: "NX482910077DE",
      status: "lost",
      lastScan: { place: "Leipzig hub", on: "2025-06-01" },
      note: "No scan since; search started on 2025-06-11."
    }
  ],
  [
    "NX482910131PT",
    {
      number: "NX482910131PT",
      status: "delivered",
      lastScan: { place: "Porto", on: "2025-06-05" },
      note: "Handed to the recipient."
    }
  ]
])

/** `GET /track/:number`. The first request it gets loses its connection; later ones are answered after a while. */
export const layer: Layer.Layer<Carrier, HttpServerError.ServeError> = Layer.scoped(
  Carrier,
  Effect.gen(function* () {
    const asked = yield* Ref.make(false)
    const track = Effect.gen(function* () {
      if (!(yield* Ref.getAndSet(asked, true))) return yield* hangUp
      yield* Effect.sleep(latency)
      const { number } = yield* HttpRouter.schemaPathParams(Schema.Struct({ number: Schema.String }))
      const parcel = parcels.get(number)
      return yield* parcel === undefined
        ? HttpServerResponse.json({ error: `no parcel ${number}` }, { status: 404 })
        : HttpServerResponse.schemaJson(Parcel)(parcel)
    })
    return { url: yield* serve(HttpRouter.empty.pipe(HttpRouter.get("/track/:number", track))) }
  })
)
