/** What `orders.json` holds. */
import * as Schema from "effect/Schema"

export const Item = Schema.Struct({
  sku: Schema.String,
  name: Schema.String,
  quantity: Schema.Int,
  unitPrice: Schema.Number
})

export const Order = Schema.Struct({
  id: Schema.String,
  customer: Schema.Struct({ name: Schema.String, email: Schema.String, country: Schema.String }),
  placedOn: Schema.String,
  items: Schema.Array(Item),
  total: Schema.Number,
  currency: Schema.String,
  trackingNumber: Schema.String,
  status: Schema.Literal("processing", "shipped", "delayed", "lost", "delivered")
})

export interface Order extends Schema.Schema.Type<typeof Order> {}

/** The whole file, as text. */
export const OrdersFile = Schema.parseJson(Schema.Array(Order))
