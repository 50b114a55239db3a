/**
 * The rules between messages: who speaks when, and that every call is answered once, at once and first.
 */
import type { Json, Rejection } from "./shape.ts"
import { firstOf, invalid, isJson } from "./shape.ts"

/** A content block and where it is in the request. */
interface Placed {
  readonly block: Json
  readonly at: string
}

/** Consecutive messages of one role: the API reads them as one message. */
export interface Turn {
  readonly role: unknown
  readonly blocks: ReadonlyArray<Placed>
  /** Index of the last of the merged messages. */
  readonly last: number
}

/** Content as blocks: a string is one text block. */
export const blocksOf = (content: unknown): ReadonlyArray<Json> =>
  typeof content === "string" ? [{ type: "text", text: content }] : Array.isArray(content) ? content.filter(isJson) : []

/** Messages with consecutive ones of the same role merged. */
export const merge = (messages: ReadonlyArray<unknown>): ReadonlyArray<Turn> => {
  const turns: Array<{ role: unknown; blocks: Array<Placed>; last: number }> = []
  for (const [index, message] of messages.entries()) {
    if (!isJson(message)) continue
    const role = message["role"]
    let turn = turns.at(-1)
    if (turn === undefined || turn.role !== role) {
      turn = { role, blocks: [], last: index }
      turns.push(turn)
    }
    turn.last = index
    for (const [m, block] of blocksOf(message["content"]).entries()) {
      turn.blocks.push({ block, at: `messages.${index}.content.${m}` })
    }
  }
  return turns
}

const isType =
  (type: string) =>
  ({ block }: Placed): boolean =>
    block["type"] === type

const isServerResult = (type: string) => type.endsWith("_tool_result")

const ownerOf = (type: string): "user" | "assistant" | undefined => {
  if (isServerResult(type)) return "assistant"
  switch (type) {
    case "tool_use":
    case "server_tool_use":
    case "mcp_tool_use":
    case "thinking":
    case "redacted_thinking":
      return "assistant"
    case "tool_result":
    case "image":
    case "document":
    case "search_result":
      return "user"
    default:
      return undefined
  }
}

const checkRoles = (turns: ReadonlyArray<Turn>): Rejection | undefined =>
  turns[0]?.role === "user"
    ? firstOf(turns, (turn) =>
        firstOf(turn.blocks, ({ at, block }) => {
          const type = String(block["type"])
          const owner = ownerOf(type)
          return owner === undefined || owner === turn.role
            ? undefined
            : invalid(`${at}: \`${type}\` blocks can only be in \`${owner}\` messages`)
        })
      )
    : invalid('messages: first message must use the "user" role')

const checkUniqueIds = (turns: ReadonlyArray<Turn>): Rejection | undefined => {
  const seen = new Set<unknown>()
  return firstOf(turns, (turn) =>
    firstOf(turn.blocks.filter(isType("tool_use")), ({ at, block }) => {
      if (seen.has(block["id"])) return invalid(`${at}: \`tool_use\` ids must be unique`)
      seen.add(block["id"])
      return undefined
    })
  )
}

/** A server tool may finish in a later reply, so its call is looked for in everything said before. */
const checkServerResults = (turns: ReadonlyArray<Turn>): Rejection | undefined => {
  const called = new Set<unknown>()
  return firstOf(turns, (turn) =>
    firstOf(turn.blocks, ({ at, block }) => {
      const type = String(block["type"])
      if (type === "server_tool_use" || type === "mcp_tool_use") called.add(block["id"])
      const call = type === "mcp_tool_result" ? "mcp_tool_use" : "server_tool_use"
      return isServerResult(type) && !called.has(block["tool_use_id"])
        ? invalid(
            `${at}: unexpected \`tool_use_id\` found in \`${type}\` blocks: ${String(block["tool_use_id"])}. ` +
              `Each \`${type}\` block must have a corresponding \`${call}\` block before it.`
          )
        : undefined
    })
  )
}

const isProgrammatic = ({ block }: Placed): boolean => {
  const caller = block["caller"]
  return isJson(caller) && caller["type"] !== "direct"
}

/** The results in a user turn against the calls of the turn before it. */
const checkResults = (calls: ReadonlyArray<Placed>, answer: Turn): Rejection | undefined => {
  const byId = new Map(calls.map((call) => [call.block["id"], call.block]))
  const seen = new Set<unknown>()
  return (
    firstOf(answer.blocks.filter(isType("tool_result")), ({ at, block }) => {
      const id = block["tool_use_id"]
      const call = byId.get(id)
      if (call === undefined) {
        return invalid(
          `${at}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${String(id)}. ` +
            "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
        )
      }
      if (seen.has(id)) {
        return invalid(
          `${at}: each tool_use must have a single result. Found multiple \`tool_result\` blocks with id: ${String(id)}`
        )
      }
      seen.add(id)
      return (call["toolset_name"] ?? null) === (block["toolset_name"] ?? null)
        ? undefined
        : invalid(
            `${at}.tool_result.toolset_name: must match the \`toolset_name\` of the \`tool_use\` block ${String(id)}`
          )
    }) ??
    (calls.some(isProgrammatic)
      ? firstOf(answer.blocks, ({ at, block }) =>
          block["type"] === "tool_result"
            ? undefined
            : invalid(`${at}: when answering programmatic tool calls a message may only contain \`tool_result\` blocks`)
        )
      : undefined)
  )
}

/** Only results before the first block of another kind count as coming "immediately after" the calls. */
const leadingResults = (turn: Turn | undefined): ReadonlySet<unknown> => {
  const ids = new Set<unknown>()
  if (turn?.role !== "user") return ids
  for (const placed of turn.blocks) {
    if (!isType("tool_result")(placed)) break
    ids.add(placed.block["tool_use_id"])
  }
  return ids
}

const checkAnswers = (turns: ReadonlyArray<Turn>): Rejection | undefined =>
  firstOf(turns, (turn, index) => {
    if (turn.role === "user") {
      const before = turns[index - 1]
      return checkResults(before?.role === "assistant" ? before.blocks.filter(isType("tool_use")) : [], turn)
    }
    if (turn.role !== "assistant") return undefined
    const next = turns[index + 1]
    const calls = turn.blocks.filter(isType("tool_use"))
    const duplicateOrUnknown = next?.role === "user" ? checkResults(calls, next) : undefined
    if (duplicateOrUnknown !== undefined) return duplicateOrUnknown
    const answered = leadingResults(next)
    const missing = calls.map(({ block }) => block["id"]).filter((id) => !answered.has(id))
    return missing.length === 0
      ? undefined
      : invalid(
          `messages.${turn.last}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ` +
            `${missing.join(", ")}. Each \`tool_use\` block must have a corresponding \`tool_result\` block in the next message.`
        )
  })

const checkThinkingEnds = (turns: ReadonlyArray<Turn>): Rejection | undefined =>
  firstOf(turns, (turn) =>
    turn.role === "assistant" && turn.blocks.at(-1)?.block["type"] === "thinking"
      ? invalid(`messages.${turn.last}: The final block in an assistant message cannot be \`thinking\`.`)
      : undefined
  )

/** Everything about the conversation but its end and its thinking. */
export const checkConversation = (turns: ReadonlyArray<Turn>): Rejection | undefined =>
  checkRoles(turns) ??
  checkUniqueIds(turns) ??
  checkServerResults(turns) ??
  checkAnswers(turns) ??
  checkThinkingEnds(turns)
