/** Looks through all that is left whenever something has ended. After a failure it hands over what is there by then. */
import type { Node } from "../plan.ts"
import type { Output, Runner } from "../runner.ts"
import { serveRunner } from "../serve.ts"

const run: Runner["run"] = (nodes, work) => {
  const results = new Map<string, Output>()
  let left = nodes
  return new Promise((resolve) => {
    const end = () => resolve({ results: new Map(results), explained: new Set() })
    const scan = () => {
      if (results.size === nodes.length) return end()
      const still: Array<Node> = []
      const ready: Array<Node> = []
      for (const node of left) (node.dependsOn.every((id) => results.has(id)) ? ready : still).push(node)
      left = still
      for (const { id, n } of ready) {
        work(n).then((output) => {
          results.set(id, output)
          scan()
        }, end)
      }
    }
    scan()
  })
}

serveRunner({ run })
