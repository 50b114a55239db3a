/** LangGraph's `ToolNode`. */
import { ToolNode } from "@langchain/langgraph/prebuilt"
import { loop, type ResultBlock } from "../work/peer.ts"
import { servePeer } from "../work/serve.ts"
import { read, toMessage, toTool } from "./langchain-shared.ts"

servePeer({
  kind: "library",
  hasDeadline: false,
  agent: async (tools) => {
    const node = new ToolNode(tools.map(toTool))
    return loop(async (calls, signal) => {
      const { messages } = await node.invoke({ messages: [toMessage(calls)] }, signal === undefined ? {} : { signal })
      return read(messages).map(({ id, isError, text }): ResultBlock => ({
        type: "tool_result",
        tool_use_id: id,
        content: text,
        is_error: isError
      }))
    })
  }
})
