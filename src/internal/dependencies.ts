/** Who waits for whom in a batch: edges from `dependsOn` and shared resources, and the calls that can never start. Pure. */
import * as Graph from "effect/Graph"
import type { ToolCall } from "../ToolCall.ts"
import * as ToolError from "../ToolError.ts"

export interface Dependencies {
  /** For each call, the positions of the calls it needs to succeed. */
  readonly needs: ReadonlyArray<ReadonlyArray<number>>
  /** For each call, how many calls have to land before it starts. */
  readonly unmet: ReadonlyArray<number>
  /** For each call, the positions of the calls that wait for it to land. */
  readonly awaitedBy: ReadonlyArray<ReadonlyArray<number>>
  /** Calls that fail before anything of theirs runs. */
  readonly refused: ReadonlyMap<number, Refusal>
}

type Refusal = ToolError.UnresolvedReference | ToolError.DependencyCycle

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

/** The calls in an order in which every call comes after those it needs, and otherwise in call order. */
const inOrder = (needs: ReadonlyArray<ReadonlyArray<number>>, refused: ReadonlyMap<number, unknown>) => {
  const order: Array<number> = []
  const seen = new Set<number>()
  needs.forEach((_, start) => {
    const stack = [start]
    for (let at = stack.at(-1); at !== undefined; at = stack.at(-1)) {
      const open = seen.has(at) ? [] : (needs[at] ?? none).filter((need) => !seen.has(need) && !refused.has(need))
      if (open.length > 0 && !refused.has(at)) {
        stack.push(...open.toReversed())
      } else {
        stack.pop()
        if (!seen.has(at)) order.push(at)
        seen.add(at)
      }
    }
  })
  return order
}

/** Each call after the last one before it that uses the same resource; whether that one succeeds does not matter. */
const afterSameResource = (order: ReadonlyArray<number>, resources: ReadonlyArray<string | undefined>) => {
  const last = new Map<string, number>()
  const after = new Map<number, number>()
  for (const i of order) {
    const resource = resources[i]
    if (resource === undefined) continue
    const before = last.get(resource)
    if (before !== undefined) after.set(i, before)
    last.set(resource, i)
  }
  return after
}

const edges = (calls: ReadonlyArray<ToolCall>, refused: Map<number, Refusal>): ReadonlyArray<ReadonlyArray<number>> => {
  if (!calls.some((call) => (call.dependsOn?.length ?? 0) > 0)) return calls.map(() => none)
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
  if (Graph.isAcyclic(graph)) return needs
  for (const component of Graph.stronglyConnectedComponents(graph)) {
    const inside = new Set(component)
    for (const node of component) {
      if (component.length > 1 || needs[node]?.includes(node)) {
        const cycle = cycleThrough(node, needs, inside)
        refused.set(node, new ToolError.DependencyCycle({ cycle: cycle.map((i) => calls[i]?.id ?? "") }))
      }
    }
  }
  return needs
}

/**
 * O(V + E); a batch without dependencies costs one pass. `resources` are what calls use one at a time, in call order
 * (but never against what they need).
 */
export const analyse = (
  calls: ReadonlyArray<ToolCall>,
  resources: ReadonlyArray<string | undefined> = []
): Dependencies => {
  const refused = new Map<number, Refusal>()
  const needs = edges(calls, refused)
  const after = resources.some((resource) => resource !== undefined)
    ? afterSameResource(inOrder(needs, refused), resources)
    : new Map<number, number>()
  const awaits = needs.map((targets, i) => {
    const before = after.get(i)
    return before === undefined || targets.includes(before) ? targets : [...targets, before]
  })
  const awaitedBy: Array<Array<number>> = calls.map(() => [])
  awaits.forEach((targets, i) => targets.forEach((target) => awaitedBy[target]?.push(i)))
  return { needs, unmet: awaits.map((targets) => targets.length), awaitedBy, refused }
}
