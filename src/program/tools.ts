/** The support agent's tools: what each does to the world, how it is protected, and its implementation. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Fault, Tool, Toolbox } from "../index.ts"
import * as Actions from "./actions.ts"
import { Parcel } from "./world/Carrier.ts"
import { Order } from "./world/Orders.ts"
import { PolicyHit } from "./world/Policies.ts"
import { Rate } from "./world/Rates.ts"
import { Refund } from "./world/Refunds.ts"

export class LookUpOrder extends Tool.Service<LookUpOrder>()("look_up_order", {
  description: "An order with its customer, items, total, tracking number and status.",
  input: Schema.Struct({ order: Schema.NonEmptyString }),
  output: Order,
  failure: Schema.Union(Actions.OrderNotFound, Actions.OrdersUnreadable),
  effects: "read",
  classify: (failure) => (failure._tag === "OrderNotFound" ? Fault.model() : Fault.permanent())
}) {}

export class SearchPolicies extends Tool.Service<SearchPolicies>()("search_policies", {
  description: "Searches the company's policies; gives the best passages.",
  input: Schema.Struct({ query: Schema.NonEmptyString }),
  output: Schema.Array(PolicyHit),
  failure: Actions.PoliciesUnreadable,
  effects: "read"
}) {}

export class TrackParcel extends Tool.Service<TrackParcel>()("track_parcel", {
  description: "Where the carrier last saw a parcel.",
  input: Schema.Struct({ tracking_number: Schema.NonEmptyString }),
  output: Parcel,
  failure: Actions.TrackingFailed,
  effects: "read",
  policy: { timeout: "2 seconds", retry: { base: "100 millis" } },
  classify: Fault.http
}) {}

/** What a careful shop keeps for the day its rate service is silent. */
const lastKnownRate = 0.92

export class ExchangeRate extends Tool.Service<ExchangeRate>()("exchange_rate", {
  description: "Today's exchange rate between two currencies.",
  input: Schema.Struct({ from: Schema.NonEmptyString, to: Schema.NonEmptyString }),
  output: Rate,
  failure: Actions.RateUnavailable,
  effects: "read",
  policy: {
    timeout: "600 millis",
    retry: false,
    fallback: ({ from, to }) => Effect.succeed({ from, to, rate: lastKnownRate })
  }
}) {}

export class RenderReport extends Tool.Service<RenderReport>()("render_report", {
  description: "Renders the case report of an order for the archive.",
  input: Schema.Struct({ order: Schema.NonEmptyString }),
  output: Schema.String,
  failure: Schema.Union(Actions.ReportFailed, Actions.ReportNotRun),
  effects: "idempotent",
  classify: () => Fault.permanent(),
  describe: (failure) =>
    failure._tag === "ReportFailed"
      ? `the report program ended with exit code ${failure.exitCode}`
      : "the report program could not be started"
}) {}

/** Both refund tools talk to one server: what one finds out about it, the other knows. */
const payments = { name: "payments" }

export class RefundOrder extends Tool.Service<RefundOrder>()("refund_order", {
  description: "Pays money of an order back to the customer. Check list_refunds first if you are not sure.",
  input: Schema.Struct({ order: Schema.NonEmptyString, amount: Schema.Positive }),
  output: Refund,
  failure: Actions.RefundFailed,
  effects: "write",
  policy: { timeout: "2 seconds", circuitBreaker: payments },
  classify: Fault.http
}) {}

export class ListRefunds extends Tool.Service<ListRefunds>()("list_refunds", {
  description: "The refunds that were paid for an order.",
  input: Schema.Struct({ order: Schema.NonEmptyString }),
  output: Schema.Array(Refund),
  failure: Actions.RefundsUnavailable,
  effects: "read",
  policy: { circuitBreaker: payments }
}) {}

export const toolbox = Toolbox.make(
  LookUpOrder,
  SearchPolicies,
  TrackParcel,
  ExchangeRate,
  RenderReport,
  RefundOrder,
  ListRefunds
)

export type Tools = (typeof toolbox)["tools"][number]

export const layer = Layer.mergeAll(
  LookUpOrder.layer(({ order }) => Actions.lookUpOrder(order)),
  SearchPolicies.layer(({ query }) => Actions.searchPolicies(query)),
  TrackParcel.layer(({ tracking_number }) => Actions.trackParcel(tracking_number)),
  ExchangeRate.layer(({ from, to }) => Actions.exchangeRate(from, to)),
  RenderReport.layer(({ order }) => Actions.renderReport(order)),
  RefundOrder.layer(
    Tool.withReconcile(
      ({ amount, order }, { idempotencyKey }) => Actions.refund({ order, amount, idempotencyKey }),
      // After a crash the server knows what became of it.
      ({ order }, { idempotencyKey }) => Actions.findRefund(order, idempotencyKey)
    )
  ),
  ListRefunds.layer(({ order }) => Actions.listRefunds(order))
)
