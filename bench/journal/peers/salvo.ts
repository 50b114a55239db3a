/** Batches of calls of a write tool that does nothing, each batch with a log of its own. */
import * as NodeKeyValueStore from "@effect/platform-node/NodeKeyValueStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { Journal, Tool, Toolbox, ToolRunner } from "salvo"
import { Redis, RedisJournal } from "salvo/redis"
import { serve } from "../../lib/child.ts"

export interface Request {
  readonly place:
    | { readonly kind: "none" }
    | { readonly kind: "memory" }
    | { readonly kind: "files"; readonly folder: string }
    | { readonly kind: "Redis"; readonly url: string }
  /** Calls of one batch, and in all. */
  readonly size: number
  readonly calls: number
}

class Pay extends Tool.Service<Pay>()("pay", {
  description: "Pays",
  input: Schema.Struct({ order: Schema.Number, cents: Schema.Number }),
  output: Schema.Struct({ receipt: Schema.String }),
  effects: "write"
}) {}

const toolbox = Toolbox.make(Pay)

const journal = (place: Request["place"]): Layer.Layer<never, unknown> => {
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

const make = (place: Request["place"]) =>
  ManagedRuntime.make(
    Layer.mergeAll(
      Pay.layer(({ order }) => Effect.promise(async () => ({ receipt: `r${order}` }))),
      Layer.provideMerge(ToolRunner.layer, journal(place))
    )
  )

const runtimes = new Map<string, ReturnType<typeof make>>()
let batches = 0

serve(async (request) => {
  const { calls, place, size } = request as Request
  const runtime = runtimes.get(place.kind) ?? make(place)
  runtimes.set(place.kind, runtime)
  await runtime.runtime()
  const started = performance.now()
  for (let done = 0; done < calls; done += size) {
    const id = `${process.pid}-${++batches}`
    const turn = Array.from({ length: size }, (_, i) => ({
      id: `toolu_${i}`,
      name: "pay",
      input: { order: i, cents: 5 }
    }))
    const batch = await runtime.runPromise(ToolRunner.run(toolbox, turn, { id }))
    if (batch.failed.length > 0) throw new Error(`${batch.failed.length} calls failed`)
  }
  return ((performance.now() - started) * 1000) / calls
})
