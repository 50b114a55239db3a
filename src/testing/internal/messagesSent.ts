/**
 * What the server has said so far, as far as a later request is held to it.
 */
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Option from "effect/Option"
import type { Memory } from "../MessagesRules.ts"
import type { Json } from "./shape.ts"
import { isJson } from "./shape.ts"

export interface Sent {
  /** Text of thinking blocks by signature. */
  readonly thinking: HashMap.HashMap<string, string>
  /** Data of redacted thinking blocks. */
  readonly redacted: HashSet.HashSet<string>
  /** Content of replies that were paused. */
  readonly paused: HashSet.HashSet<string>
}

export const empty: Sent = { thinking: HashMap.empty(), redacted: HashSet.empty(), paused: HashSet.empty() }

/** The same text for the same content, whatever the order of its keys; cache marks and nulls are the client's business. */
const canonical = (content: unknown): string =>
  JSON.stringify(content, (_key, value: unknown) =>
    isJson(value)
      ? Object.fromEntries(
          Object.entries(value)
            .filter(([name, field]) => field !== null && name !== "cache_control")
            .toSorted(([a], [b]) => (a < b ? -1 : 1))
        )
      : value
  )

const isPause = (stopReason: unknown): boolean => stopReason === "pause_turn" || stopReason === "compaction"

/** Adds a reply, given as the message it amounts to. */
export const remember = (sent: Sent, message: Json): Sent => {
  const blocks = Array.isArray(message["content"]) ? message["content"].filter(isJson) : []
  return {
    thinking: blocks.reduce(
      (map, block) =>
        block["type"] === "thinking" ? HashMap.set(map, String(block["signature"]), String(block["thinking"])) : map,
      sent.thinking
    ),
    redacted: blocks.reduce(
      (set, block) => (block["type"] === "redacted_thinking" ? HashSet.add(set, String(block["data"])) : set),
      sent.redacted
    ),
    paused: isPause(message["stop_reason"]) ? HashSet.add(sent.paused, canonical(blocks)) : sent.paused
  }
}

export const toMemory = (sent: Sent): Memory => ({
  thinking: (signature) => Option.getOrUndefined(HashMap.get(sent.thinking, signature)),
  redacted: (data) => HashSet.has(sent.redacted, data),
  paused: (content) => HashSet.has(sent.paused, canonical(content))
})
