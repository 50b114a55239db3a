/** Call ids and names the API will accept: well-formed, and ids unique in the whole conversation. */
import type { Block, Message, Turn } from "../services/Model.ts"

const wellFormedId = /^[a-zA-Z0-9_-]+$/

/** Only the block's name is mended; the call keeps what the model wrote, and is answered as an unknown tool. */
const nameFor = (given: unknown): string =>
  String(given)
    .replaceAll(/[^a-zA-Z0-9_-]/g, "_")
    .slice(0, 64) || "unnamed"

const idsOf = (messages: ReadonlyArray<Message>): Set<string> => {
  const taken = new Set<string>()
  for (const { content } of messages) {
    if (typeof content === "string") continue
    for (const block of content)
      if (block.type === "tool_use" && typeof block["id"] === "string") taken.add(block["id"])
  }
  return taken
}

const fresh = (taken: ReadonlySet<string>): string => {
  for (let n = taken.size; ; n++) {
    const id = `toolu_salvo_${n}`
    if (!taken.has(id)) return id
  }
}

/** The id of the next `tool_use` block of a turn: the same, block by block as they come or all at once. */
export const ids = (messages: ReadonlyArray<Message>): ((block: Block) => string) => {
  const taken = idsOf(messages)
  return ({ id: given }) => {
    const id = typeof given === "string" && wellFormedId.test(given) && !taken.has(given) ? given : fresh(taken)
    taken.add(id)
    return id
  }
}

/**
 * Gateways return blank and colliding ids, which the API refuses on the next request. Such a call gets a new id, in
 * the turn and in its call alike; every other block stays the very same object.
 */
export const unique = (turn: Turn, messages: ReadonlyArray<Message>): Turn => {
  const idOf = ids(messages)
  const given: Array<string> = []
  const content = turn.content.map((block): Block => {
    if (block.type !== "tool_use") return block
    const id = idOf(block)
    given.push(id)
    const name = nameFor(block["name"])
    return id === block["id"] && name === block["name"] ? block : { ...block, id, name }
  })
  return { ...turn, content, calls: turn.calls.map((call, i) => ({ ...call, id: given[i] ?? call.id })) }
}
