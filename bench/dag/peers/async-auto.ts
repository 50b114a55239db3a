/** `async.auto`, whose callback is given what there is by then when a task fails. */
import { auto, type AsyncAutoTasks } from "async"
import type { Output, Runner } from "../runner.ts"
import { serveRunner } from "../serve.ts"

type Outputs = Record<string, Output | undefined>

const run: Runner["run"] = (nodes, work) => {
  const tasks: AsyncAutoTasks<Outputs, Error> = {}
  for (const { dependsOn, id, n } of nodes) tasks[id] = [...dependsOn, async () => await work(n)]
  return new Promise((resolve) => {
    auto<Outputs>(tasks, (_error, outputs = {}) => {
      const results = new Map<string, Output>()
      // That of the task that failed is there, and undefined.
      for (const [id, output] of Object.entries(outputs)) if (output !== undefined) results.set(id, output)
      resolve({ results, explained: new Set() })
    })
  })
}

serveRunner({ run })
