/** What a peer of the part `dag` is: one way of running nodes that wait for each other. */
import type { Node } from "./plan.ts"

export interface Output {
  readonly n: number
}

/** What whoever asked for the nodes to be run holds in the end. */
export interface Answer {
  readonly results: ReadonlyMap<string, Output>
  /** The nodes without a result of which the answer says why. */
  readonly explained: ReadonlySet<string>
}

export interface Runner {
  /** From the list of nodes to the answer, so the building of a graph is part of it. `work` is given a node's place. */
  readonly run: (nodes: ReadonlyArray<Node>, work: (n: number) => Promise<Output>) => Promise<Answer>
}
