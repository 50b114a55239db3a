/**
 * The shapes of messages and of every content block they may hold.
 */
import type { Check } from "./shape.ts"
import {
  all,
  anything,
  array,
  boolean,
  invalid,
  isJson,
  literal,
  nonEmptyString,
  nullable,
  pattern,
  record,
  string,
  stringOr,
  struct,
  tagged
} from "./shape.ts"

const maxMessages = 100_000

/** Names in the history may be longer than what a definition may use. */
const calledName = /^[a-zA-Z0-9_-]{1,128}$/
const toolUseId = /^[a-zA-Z0-9_-]+$/
const serverToolUseId = /^srvtoolu_[a-zA-Z0-9_]+$/
const base64Text = /^[A-Za-z0-9+/]+={0,2}$/

const type = { type: string }
export const cacheControl = nullable(struct({ type: literal("ephemeral") }, { ttl: literal("5m", "1h") }))
const cached = { cache_control: cacheControl }

/** The API names only the field it was in: `messages` or `system`. */
const nonEmptyText: Check = (value, path) =>
  string(value, path) ??
  (value === "" ? invalid(`${path.split(".")[0] ?? path}: text content blocks must be non-empty`) : undefined)

const visibleText: Check = (value, path) =>
  nonEmptyText(value, path) ??
  (String(value).trim() === ""
    ? invalid(`${path.split(".")[0] ?? path}: text content blocks must contain non-whitespace text`)
    : undefined)

const base64: Check = (value, path) =>
  string(value, path) ??
  (typeof value === "string" && value.length % 4 === 0 && base64Text.test(value)
    ? undefined
    : invalid(`${path}: invalid base64 data`))

const textBlock = (text: Check) => struct({ ...type, text }, { ...cached, citations: nullable(array(anything)) })

const imageBlock = struct(
  {
    ...type,
    source: tagged({
      base64: struct({
        ...type,
        media_type: literal("image/jpeg", "image/png", "image/gif", "image/webp"),
        data: base64
      }),
      url: struct({ ...type, url: nonEmptyString }),
      file: struct({ ...type, file_id: nonEmptyString })
    })
  },
  { ...cached, transformations: nullable(record) }
)

const documentBlock = struct(
  {
    ...type,
    source: tagged({
      base64: struct({ ...type, media_type: literal("application/pdf"), data: base64 }),
      text: struct({ ...type, media_type: literal("text/plain"), data: string }),
      content: struct({
        ...type,
        content: stringOr(array(tagged({ text: textBlock(nonEmptyText), image: imageBlock })))
      }),
      url: struct({ ...type, url: nonEmptyString }),
      file: struct({ ...type, file_id: nonEmptyString })
    })
  },
  { ...cached, citations: nullable(record), context: nullable(string), title: nullable(string) }
)

const searchResultBlock = struct(
  { ...type, content: array(tagged({ text: textBlock(nonEmptyText) })), source: string, title: string },
  { ...cached, citations: record }
)

const resultContent = tagged({
  text: textBlock(nonEmptyText),
  image: imageBlock,
  document: documentBlock,
  search_result: searchResultBlock,
  tool_reference: struct({ ...type, tool_name: pattern(calledName) }, cached),
  browser_state: struct(
    { ...type, tabs: array(struct({ tab_id: string, title: string, url: string }, { active: boolean })) },
    { ...cached, state_changes: nullable(array(record)) }
  )
})

const errorContent: Check = (value, path) => {
  if (!isJson(value) || value["is_error"] !== true) return undefined
  const content = value["content"]
  if (content === undefined || content === "" || (Array.isArray(content) && content.length === 0)) {
    return invalid(`${path}: content cannot be empty if \`is_error\` is true`)
  }
  return Array.isArray(content) && content.some((block: unknown) => !isJson(block) || block["type"] !== "text")
    ? invalid(`${path}: all content must be type "text" if \`is_error\` is true`)
    : undefined
}

const toolResultBlock = all(
  errorContent,
  struct(
    { ...type, tool_use_id: pattern(toolUseId) },
    {
      ...cached,
      content: stringOr(array(resultContent), nonEmptyText),
      is_error: boolean,
      toolset_name: nullable(string)
    }
  )
)

const serverResult = struct({ ...type, tool_use_id: nonEmptyString, content: anything }, {}, "allowed")
const opaque = struct(type, {}, "allowed")

const contentBlock = tagged({
  text: textBlock(visibleText),
  image: imageBlock,
  document: documentBlock,
  search_result: searchResultBlock,
  thinking: struct({ ...type, thinking: string, signature: string }),
  redacted_thinking: struct({ ...type, data: nonEmptyString }),
  tool_use: struct(
    { ...type, id: pattern(toolUseId), name: pattern(calledName), input: record },
    { ...cached, caller: nullable(record), toolset_name: nullable(string) }
  ),
  tool_result: toolResultBlock,
  server_tool_use: struct({ ...type, id: pattern(serverToolUseId), name: string, input: record }, {}, "allowed"),
  web_search_tool_result: serverResult,
  web_fetch_tool_result: serverResult,
  code_execution_tool_result: serverResult,
  bash_code_execution_tool_result: serverResult,
  text_editor_code_execution_tool_result: serverResult,
  tool_search_tool_result: serverResult,
  advisor_tool_result: serverResult,
  mcp_tool_use: struct({ ...type, id: nonEmptyString, name: string, input: record }, {}, "allowed"),
  mcp_tool_result: serverResult,
  mcp_tool_listing: opaque,
  container_upload: opaque,
  compaction: opaque,
  fallback: opaque
})

const nonEmptyContent: Check = (value, path) =>
  value === "" || (Array.isArray(value) && value.length === 0)
    ? invalid(`${path.replace(/\.content$/, "")}: all messages must have non-empty content`)
    : undefined

export const systemText = stringOr(array(tagged({ text: textBlock(nonEmptyText) })))

const message: Check = (value, path) => {
  const system = isJson(value) && value["role"] === "system"
  return struct({
    role: literal("user", "assistant", "system"),
    content: all(nonEmptyContent, system ? systemText : stringOr(array(contentBlock), visibleText))
  })(value, path)
}

export const messages: Check = (value, path) =>
  Array.isArray(value) && value.length === 0
    ? invalid(`${path}: at least one message is required`)
    : Array.isArray(value) && value.length > maxMessages
      ? invalid(`${path}: List should have at most ${maxMessages} items after validation, not ${value.length}`)
      : array(message)(value, path)
