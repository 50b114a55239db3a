/** What a peer of the part `journal` is asked: batches of calls that do nothing, each batch with an id of its own. */
import { serve } from "../lib/child.ts"
import type { Call, Input, Output, ResultBlock, Tool } from "../work/peer.ts"

/** Where it is written down what becomes of them. */
export type Place =
  | { readonly kind: "none" }
  | { readonly kind: "memory" }
  | { readonly kind: "files"; readonly folder: string }
  | { readonly kind: "Redis"; readonly url: string }

export interface Request {
  readonly place: Place
  /** Calls of one batch, and in all. */
  readonly size: number
  readonly calls: number
}

/** Runs a batch under an id that was never used before, all its calls at once. Resolves with what the model reads. */
export type Batch = (id: string, calls: ReadonlyArray<Call>) => Promise<ReadonlyArray<ResultBlock>>

const callsOf = (size: number): ReadonlyArray<Call> =>
  Array.from({ length: size }, (_, i) => {
    const input: Input = { city: `City ${i}`, country: "NO", days: 3, units: "metric", detailed: true }
    return { id: `toolu_${i}`, name: "forecast", input: JSON.stringify(input) }
  })

const forecast: Tool["run"] = async ({ city }): Promise<Output> => ({ city, celsius: 21 })

const check = (blocks: ReadonlyArray<ResultBlock>, size: number): void => {
  const good = blocks.filter(({ content, is_error }) => is_error !== true && content?.includes("21") === true).length
  if (good !== size) throw new Error(`${good} good answers to ${size} calls`)
}

/** Answers with microseconds per call, as the peer that runs batches so. It is made once for each place. */
export const serveBatches = (make: (place: Place, tool: Tool) => Promise<Batch>): void => {
  const made = new Map<Place["kind"], Promise<Batch>>()
  let batches = 0
  serve(async (message) => {
    const { calls, place, size } = message as Request
    const making = made.get(place.kind) ?? make(place, { name: "forecast", run: forecast })
    made.set(place.kind, making)
    const batch = await making
    const asked = callsOf(size)
    const started = performance.now()
    for (let done = 0; done < calls; done += size) check(await batch(`${process.pid}-${++batches}`, asked), size)
    return ((performance.now() - started) * 1000) / calls
  })
}
