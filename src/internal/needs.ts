/** What a call has of the calls it needs, once they have landed. */
import * as Either from "effect/Either"
import * as ToolError from "../ToolError.ts"
import type * as ToolResult from "../ToolResult.ts"
import type { Node } from "./node.ts"

type Nodes = ReadonlyArray<Node>

const noOutputs: ReadonlyMap<string, unknown> = new Map()

/** Their outputs, by id; for the call at position `index`. */
export const outputs = (index: number, nodes: Nodes): ReadonlyMap<string, unknown> => {
  const needs = nodes[index]?.needs ?? []
  if (needs.length === 0) return noOutputs
  const outputs = new Map<string, unknown>()
  for (const need of needs) {
    const result = nodes[need]?.result
    if (result?._tag === "Success") outputs.set(result.call.id, result.output)
  }
  return outputs
}

/** Whether a call runs although that one, which it needs, did not succeed. */
const tolerates = (node: Node, { call }: ToolResult.Failure): boolean => {
  if (node.call.tolerates === true) return true
  const { looked } = node
  const tolerated = Either.isRight(looked) ? looked.right.tool.definition.tolerates : false
  return typeof tolerated === "boolean" ? tolerated : tolerated.includes(call.name)
}

/** The first that did not succeed and that it cannot do without, and where that trouble began. */
export const failed = (node: Node, nodes: Nodes): ToolError.DependencyFailed | undefined => {
  for (const need of node.needs) {
    const result = nodes[need]?.result
    if (result?._tag === "Failure" && (node.references.includes(need) || !tolerates(node, result))) {
      const root = result.error._tag === "DependencyFailed" ? result.error.root : result.call.id
      return new ToolError.DependencyFailed({ dependency: result.call.id, root })
    }
  }
  return undefined
}
