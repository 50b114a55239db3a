/** OpenAI's agents SDK, with a stub of its `Model`. Its results have no mark for errors. */
import { Agent, type Model, type ModelRequest, type ModelResponse, Runner, tool, Usage } from "@openai/agents"
import { type Answer, type Call, type Model as BenchModel, outputText } from "../work/peer.ts"
import { servePeer } from "../work/serve.ts"
import { input } from "./schema.ts"

const text = (output: unknown): string =>
  typeof output === "object" && output !== null && "text" in output ? String(output.text) : outputText(output)

const read = ({ input }: ModelRequest): ReadonlyArray<Answer> => {
  if (typeof input === "string") return []
  const last = input.findLastIndex((item) => item.type === "function_call")
  return input
    .slice(last + 1)
    .flatMap((item) =>
      item.type === "function_call_result" ? [{ id: item.callId, text: text(item.output), isError: false }] : []
    )
}

const reply = (calls: ReadonlyArray<Call>): ModelResponse => ({
  usage: new Usage(),
  output:
    calls.length === 0
      ? [
          {
            type: "message",
            role: "assistant",
            status: "completed",
            content: [{ type: "output_text", text: "Done." }]
          }
        ]
      : calls.map(({ id, input, name }) => ({
          type: "function_call",
          callId: id,
          name,
          arguments: input,
          status: "completed"
        }))
})

class Stub implements Model {
  current: BenchModel = () => []

  async getResponse(request: ModelRequest) {
    return reply(this.current(() => read(request)))
  }

  getStreamedResponse(): never {
    throw new Error("not streamed here")
  }
}

servePeer({
  kind: "turn",
  hasDeadline: true,
  agent: async (tools, { toolMillis }) => {
    const stub = new Stub()
    const runner = new Runner({ tracingDisabled: true, toolNotFoundBehavior: "return_error_to_model" })
    const agent = new Agent({
      name: "bench",
      model: stub,
      tools: tools.map(({ name, run }) =>
        tool({
          name,
          description: "The weather of a city",
          parameters: input,
          timeoutMs: toolMillis,
          execute: (input, _context, details) => run(input, details?.signal)
        })
      )
    })
    return async (model, signal) => {
      stub.current = model
      await runner.run(agent, "Go.", { maxTurns: 20, ...(signal === undefined ? {} : { signal }) })
    }
  }
})
