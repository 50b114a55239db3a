/**
 * The shape of a Messages API request: its fields, its tools, and what is asked of them together.
 */
import { cacheControl, messages, systemText } from "./messagesBlocks.ts"
import type { Check, Rejection } from "./shape.ts"
import {
  anything,
  array,
  boolean,
  firstOf,
  invalid,
  isJson,
  literal,
  nonEmptyString,
  nullable,
  pattern,
  positiveInteger,
  record,
  string,
  struct,
  tagged
} from "./shape.ts"

const minThinkingTokens = 1024

const toolName = /^[a-zA-Z0-9_-]{1,64}$/
const propertyName = /^[a-zA-Z0-9_.-]{1,64}$/

const type = { type: string }
const opaque = struct(type, {}, "allowed")

const inputSchema: Check = (value, path) => {
  if (!isJson(value)) return record(value, path)
  const properties = value["properties"]
  if (value["type"] === undefined) return invalid(`${path}.type: Field required`)
  return (
    literal("object")(value["type"], `${path}.type`) ??
    (["oneOf", "allOf", "anyOf"].some((key) => value[key] !== undefined)
      ? invalid(`${path}: input_schema does not support oneOf, allOf, or anyOf at the top level`)
      : undefined) ??
    (properties === undefined ? undefined : nullable(record)(properties, `${path}.properties`)) ??
    (isJson(properties) && Object.keys(properties).some((key) => !propertyName.test(key))
      ? invalid(`${path}.properties: Property keys should match pattern '${propertyName.source}'`)
      : undefined)
  )
}

const customTool = struct(
  { name: pattern(toolName), input_schema: inputSchema },
  {
    cache_control: cacheControl,
    type: nullable(literal("custom")),
    description: string,
    strict: boolean,
    eager_input_streaming: nullable(boolean),
    defer_loading: boolean,
    allowed_callers: array(string),
    input_examples: array(record)
  }
)

/** Anthropic's own tools (`bash_20250124`, `web_search_…`, toolsets) are told by their versioned `type`. */
const tool: Check = (value, path) => {
  const kind = isJson(value) ? value["type"] : undefined
  return typeof kind === "string" && /_\d{8}$|^mcp_toolset$/.test(kind)
    ? struct({ type: string }, { name: pattern(toolName) }, "allowed")(value, `${path}.${kind}`)
    : customTool(value, `${path}.custom`)
}

const toolChoice = tagged({
  auto: struct(type, { disable_parallel_tool_use: boolean }),
  any: struct(type, { disable_parallel_tool_use: boolean }),
  tool: struct({ ...type, name: string }, { disable_parallel_tool_use: boolean }),
  none: struct(type)
})

const thinkingBudget: Check = (value, path) =>
  positiveInteger(value, path) ??
  (Number(value) < minThinkingTokens
    ? invalid(`${path}: Input should be greater than or equal to ${minThinkingTokens}`)
    : undefined)

const thinking = tagged({
  enabled: struct({ ...type, budget_tokens: thinkingBudget }, { display: nullable(string) }),
  disabled: opaque,
  adaptive: opaque,
  between_tools: opaque
})

/** Taken as they come: what they do is outside the contract of tool use. */
const otherFields = Object.fromEntries(
  (
    "container diagnostics inference_geo output_config service_tier speed user_profile_id workspace_id " +
    // Beta.
    "billing_policy compaction context_management fallback_credit_token fallbacks mcp_servers output_format thread"
  )
    .split(" ")
    .map((name): [string, Check] => [name, anything])
)

const request = struct(
  { model: nonEmptyString, max_tokens: positiveInteger, messages },
  {
    ...otherFields,
    system: systemText,
    tools: array(tool),
    tool_choice: toolChoice,
    thinking,
    stream: boolean,
    stop_sequences: array(nonEmptyString),
    metadata: record,
    cache_control: cacheControl
  }
)

/** The request as a whole: its fields, blocks and tools. */
export const checkShape = (body: unknown): Rejection | undefined => request(body, "")

/** What the shapes of `tools`, `tool_choice` and `thinking` alone do not show. */
export const checkTools = (body: Readonly<Record<string, unknown>>): Rejection | undefined => {
  const tools = Array.isArray(body["tools"]) ? body["tools"].filter(isJson) : []
  const choice = isJson(body["tool_choice"]) ? body["tool_choice"] : undefined
  const thinkingConfig = isJson(body["thinking"]) ? body["thinking"] : undefined
  const names = new Set<unknown>()
  return (
    firstOf(tools, ({ name }) => {
      if (name !== undefined && names.has(name)) return invalid("tools: Tool names must be unique.")
      names.add(name)
      return undefined
    }) ??
    (choice !== undefined && tools.length === 0 && choice["type"] !== "none"
      ? invalid("tool_choice: may only be specified while providing tools")
      : undefined) ??
    (choice?.["type"] === "tool" && !names.has(choice["name"])
      ? invalid(`Tool '${String(choice["name"])}' not found in provided tools`)
      : undefined) ??
    (thinkingConfig?.["type"] === "enabled" && (choice?.["type"] === "any" || choice?.["type"] === "tool")
      ? invalid("Thinking may not be enabled when tool_choice forces tool use.")
      : undefined) ??
    (thinkingConfig?.["type"] === "enabled" && Number(thinkingConfig["budget_tokens"]) >= Number(body["max_tokens"])
      ? invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
      : undefined)
  )
}
