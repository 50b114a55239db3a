/** What many agents do: all that is ready as one `Promise.all`, then all that is ready after it. */
import type { Node } from "../plan.ts"
import type { Output, Runner } from "../runner.ts"
import { serveRunner } from "../serve.ts"

/** Each node one level below the lowest of those it needs. */
const levelsOf = (nodes: ReadonlyArray<Node>): ReadonlyArray<ReadonlyArray<Node>> => {
  const levels: Array<Array<Node>> = []
  const levelOf = new Map<string, number>()
  for (const node of nodes) {
    const level = node.dependsOn.reduce((lowest, id) => Math.max(lowest, 1 + (levelOf.get(id) ?? 0)), 0)
    levelOf.set(node.id, level)
    const same = levels[level]
    if (same === undefined) levels[level] = [node]
    else same.push(node)
  }
  return levels
}

const run: Runner["run"] = async (nodes, work) => {
  const results = new Map<string, Output>()
  try {
    for (const level of levelsOf(nodes)) {
      const outputs = await Promise.all(level.map(({ n }) => work(n)))
      for (const [i, output] of outputs.entries()) results.set(level[i]?.id ?? "", output)
    }
  } catch {
    // What the levels before have brought is kept.
  }
  return { results, explained: new Set() }
}

serveRunner({ run })
