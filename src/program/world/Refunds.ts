/** The refund server. Its ledger is the independent witness of how often money was really paid back. */
import type * as HttpServerError from "@effect/platform/HttpServerError"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import { hangUp, serve } from "./serve.ts"

/** The body of `POST /refunds`. */
export const RefundRequest = Schema.Struct({ order: Schema.String, amount: Schema.Positive })

export interface RefundRequest extends Schema.Schema.Type<typeof RefundRequest> {}

/** One entry of the ledger. */
export const Refund = Schema.Struct({
  id: Schema.String,
  ...RefundRequest.fields,
  idempotencyKey: Schema.optionalWith(Schema.String, { exact: true })
})

export interface Refund extends Schema.Schema.Type<typeof Refund> {}

export class Refunds extends Context.Tag("salvo/program/Refunds")<Refunds, { readonly url: string }>() {}

/** Read-only: only the server writes. */
export class Ledger extends Context.Tag("salvo/program/Ledger")<
  Ledger,
  { readonly entries: Effect.Effect<ReadonlyArray<Refund>> }
>() {}

type Verdict =
  | { readonly _tag: "Committed"; readonly refund: Refund; readonly isFirst: boolean }
  | { readonly _tag: "Known"; readonly refund: Refund }
  | { readonly _tag: "KeyReused" }

/** The rule of the ledger: a key names one refund for good, a request without a key is always a new one. */
const commit =
  (request: RefundRequest, key: string | undefined) =>
  (entries: ReadonlyArray<Refund>): readonly [Verdict, ReadonlyArray<Refund>] => {
    const known = key === undefined ? undefined : entries.find((entry) => entry.idempotencyKey === key)
    if (known !== undefined) {
      const isSame = known.order === request.order && known.amount === request.amount
      return [isSame ? { _tag: "Known", refund: known } : { _tag: "KeyReused" }, entries]
    }
    const refund: Refund = {
      id: `re_${entries.length + 1}`,
      order: request.order,
      amount: request.amount,
      ...(key === undefined ? {} : { idempotencyKey: key })
    }
    return [{ _tag: "Committed", refund, isFirst: entries.length === 0 }, [...entries, refund]]
  }

const Headers = Schema.Struct({ "idempotency-key": Schema.optional(Schema.NonEmptyString) })

/** What the server has of the time before, and what it does with every refund before it answers. */
export interface Options {
  readonly refunds: ReadonlyArray<Refund>
  readonly onCommit: (refund: Refund) => Effect.Effect<void>
}

const post = Effect.fnUntraced(function* (entries: Ref.Ref<ReadonlyArray<Refund>>, { onCommit }: Options) {
  const headers = yield* HttpServerRequest.schemaHeaders(Headers)
  const request = yield* HttpServerRequest.schemaBodyJson(RefundRequest)
  const verdict = yield* Ref.modify(entries, commit(request, headers["idempotency-key"]))
  switch (verdict._tag) {
    case "Committed":
      yield* onCommit(verdict.refund)
      // The money is gone, and the caller never hears of it.
      if (verdict.isFirst) return yield* hangUp
      return yield* HttpServerResponse.schemaJson(Refund)(verdict.refund, { status: 201 })
    case "Known":
      return yield* HttpServerResponse.schemaJson(Refund)(verdict.refund)
    case "KeyReused":
      return yield* HttpServerResponse.json({ error: "this key was used for another refund" }, { status: 409 })
  }
})

const Search = Schema.Union(Schema.Struct({ order: Schema.String }), Schema.Struct({ key: Schema.String }))

const list = Effect.fnUntraced(function* (entries: Ref.Ref<ReadonlyArray<Refund>>) {
  const search = yield* HttpServerRequest.schemaSearchParams(Search)
  const refunds = (yield* Ref.get(entries)).filter((entry) =>
    "order" in search ? entry.order === search.order : entry.idempotencyKey === search.key
  )
  return yield* HttpServerResponse.schemaJson(Schema.Array(Refund))(refunds)
})

/**
 * `POST /refunds` commits; the connection of the very first commit is then destroyed without an answer.
 * `GET /refunds?order=1007` lists what the ledger holds for an order, `GET /refunds?key=…` what was paid under a key.
 */
export const layerWith = (options: Options): Layer.Layer<Refunds | Ledger, HttpServerError.ServeError> =>
  Layer.scopedContext(
    Effect.gen(function* () {
      const entries = yield* Ref.make(options.refunds)
      const url = yield* serve(
        HttpRouter.empty.pipe(
          HttpRouter.post("/refunds", post(entries, options)),
          HttpRouter.get("/refunds", list(entries))
        )
      )
      return Context.make(Refunds, { url }).pipe(Context.add(Ledger, { entries: Ref.get(entries) }))
    })
  )

/** Begins with nothing, and leaves nothing behind. */
export const fresh: Options = { refunds: [], onCommit: () => Effect.void }
