/** `@effect/ai`: the handlers of a toolkit at the same time, as its `LanguageModel` runs them. */
import * as Tool from "@effect/ai/Tool"
import * as Toolkit from "@effect/ai/Toolkit"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { ForecastFailed, handlerOf, Input, Output } from "../../work/schema.ts"
import { serveBatches } from "../held.ts"

const toolkit = Toolkit.make(
  Tool.make("forecast", {
    description: "The weather of a city",
    parameters: Input.fields,
    success: Output,
    failure: ForecastFailed,
    failureMode: "return"
  })
)

serveBatches(async (tool) => {
  const runtime = ManagedRuntime.make(
    toolkit.toLayer({
      forecast: handlerOf(tool)
    })
  )
  return (calls) =>
    runtime.runPromise(
      Effect.flatMap(toolkit, ({ handle }) =>
        Effect.forEach(calls, ({ input }) => handle("forecast", JSON.parse(input) as typeof Input.Type), {
          concurrency: "unbounded"
        })
      )
    )
})
