/** Salvo with its default policies. */
import { ToolRunner } from "salvo"
import { setUp } from "../../peers/salvo.ts"
import { serveBatches } from "../held.ts"

serveBatches(async (tool) => {
  const { runtime, toolbox } = setUp([tool], { toolMillis: 30_000, expectsFaults: false })
  return (calls) => runtime.runPromise(ToolRunner.run(toolbox, calls))
})
