/** What the process of a peer is asked. */
import { serve } from "../lib/child.ts"
import { bytes, micros } from "./cost.ts"
import { type BadCall, recovery, withBadCall } from "./faults.ts"
import type { Peer } from "./peer.ts"

export type Request =
  | { readonly ask: "kind" }
  | { readonly ask: "micros"; readonly size: number; readonly atLeastMillis: number }
  | { readonly ask: "bytes"; readonly size: number; readonly turns: number }
  | { readonly ask: "recovery"; readonly deadlineMillis: number }
  | { readonly ask: "bad call"; readonly kind: BadCall }

const answer = async (peer: Peer, request: Request): Promise<unknown> => {
  switch (request.ask) {
    case "kind":
      return peer.kind
    case "micros":
      return micros(peer, request.size, request.atLeastMillis)
    case "bytes":
      return bytes(peer, request.size, request.turns)
    case "recovery":
      return recovery(peer, request.deadlineMillis)
    case "bad call":
      return withBadCall(peer, request.kind)
  }
}

/** Answers as that peer. */
export const servePeer = (peer: Peer): void => serve((request) => answer(peer, request as Request))
