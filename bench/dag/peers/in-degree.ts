/** Promises and a count of what each node still waits for: the least that does it right. */
import type { Node } from "../plan.ts"
import type { Output, Runner } from "../runner.ts"
import { serveRunner } from "../serve.ts"

interface Waiting {
  readonly node: Node
  readonly next: Array<Waiting>
  needs: number
  lost: boolean
}

const run: Runner["run"] = (nodes, work) =>
  new Promise((resolve) => {
    const all = new Map<string, Waiting>()
    for (const node of nodes) all.set(node.id, { node, next: [], needs: node.dependsOn.length, lost: false })
    for (const waiting of all.values()) for (const id of waiting.node.dependsOn) all.get(id)?.next.push(waiting)

    const results = new Map<string, Output>()
    const explained = new Set<string>()
    let left = nodes.length

    const ended = (waiting: Waiting) => {
      for (const next of waiting.next) {
        next.needs -= 1
        next.lost ||= waiting.lost
        if (next.needs === 0) start(next)
      }
      left -= 1
      if (left === 0) resolve({ results, explained })
    }
    const lose = (waiting: Waiting) => {
      waiting.lost = true
      explained.add(waiting.node.id)
      ended(waiting)
    }
    const start = (waiting: Waiting) => {
      if (waiting.lost) return lose(waiting)
      work(waiting.node.n).then(
        (output) => {
          results.set(waiting.node.id, output)
          ended(waiting)
        },
        () => lose(waiting)
      )
    }
    for (const waiting of Array.from(all.values())) if (waiting.needs === 0) start(waiting)
  })

serveRunner({ run })
