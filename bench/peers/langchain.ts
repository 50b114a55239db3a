/** LangChain's `createAgent`, with its retry middleware where tools go wrong. */
import { BaseChatModel } from "@langchain/core/language_models/chat_models"
import type { BaseMessage } from "@langchain/core/messages"
import type { ChatResult } from "@langchain/core/outputs"
import { createAgent, toolRetryMiddleware } from "langchain"
import type { Model } from "../work/peer.ts"
import { servePeer } from "../work/serve.ts"
import { read, toMessage, toTool } from "./langchain-shared.ts"

class Stub extends BaseChatModel {
  current: Model = () => []

  override _llmType() {
    return "stub"
  }

  override bindTools() {
    return this
  }

  override async _generate(messages: Array<BaseMessage>): Promise<ChatResult> {
    return { generations: [{ text: "", message: toMessage(this.current(() => read(messages))) }] }
  }
}

servePeer({
  kind: "turn",
  hasDeadline: false,
  agent: async (tools, { expectsFaults }) => {
    const stub = new Stub({})
    const agent = createAgent({
      model: stub,
      tools: tools.map(toTool),
      middleware: expectsFaults ? [toolRetryMiddleware({ maxRetries: 2, initialDelayMs: 10 })] : []
    })
    return async (model, signal) => {
      stub.current = model
      await agent.invoke(
        { messages: [{ role: "user", content: "Go." }] },
        { recursionLimit: 100, ...(signal === undefined ? {} : { signal }) }
      )
    }
  }
})
