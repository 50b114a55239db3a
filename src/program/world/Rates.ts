/** The exchange-rate service, as an HTTP server that takes every request and answers none. */
import type * as HttpServerError from "@effect/platform/HttpServerError"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { serve } from "./serve.ts"

/** What it would answer. */
export const Rate = Schema.Struct({ from: Schema.String, to: Schema.String, rate: Schema.Positive })

export interface Rate extends Schema.Schema.Type<typeof Rate> {}

export class Rates extends Context.Tag("salvo/program/Rates")<
  Rates,
  {
    readonly url: string
    /** How many requests hang right now, from now on. */
    readonly waiting: Stream.Stream<number>
  }
>() {}

/** `GET /rate?from=USD&to=EUR` holds the connection until the caller, or the scope, gives it up. */
export const layer: Layer.Layer<Rates, HttpServerError.ServeError> = Layer.scoped(
  Rates,
  Effect.gen(function* () {
    const waiting = yield* SubscriptionRef.make(0)
    const hang = Effect.acquireUseRelease(
      SubscriptionRef.update(waiting, (n) => n + 1),
      () => Effect.never,
      () => SubscriptionRef.update(waiting, (n) => n - 1)
    )
    const url = yield* serve(HttpRouter.empty.pipe(HttpRouter.get("/rate", hang)))
    return { url, waiting: waiting.changes }
  })
)
