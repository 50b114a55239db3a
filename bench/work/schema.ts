/** The five fields of a tool's input, what it answers and how it fails, for those who validate with Effect's Schema. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type Tool, watches } from "./peer.ts"

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

/** A tool as a handler. */
export const handlerOf = (tool: Tool) => {
  // Some tools answer with what is no output, on purpose.
  const run = tool.run as (input: typeof Input.Type, signal?: AbortSignal) => Promise<typeof Output.Type>
  return (input: typeof Input.Type) =>
    Effect.tryPromise({ try: watches(tool) ? (signal) => run(input, signal) : () => run(input), catch: failed })
}
