/** Everything outside the agent: three servers, the data on disk, a report renderer. */
import type * as HttpServerError from "@effect/platform/HttpServerError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { fileURLToPath } from "node:url"
import * as Carrier from "./Carrier.ts"
import * as Rates from "./Rates.ts"
import * as Refunds from "./Refunds.ts"

export class World extends Context.Tag("salvo/program/World")<
  World,
  {
    readonly carrierUrl: string
    readonly ratesUrl: string
    readonly refundsUrl: string
    readonly ordersFile: string
    readonly policiesFolder: string
    /** The order's id is added as the last argument. */
    readonly reportCommand: { readonly command: string; readonly args: ReadonlyArray<string> }
    readonly ledger: Context.Tag.Service<Refunds.Ledger>
  }
>() {}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** Starts the three servers, each on a free port; they end with the scope, whatever connections are open. */
export const layerWith = (refunds: Refunds.Options): Layer.Layer<World, HttpServerError.ServeError> =>
  Layer.effect(
    World,
    Effect.gen(function* () {
      return {
        carrierUrl: (yield* Carrier.Carrier).url,
        ratesUrl: (yield* Rates.Rates).url,
        refundsUrl: (yield* Refunds.Refunds).url,
        ordersFile: here("./orders.json"),
        policiesFolder: here("./policies"),
        reportCommand: { command: process.execPath, args: [here("./reportWorker.mjs")] },
        ledger: yield* Refunds.Ledger
      }
    })
  ).pipe(Layer.provide([Carrier.layer, Rates.layer, Refunds.layerWith(refunds)]))

/** A world that begins with no refunds. */
export const layer: Layer.Layer<World, HttpServerError.ServeError> = layerWith(Refunds.fresh)
