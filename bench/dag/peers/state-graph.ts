/**
 * LangGraph's `StateGraph`: a node of the graph for each call, their outputs merged into the state. With a checkpointer,
 * since that is what its users have after a failure.
 */
import { setMaxListeners } from "node:events"
import { Annotation, MemorySaver, START, StateGraph } from "@langchain/langgraph"
import type { Node } from "../plan.ts"
import type { Output, Runner } from "../runner.ts"
import { serveRunner } from "../serve.ts"

// It says so on every run of more than ten nodes at once.
setMaxListeners(0)

const State = Annotation.Root({
  outputs: Annotation<Record<string, Output>>({ reducer: (all, more) => ({ ...all, ...more }), default: () => ({}) })
})

const compile = (nodes: ReadonlyArray<Node>, work: (n: number) => Promise<Output>) => {
  const graph = new StateGraph(State).addNode(
    nodes.map(({ id, n }): [string, () => Promise<typeof State.Update>] => [
      id,
      async () => ({ outputs: { [id]: await work(n) } })
    ])
  )
  for (const { dependsOn, id } of nodes) {
    // Several in one edge are waited for together.
    graph.addEdge(dependsOn.length === 0 ? START : [...dependsOn], id)
  }
  return graph.compile({ checkpointer: new MemorySaver() })
}

const run: Runner["run"] = async (nodes, work) => {
  const graph = compile(nodes, work)
  const config = { configurable: { thread_id: "1" }, recursionLimit: nodes.length + 1 }
  try {
    const { outputs } = await graph.invoke({}, config)
    return { results: new Map(Object.entries(outputs)), explained: new Set() }
  } catch {
    const { tasks, values } = await graph.getState(config)
    const { outputs = {} } = values as Partial<typeof State.State>
    const failed = tasks.filter(({ error }) => error !== undefined).map(({ name }) => name)
    return { results: new Map(Object.entries(outputs)), explained: new Set(failed) }
  }
}

serveRunner({ run })
