/** Who is compared, and what they are called in the tables. */

const peer = (file: string): URL => new URL(`../peers/${file}.ts`, import.meta.url)

/** What runs the calls of one batch. */
export const libraries: Readonly<Record<string, URL>> = {
  Salvo: peer("salvo-runner"),
  raw: peer("raw"),
  "raw + timeout": peer("raw-timeout"),
  opossum: peer("opossum"),
  cockatiel: peer("cockatiel"),
  "LangGraph ToolNode": peer("langgraph"),
  "Effect.all + timeout + retry": peer("effect-all")
}

/** What also asks a model and keeps the conversation. */
export const agents: Readonly<Record<string, URL>> = {
  "Salvo Agent": peer("salvo-agent"),
  "Anthropic toolRunner": peer("anthropic"),
  "AI SDK": peer("ai-sdk"),
  "LangChain createAgent": peer("langchain"),
  "OpenAI Agents": peer("openai-agents"),
  "@effect/ai": peer("effect-ai"),
  "effect/ai (Effect 4)": peer("effect-4")
}
