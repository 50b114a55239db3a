/** What a peer's process holds of calls. It has to run with `--expose-gc`. */
import { setImmediate } from "node:timers/promises"
import { serve } from "../lib/child.ts"
import type { Call, Input, Output, Tool } from "../work/peer.ts"

/** Runs calls of one tool at the same time. Resolves with what its caller then holds. */
export type Batch = (calls: ReadonlyArray<Call>) => Promise<unknown>

export type Request =
  | { readonly ask: "waiting" | "finished"; readonly batches: number; readonly size: number }
  | {
      readonly ask: "loop"
      readonly calls: number
      readonly size: number
      readonly atMostMillis: number
      readonly samples: number
    }

export interface Sample {
  /** So far. */
  readonly calls: number
  /** Bytes in use after a collection. */
  readonly heap: number
  readonly resident: number
}

/** Bytes in use that can be reached. What is only registered to be cleaned up is gone after the second collection. */
const heapUsed = async (): Promise<number> => {
  for (let i = 0; i < 2; i++) {
    if (globalThis.gc === undefined) throw new Error("it has to run with --expose-gc")
    globalThis.gc()
    await setImmediate()
  }
  return process.memoryUsage().heapUsed
}

/** All different, so that none answers another. */
const callsOf = (size: number, batch = 0): ReadonlyArray<Call> =>
  Array.from({ length: size }, (_, i) => {
    const input: Input = { city: `City ${batch}.${i}`, country: "NO", days: 3, units: "metric", detailed: true }
    return { id: `toolu_${batch}_${i}`, name: "forecast", input: JSON.stringify(input) }
  })

const answer = ({ city }: Input): Output => ({ city, celsius: 21 })

/** What the tool waits for, and how many executions do. */
const gate = { entered: 0, opened: Promise.resolve() }

const forecast: Tool["run"] = async (input) => {
  gate.entered += 1
  await gate.opened
  return answer(input)
}

/** Turns of the event loop in which the last handler must have been started. */
const patience = 10_000

const allEntered = async (calls: number): Promise<void> => {
  for (let turns = 0; turns < patience; turns++) {
    if (gate.entered === calls) return
    await setImmediate()
  }
  throw new Error(`only ${gate.entered} of ${calls} handlers run`)
}

/** Bytes per call that waits in its handler, without its input. */
const waiting = async (batch: Batch, batches: number, size: number): Promise<number> => {
  const inputs = Array.from({ length: batches }, (_, i) => callsOf(size, i))
  let open = () => {}
  gate.opened = new Promise((resolve) => {
    open = resolve
  })
  gate.entered = 0
  const before = await heapUsed()
  const running = inputs.map((calls) => batch(calls))
  await allEntered(batches * size)
  const held = (await heapUsed()) - before
  open()
  await Promise.all(running)
  return held / (batches * size)
}

/** Bytes per call whose result is held, without its input. */
const finished = async (batch: Batch, batches: number, size: number): Promise<number> => {
  const inputs = Array.from({ length: batches }, (_, i) => callsOf(size, i))
  gate.opened = Promise.resolve()
  const results: Array<unknown> = []
  const before = await heapUsed()
  for (const calls of inputs) results.push(await batch(calls))
  const held = (await heapUsed()) - before
  if (results.length !== inputs.length) throw new Error("a batch is missing")
  return held / (batches * size)
}

/**
 * Batch after batch, until there were so many calls or the time is over. Nothing is kept. Samples are taken after equal
 * parts of the one that is over sooner.
 */
const loop = async (
  batch: Batch,
  { atMostMillis, calls, samples, size }: Extract<Request, { ask: "loop" }>
): Promise<ReadonlyArray<Sample>> => {
  gate.opened = Promise.resolve()
  const taken: Array<Sample> = []
  const started = performance.now()
  let done = 0
  while (taken.length < samples) {
    await batch(callsOf(size, done))
    done += size
    const part = Math.max(done / calls, (performance.now() - started) / atMostMillis)
    if (part * samples < taken.length + 1) continue
    taken.push({ calls: done, heap: await heapUsed(), resident: process.memoryUsage.rss() })
  }
  return taken
}

/** Answers as the peer that runs batches so. */
export const serveBatches = (make: (tool: Tool) => Promise<Batch>): void => {
  const made = make({ name: "forecast", run: forecast })
  serve(async (message) => {
    const request = message as Request
    const batch = await made
    return request.ask === "loop"
      ? loop(batch, request)
      : (request.ask === "waiting" ? waiting : finished)(batch, request.batches, request.size)
  })
}
