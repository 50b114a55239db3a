/** Salvo with all its defaults, for handlers of two kinds. */
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { Tool, Toolbox, ToolRunner } from "salvo"
import type { Answer, Output, Runner } from "./runner.ts"
import { serveRunner } from "./serve.ts"

const Numbered = Schema.Struct({ n: Schema.Number })

class Node extends Tool.Service<Node>()("node", {
  description: "A node of the graph",
  input: Numbered,
  output: Numbered,
  effects: "read"
}) {}

const toolbox = Toolbox.make(Node)

/** Answers as Salvo, with a handler that turns the work of a node into an effect. */
export const serveSalvo = (effectOf: (work: () => Promise<Output>, n: number) => Effect.Effect<Output>): void => {
  let work: (n: number) => Promise<Output> = async (n) => ({ n })
  const runtime = ManagedRuntime.make(
    Layer.merge(
      Node.layer(({ n }) => effectOf(() => work(n), n)),
      ToolRunner.layer
    )
  )
  const run: Runner["run"] = async (nodes, given) => {
    work = given
    const calls = nodes.map(({ dependsOn, id, n }) => ({ id, name: "node", input: { n }, dependsOn }))
    const batch = await runtime.runPromise(ToolRunner.run(toolbox, calls))
    const answer: Answer = {
      results: new Map(batch.succeeded.map(({ call, output }) => [call.id, output])),
      explained: new Set(batch.failed.map(({ call }) => call.id))
    }
    return answer
  }
  serveRunner({ run })
}
