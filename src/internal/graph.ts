/** What is wrong with who waits for whom. Pure, O(V + E); `needs` are, for each call, the positions of those it waits for. */
import * as Graph from "effect/Graph"

type Needs = ReadonlyArray<ReadonlyArray<number>>

const none: ReadonlyArray<number> = []

/** A way from `start` back to itself inside its strongly connected component. */
const wayBack = (start: number, needs: Needs, inside: ReadonlySet<number>): ReadonlyArray<number> => {
  const from = new Map<number, number>()
  const queue = [start]
  for (const node of queue) {
    for (const next of needs[node] ?? none) {
      if (next === start) {
        const way = [node]
        for (let at = node; at !== start;) {
          at = from.get(at) ?? start
          way.push(at)
        }
        return way.toReversed()
      }
      if (inside.has(next) && !from.has(next)) {
        from.set(next, node)
        queue.push(next)
      }
    }
  }
  return [start]
}

const build = (needs: Needs) =>
  Graph.directed<undefined, undefined>((mutable) => {
    for (const _ of needs) Graph.addNode(mutable, undefined)
    needs.forEach((targets, i) => {
      for (const target of targets) Graph.addEdge(mutable, i, target, undefined)
    })
  })

/** The sets of calls that wait for each other; of one call where it waits for itself. */
const knots = (needs: Needs): ReadonlyArray<ReadonlyArray<number>> => {
  // Nearly every model names only calls it has made before, and they can wait for each other in no circle.
  if (needs.every((targets, i) => targets.every((target) => target < i))) return []
  const graph = build(needs)
  return Graph.isAcyclic(graph)
    ? []
    : Graph.stronglyConnectedComponents(graph).filter(
        ([first = -1, ...others]) => others.length > 0 || (needs[first] ?? none).includes(first)
      )
}

/** A cycle of more calls is told from one and the same call by all that are on it. */
const longest = 64

/** For every call that waits for itself, a cycle it is on. */
export const cycles = (needs: Needs): ReadonlyMap<number, ReadonlyArray<number>> => {
  const found = new Map<number, ReadonlyArray<number>>()
  for (const knot of knots(needs)) {
    const inside = new Set(knot)
    for (const node of knot) {
      if (found.has(node)) continue
      const cycle = wayBack(node, needs, inside)
      cycle.forEach((member, i) => {
        if (!found.has(member)) {
          found.set(member, cycle.length > longest ? cycle : [...cycle.slice(i), ...cycle.slice(0, i)])
        }
      })
    }
  }
  return found
}

/**
 * The calls whose place in the order of a resource (`after`: each after at most one other) goes against what calls need.
 * Need comes first.
 */
export const tangled = (needs: Needs, after: ReadonlyMap<number, number>): ReadonlyArray<number> => {
  if (after.size === 0) return []
  const all = needs.map((targets, i) => {
    const before = after.get(i)
    return before === undefined ? targets : [...targets, before]
  })
  return knots(all).flatMap((knot) => {
    const inside = new Set(knot)
    return knot.filter((node) => inside.has(after.get(node) ?? -1))
  })
}
