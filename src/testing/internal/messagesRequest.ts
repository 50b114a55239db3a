/**
 * What the server makes of a request: who may come in, and what a script gets to see of it.
 */
import { blocksOf, merge } from "./messagesConversation.ts"
import type { Json, Rejection } from "./shape.ts"
import { invalid, isJson } from "./shape.ts"

/** The real limit of the Messages API. */
const maxBodyBytes = 32 * 1024 * 1024

/** Whether a request may be read at all: where it goes, who sends it, which version it speaks, how large it is. */
export const checkHead = (
  method: string,
  path: string,
  headers: Readonly<Record<string, string | undefined>>
): Rejection | undefined => {
  if (path !== "/v1/messages") return { status: 404, type: "not_found_error", message: "Not found" }
  if (method !== "POST") return { status: 405, type: "invalid_request_error", message: "Method Not Allowed" }
  if ((headers["x-api-key"] ?? headers["authorization"] ?? "") === "") {
    return { status: 401, type: "authentication_error", message: "x-api-key header is required" }
  }
  if ((headers["anthropic-version"] ?? "") === "") return invalid("anthropic-version: header is required")
  return Number(headers["content-length"] ?? 0) > maxBodyBytes
    ? { status: 413, type: "request_too_large", message: "Request exceeds the maximum size" }
    : undefined
}

/** A message whose content is always a list of blocks. */
export interface RequestMessage {
  readonly role: string
  readonly content: ReadonlyArray<Json>
}

export interface RequestToolResult {
  readonly tool_use_id: string
  readonly is_error: boolean
  readonly text: string
}

const toolResult = (block: Json): RequestToolResult => ({
  tool_use_id: String(block["tool_use_id"]),
  is_error: block["is_error"] === true,
  text: blocksOf(block["content"])
    .flatMap((content) => (content["type"] === "text" ? [String(content["text"])] : []))
    .join("\n")
})

/** The messages of a body the rules have accepted. */
export const messagesOf = (body: Json): ReadonlyArray<RequestMessage> =>
  (Array.isArray(body["messages"]) ? body["messages"] : [])
    .filter(isJson)
    .map((message) => ({ role: String(message["role"]), content: blocksOf(message["content"]) }))

/** The results the conversation ends with: those of the last user turn. */
export const lastToolResults = (messages: ReadonlyArray<RequestMessage>): ReadonlyArray<RequestToolResult> => {
  const turn = merge(messages).findLast(({ role }) => role !== "system")
  return turn?.role === "user"
    ? turn.blocks.flatMap(({ block }) => (block["type"] === "tool_result" ? [toolResult(block)] : []))
    : []
}
