/** What a finished turn asks of the agent's loop, and what of it may go back to the API. */
import type { Stop } from "../services/Agent.ts"
import type * as Model from "../services/Model.ts"

export type Next = "run" | "send back" | "ask for more" | Stop

export const textIn = (content: ReadonlyArray<Model.Block>): string =>
  content.flatMap((block) => (block.type === "text" && typeof block["text"] === "string" ? block["text"] : [])).join("")

export const textOf = (turn: Model.Turn): string => textIn(turn.content)

const isBlank = (block: Model.Block): boolean =>
  block.type === "text" && (typeof block["text"] !== "string" || block["text"].trim() === "")

/** The API refuses blocks of empty text, even those it sent. */
export const sendable = (turn: Model.Turn): ReadonlyArray<Model.Block> =>
  turn.content.filter((block) => !isBlank(block))

const isThinking = (block: Model.Block): boolean => block.type === "thinking" || block.type === "redacted_thinking"

/** Without the calls, which nobody will answer, and without thinking at the end, which the API refuses. */
export const withoutCalls = (turn: Model.Turn): ReadonlyArray<Model.Block> => {
  const blocks = sendable(turn).filter((block) => block.type !== "tool_use")
  return blocks.slice(0, blocks.findLastIndex((block) => !isThinking(block)) + 1)
}

/** A turn that said nothing cannot go back: the API refuses empty messages. */
const sendBack = (turn: Model.Turn): Next => (sendable(turn).length > 0 ? "send back" : "incomplete")

/** What a stop reason asks of the loop. Only `tool_use` says that the calls are complete. */
export const nextStep = (turn: Model.Turn): Next => {
  switch (turn.stopReason) {
    case "tool_use":
      return turn.calls.length > 0 ? "run" : sendBack(turn)
    case "end_turn":
    case "stop_sequence":
      return "end_turn"
    case "pause_turn":
    case "compaction":
      return sendBack(turn)
    case "max_tokens":
      return turn.calls.length > 0 ? "ask for more" : "max_tokens"
    case "model_context_window_exceeded":
      return "context_window"
    case "refusal":
      return "refusal"
    default:
      return "incomplete"
  }
}
