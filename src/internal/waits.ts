/** What calls wait for before they start, as events tell it. */
import type { CallEvent, Wait } from "../services/BatchEvents.ts"
import type { Node } from "./node.ts"

export interface Waits {
  /** A call was added. */
  readonly added: (node: Node) => void
  /** No call comes any more. */
  readonly sealed: () => void
  /** Tells what there is to tell. To be asked when what came together is there. */
  readonly tell: () => void
  /** The calls that have not landed, as what `node` waits for. */
  readonly forCalls: (node: Node, why: Extract<Wait, { _tag: "Calls" }>["why"], calls: ReadonlyArray<number>) => void
}

export const make = (nodes: ReadonlyArray<Node>, tell: (node: Node, event: CallEvent) => void): Waits => {
  const untold = new Set<Node>()
  /** Calls that name some which are not there yet, and how many those were when it was told. */
  const expecting = new Map<Node, number>()
  let isSealed = false

  const forCalls: Waits["forCalls"] = (node, why, calls) => {
    const unlanded = calls.filter((i) => nodes[i]?.result === undefined)
    if (unlanded.length > 0) tell(node, { _tag: "Waiting", for: { _tag: "Calls", why, calls: unlanded } })
  }

  const tellOf = (node: Node): void => {
    if (node.unmet === 0 || node.queued) return void expecting.delete(node)
    forCalls(node, "dependency", node.needs)
    if (node.after !== undefined) forCalls(node, "resource", [node.after])
    if (!isSealed && (node.waitsForSeal || node.expected > 0)) tell(node, { _tag: "Waiting", for: { _tag: "Turn" } })
    if (node.expected > 0) expecting.set(node, node.expected)
    else expecting.delete(node)
  }

  return {
    added: (node) => untold.add(node),
    sealed: () => {
      isSealed = true
      for (const node of nodes) if (node.waitsForSeal) untold.add(node)
    },
    tell: () => {
      for (const [node, expected] of expecting) if (node.expected < expected) untold.add(node)
      for (const node of untold) tellOf(node)
      untold.clear()
    },
    forCalls
  }
}
