/** Salvo: the tools, and the defaults with a back-off as short as that of the others. */
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { Tool, Toolbox, ToolRunner } from "salvo"
import type { Options, Tool as BenchTool } from "../work/peer.ts"
import { ForecastFailed, handlerOf, Input, Output } from "../work/schema.ts"

const service = (tool: BenchTool) => {
  class Service extends Tool.Service<Service>()(tool.name, {
    description: "The weather of a city",
    input: Input,
    output: Output,
    failure: ForecastFailed,
    effects: "read"
  }) {}
  return { Service, layer: Service.layer(handlerOf(tool)) }
}

export const setUp = (tools: ReadonlyArray<BenchTool>, { toolMillis }: Options) => {
  const all = tools.map(service)
  const runner = ToolRunner.layerWith({
    policy: { timeout: { attempt: toolMillis }, retry: { base: "10 millis", timedOut: { base: "10 millis" } } }
  })
  const layers = all.map(({ layer }) => layer)
  const runtime = ManagedRuntime.make(Layer.mergeAll(runner, ...layers))
  return { toolbox: Toolbox.make(...all.map(({ Service }) => Service)), runtime }
}
