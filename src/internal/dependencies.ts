/** Who waits for whom in a batch: edges from `dependsOn`, and the calls that can never start. Pure. */
import * as Graph from "effect/Graph"
import type { ToolCall } from "../ToolCall.ts"
import * as ToolError from "../ToolError.ts"

export interface Dependencies {
  /** For each call, the positions of the calls it waits for. */
  readonly needs: ReadonlyArray<ReadonlyArray<number>>
  /** For each call, the positions of the calls that wait for it. */
  readonly neededBy: ReadonlyArray<ReadonlyArray<number>>
  /** Calls that fail before anything of theirs runs. */
  readonly refused: ReadonlyMap<number, ToolError.UnresolvedReference | ToolError.DependencyCycle>
}

const none: ReadonlyArray<number> = []

const positionsById = (calls: ReadonlyArray<ToolCall>) => {
  const positions = new Map<string, Array<number>>()
  calls.forEach((call, i) => {
    const at = positions.get(call.id)
    if (at === undefined) positions.set(call.id, [i])
    else at.push(i)
  })
  return positions
}

const unresolved = (reference: string, found: number) =>
  new ToolError.UnresolvedReference({
    reference,
    reason: found === 0 ? "no call of this turn has that id" : `${found} calls of this turn have that id`
  })

/** A way from `start` back to itself inside its strongly connected component. */
const cycleThrough = (start: number, needs: ReadonlyArray<ReadonlyArray<number>>, inside: ReadonlySet<number>) => {
  const from = new Map<number, number>()
  const queue = [start]
  for (const node of queue) {
    for (const next of needs[node] ?? none) {
      if (next === start) {
        const path = [node]
        for (let at = node; at !== start;) {
          at = from.get(at) ?? start
          path.unshift(at)
        }
        return path
      }
      if (inside.has(next) && !from.has(next)) {
        from.set(next, node)
        queue.push(next)
      }
    }
  }
  return [start]
}

/** O(V + E); a batch without dependencies costs one pass. */
export const analyse = (calls: ReadonlyArray<ToolCall>): Dependencies => {
  const refused = new Map<number, ToolError.UnresolvedReference | ToolError.DependencyCycle>()
  if (!calls.some((call) => (call.dependsOn?.length ?? 0) > 0)) {
    return { needs: calls.map(() => none), neededBy: calls.map(() => none), refused }
  }
  const positions = positionsById(calls)
  const needs: Array<Array<number>> = calls.map((call, i) => {
    const targets = new Set<number>()
    for (const id of new Set(call.dependsOn)) {
      const found = positions.get(id) ?? none
      if (found.length === 1 && found[0] !== undefined) targets.add(found[0])
      else refused.set(i, unresolved(id, found.length))
    }
    return [...targets]
  })
  const graph = Graph.directed<undefined, undefined>((mutable) => {
    for (const _ of calls) Graph.addNode(mutable, undefined)
    needs.forEach((targets, i) => {
      for (const target of targets) Graph.addEdge(mutable, i, target, undefined)
    })
  })
  if (!Graph.isAcyclic(graph)) {
    for (const component of Graph.stronglyConnectedComponents(graph)) {
      const inside = new Set(component)
      for (const node of component) {
        if (component.length > 1 || needs[node]?.includes(node)) {
          const cycle = cycleThrough(node, needs, inside)
          refused.set(node, new ToolError.DependencyCycle({ cycle: cycle.map((i) => calls[i]?.id ?? "") }))
        }
      }
    }
  }
  const neededBy: Array<Array<number>> = calls.map(() => [])
  needs.forEach((targets, i) => targets.forEach((target) => neededBy[target]?.push(i)))
  return { needs, neededBy, refused }
}
