/**
 * What the support agent can do to the outside world, as plain effects. Nothing here repeats, times out or hides a
 * failure: each action is one try, and its error keeps what went wrong as its `cause`.
 */
import * as Command from "@effect/platform/Command"
import type * as CommandExecutor from "@effect/platform/CommandExecutor"
import * as FileSystem from "@effect/platform/FileSystem"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Carrier from "./world/Carrier.ts"
import * as Orders from "./world/Orders.ts"
import * as Policies from "./world/Policies.ts"
import * as Rates from "./world/Rates.ts"
import * as Refunds from "./world/Refunds.ts"
import { World } from "./world/World.ts"

export class OrderNotFound extends Schema.TaggedError<OrderNotFound>()("OrderNotFound", { id: Schema.String }) {
  override get message(): string {
    return `there is no order ${this.id}`
  }
}

export class OrdersUnreadable extends Schema.TaggedError<OrdersUnreadable>()("OrdersUnreadable", {
  cause: Schema.Defect
}) {
  override get message(): string {
    return "the orders could not be read"
  }
}

export class PoliciesUnreadable extends Schema.TaggedError<PoliciesUnreadable>()("PoliciesUnreadable", {
  cause: Schema.Defect
}) {
  override get message(): string {
    return "the policies could not be read"
  }
}

export class TrackingFailed extends Schema.TaggedError<TrackingFailed>()("TrackingFailed", {
  number: Schema.String,
  cause: Schema.Defect
}) {
  override get message(): string {
    return `the carrier gave no answer about parcel ${this.number}`
  }
}

export class RateUnavailable extends Schema.TaggedError<RateUnavailable>()("RateUnavailable", {
  from: Schema.String,
  to: Schema.String,
  cause: Schema.Defect
}) {
  override get message(): string {
    return `no exchange rate from ${this.from} to ${this.to}`
  }
}

/** The renderer ran and gave up. */
export class ReportFailed extends Schema.TaggedError<ReportFailed>()("ReportFailed", {
  exitCode: Schema.Int,
  /** What it wrote to standard error. */
  output: Schema.String
}) {
  override get message(): string {
    return `the report renderer exited with code ${this.exitCode}`
  }
}

/** The renderer could not be started, or was killed. */
export class ReportNotRun extends Schema.TaggedError<ReportNotRun>()("ReportNotRun", { cause: Schema.Defect }) {
  override get message(): string {
    return "the report renderer did not run to its end"
  }
}

/** No answer says that the refund was made. It may have been made all the same: `cause` knows more. */
export class RefundFailed extends Schema.TaggedError<RefundFailed>()("RefundFailed", {
  order: Schema.String,
  cause: Schema.Defect
}) {
  override get message(): string {
    return `the refund of order ${this.order} was not confirmed`
  }
}

export class RefundsUnavailable extends Schema.TaggedError<RefundsUnavailable>()("RefundsUnavailable", {
  order: Schema.String,
  cause: Schema.Defect
}) {
  override get message(): string {
    return `the refunds of order ${this.order} could not be listed`
  }
}

/** Sends one request; anything but a 2xx whose body has the expected shape is a failure. */
const fetchJson = <A, I>(request: HttpClientRequest.HttpClientRequest, schema: Schema.Schema<A, I>) =>
  HttpClient.execute(request).pipe(
    Effect.flatMap(HttpClientResponse.filterStatusOk),
    Effect.flatMap(HttpClientResponse.schemaBodyJson(schema))
  )

/** The order of that number. */
export const lookUpOrder: (
  id: string
) => Effect.Effect<Orders.Order, OrderNotFound | OrdersUnreadable, World | FileSystem.FileSystem> = Effect.fnUntraced(
  function* (id) {
    const { ordersFile } = yield* World
    const fs = yield* FileSystem.FileSystem
    const orders = yield* fs.readFileString(ordersFile).pipe(
      Effect.flatMap(Schema.decode(Orders.OrdersFile)),
      Effect.mapError((cause) => new OrdersUnreadable({ cause }))
    )
    const order = orders.find((order) => order.id === id)
    return yield* order === undefined ? new OrderNotFound({ id }) : Effect.succeed(order)
  }
)

/** The best passage of each policy that has to do with the query, best first; empty if there is none. */
export const searchPolicies: (
  query: string
) => Effect.Effect<ReadonlyArray<Policies.PolicyHit>, PoliciesUnreadable, World | FileSystem.FileSystem> =
  Effect.fnUntraced(
    function* (query) {
      const { policiesFolder } = yield* World
      const fs = yield* FileSystem.FileSystem
      const files = (yield* fs.readDirectory(policiesFolder)).filter((file) => file.endsWith(".md")).toSorted()
      const documents = yield* Effect.forEach(files, (file) =>
        Effect.map(fs.readFileString(`${policiesFolder}/${file}`), (text) => ({ file, text }))
      )
      return Policies.search(documents, query)
    },
    Effect.catchTags({
      BadArgument: (cause) => new PoliciesUnreadable({ cause }),
      SystemError: (cause) => new PoliciesUnreadable({ cause })
    })
  )

/** Where the carrier saw the parcel last. */
export const trackParcel: (
  number: string
) => Effect.Effect<Carrier.Parcel, TrackingFailed, World | HttpClient.HttpClient> = Effect.fnUntraced(
  function* (number) {
    const { carrierUrl } = yield* World
    const request = HttpClientRequest.get(`${carrierUrl}/track/${encodeURIComponent(number)}`)
    return yield* Effect.mapError(fetchJson(request, Carrier.Parcel), (cause) => new TrackingFailed({ number, cause }))
  }
)

/** The rate of the day. */
export const exchangeRate: (
  from: string,
  to: string
) => Effect.Effect<Rates.Rate, RateUnavailable, World | HttpClient.HttpClient> = Effect.fnUntraced(
  function* (from, to) {
    const { ratesUrl } = yield* World
    const request = HttpClientRequest.get(`${ratesUrl}/rate`, { urlParams: { from, to } })
    return yield* Effect.mapError(fetchJson(request, Rates.Rate), (cause) => new RateUnavailable({ from, to, cause }))
  }
)

/** Runs the report renderer as a child process and answers with what it printed. */
export const renderReport: (
  orderId: string
) => Effect.Effect<string, ReportFailed | ReportNotRun, World | CommandExecutor.CommandExecutor> = Effect.fnUntraced(
  function* (orderId) {
    const { reportCommand } = yield* World
    const child = yield* Command.start(Command.make(reportCommand.command, ...reportCommand.args, orderId))
    const [report, output, exitCode] = yield* Effect.all(
      [
        Stream.mkString(Stream.decodeText(child.stdout)),
        Stream.mkString(Stream.decodeText(child.stderr)),
        child.exitCode
      ],
      { concurrency: "unbounded" }
    )
    return yield* exitCode === 0 ? Effect.succeed(report) : new ReportFailed({ exitCode, output: output.trim() })
  },
  Effect.scoped,
  Effect.catchTags({
    BadArgument: (cause) => new ReportNotRun({ cause }),
    SystemError: (cause) => new ReportNotRun({ cause })
  })
)

export interface RefundOptions extends Refunds.RefundRequest {
  /** Sent again with the same key, the request answers with the first refund instead of making another. */
  readonly idempotencyKey?: string | undefined
}

/** Pays money back. */
export const refund: (
  options: RefundOptions
) => Effect.Effect<Refunds.Refund, RefundFailed, World | HttpClient.HttpClient> = Effect.fnUntraced(function* ({
  amount,
  idempotencyKey,
  order
}) {
  const { refundsUrl } = yield* World
  const request = HttpClientRequest.post(`${refundsUrl}/refunds`, {
    headers: idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }
  }).pipe(HttpClientRequest.bodyUnsafeJson({ order, amount }))
  return yield* Effect.mapError(fetchJson(request, Refunds.Refund), (cause) => new RefundFailed({ order, cause }))
})

const search = Effect.fnUntraced(function* (urlParams: Record<string, string>) {
  const { refundsUrl } = yield* World
  return yield* fetchJson(HttpClientRequest.get(`${refundsUrl}/refunds`, { urlParams }), Schema.Array(Refunds.Refund))
})

/** The refunds made for an order so far: how to find out what became of an unanswered one. */
export const listRefunds = (
  order: string
): Effect.Effect<ReadonlyArray<Refunds.Refund>, RefundsUnavailable, World | HttpClient.HttpClient> =>
  Effect.mapError(search({ order }), (cause) => new RefundsUnavailable({ order, cause }))

/** The refund that was made under that key, if it was. */
export const findRefund = (
  order: string,
  key: string
): Effect.Effect<Option.Option<Refunds.Refund>, RefundsUnavailable, World | HttpClient.HttpClient> =>
  search({ key }).pipe(
    Effect.map(Arr.head),
    Effect.mapError((cause) => new RefundsUnavailable({ order, cause }))
  )
