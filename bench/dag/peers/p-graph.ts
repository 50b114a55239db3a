/** `p-graph` as its documentation has it, told to go on after a failure. It hands on no results: its users keep them. */
import { PGraph } from "p-graph"
import type { Output, Runner } from "../runner.ts"
import { serveRunner } from "../serve.ts"

const run: Runner["run"] = async (nodes, work) => {
  const results = new Map<string, Output>()
  const graph = new PGraph(
    new Map(
      nodes.map(({ id, n }) => [
        id,
        {
          run: async () => {
            results.set(id, await work(n))
          }
        }
      ])
    ),
    nodes.flatMap(({ dependsOn, id }) => dependsOn.map((need): [string, string] => [need, id]))
  )
  await graph.run({ continue: true }).catch(() => {})
  return { results, explained: new Set() }
}

serveRunner({ run })
