/** What LangChain's agent and LangGraph's node have in common. */
import { AIMessage, type BaseMessage, type ToolMessage } from "@langchain/core/messages"
import { tool } from "@langchain/core/tools"
import { type Answer, type Call, outputText, type Tool } from "../work/peer.ts"
import { input } from "./schema.ts"

export const toTool = ({ name, run }: Tool) =>
  tool((input, config) => run(input, config?.signal), {
    name,
    description: "The weather of a city",
    schema: input
  })

/** As the adapters of LangChain do: JSON that does not parse is put aside. */
export const toMessage = (calls: ReadonlyArray<Call>): AIMessage => {
  const good: Array<{ id: string; name: string; args: Record<string, unknown>; type: "tool_call" }> = []
  const bad: Array<{ id: string; name: string; args: string; error: string; type: "invalid_tool_call" }> = []
  for (const { id, input, name } of calls) {
    try {
      good.push({ id, name, args: JSON.parse(input), type: "tool_call" })
    } catch {
      bad.push({ id, name, args: input, error: "Malformed args.", type: "invalid_tool_call" })
    }
  }
  return new AIMessage({
    content: calls.length === 0 ? "Done." : "",
    tool_calls: good,
    invalid_tool_calls: bad
  })
}

const isToolMessage = (message: BaseMessage): message is ToolMessage => message.type === "tool"

/** The answers after the last message of the model. */
export const read = (messages: ReadonlyArray<BaseMessage>): ReadonlyArray<Answer> =>
  messages
    .slice(messages.findLastIndex(({ type }) => type === "ai") + 1)
    .filter(isToolMessage)
    .map(({ content, status, tool_call_id }) => ({
      id: tool_call_id,
      text: outputText(content),
      isError: status === "error"
    }))
