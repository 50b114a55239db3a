/** Salvo with its default policies. The tool is a write: of those most is written down, an intent and a result each. */
import * as NodeKeyValueStore from "@effect/platform-node/NodeKeyValueStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { Journal, Report, Tool, Toolbox, ToolRunner } from "salvo"
import { Redis, RedisJournal } from "salvo/redis"
import type { ResultBlock } from "../../work/peer.ts"
import { ForecastFailed, handlerOf, Input, Output } from "../../work/schema.ts"
import { type Place, serveBatches } from "../batches.ts"

class Forecast extends Tool.Service<Forecast>()("forecast", {
  description: "The weather of a city",
  input: Input,
  output: Output,
  failure: ForecastFailed,
  effects: "write"
}) {}

const toolbox = Toolbox.make(Forecast)

const journal = (place: Place): Layer.Layer<never, unknown> => {
  switch (place.kind) {
    case "none":
      return Layer.empty
    case "memory":
      return Journal.layerMemory()
    case "files":
      return Layer.provide(Journal.layerKeyValueStore(), NodeKeyValueStore.layerFileSystem(place.folder))
    case "Redis":
      return Layer.provide(RedisJournal.layer(), Redis.layer({ url: place.url }))
  }
}

serveBatches(async (place, tool) => {
  const runtime = ManagedRuntime.make(
    Layer.mergeAll(Forecast.layer(handlerOf(tool)), Layer.provideMerge(ToolRunner.layer, journal(place)))
  )
  await runtime.runtime()
  return (id, calls) =>
    runtime.runPromise(
      Effect.map(
        ToolRunner.run(toolbox, calls, { id }),
        (batch) => Report.toolResults(batch) as ReadonlyArray<ResultBlock>
      )
    )
})
