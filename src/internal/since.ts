/** Since when what a call finds out holds: nothing that it waits for has changed anything after that. */
import * as Effects from "./effects.ts"
import type { Node } from "./node.ts"

/** Where in the journal's log a call has changed something: before all of it where it has not, after all where just now. */
const changedAt = ({ job, result }: Node): number => {
  if (job === undefined || result === undefined || Effects.ofCall(job.definition) === "read") return -1
  if (result._tag === "Failure" && result.fault.tookEffect === "no") return -1
  const known = job.entry?.known
  const isFromBefore = known?.state._tag === "landed" && (result._tag === "Failure" || result.source === "journal")
  return isFromBefore ? known.landedAt : Number.POSITIVE_INFINITY
}

/** Of a call all of whose dependencies have landed, and have theirs decided. */
export const since = ({ after, needs }: Node, nodes: ReadonlyArray<Node>): number => {
  let at = -1
  for (const i of after === undefined ? needs : [...needs, after]) {
    const other = nodes[i]
    if (other !== undefined) at = Math.max(at, other.since, changedAt(other))
  }
  return at
}
