/** The five fields of a tool's input, what it answers and how it fails, for those who validate with Effect's Schema. */
import * as Schema from "effect/Schema"

export const Input = Schema.Struct({
  city: Schema.NonEmptyString,
  country: Schema.String.pipe(Schema.length(2)),
  days: Schema.Int.pipe(Schema.between(1, 14)),
  units: Schema.Literal("metric", "imperial"),
  detailed: Schema.Boolean
})

export const Output = Schema.Struct({ city: Schema.String, celsius: Schema.Number })

export class ForecastFailed extends Schema.TaggedError<ForecastFailed>()("ForecastFailed", {
  reason: Schema.String
}) {}

export const failed = (error: unknown) => new ForecastFailed({ reason: String(error) })
