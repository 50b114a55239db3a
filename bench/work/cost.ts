/** What a call costs: no-op tools, `size` calls in a turn. */
import type { Call, Input, Output, Peer, Turn } from "./peer.ts"

/** All different, so that none answers another. */
const callsOf = (size: number): ReadonlyArray<Call> =>
  Array.from({ length: size }, (_, i) => {
    const input: Input = { city: `City ${i}`, country: "NO", days: 3, units: "metric", detailed: true }
    return { id: `toolu_${i}`, name: "forecast", input: JSON.stringify(input) }
  })

const forecast = async ({ city }: Input): Promise<Output> => ({ city, celsius: 21 })

const agents = new WeakMap<Peer, Promise<Turn>>()

const agentOf = (peer: Peer): Promise<Turn> => {
  const made =
    agents.get(peer) ?? peer.agent([{ name: "forecast", run: forecast }], { toolMillis: 30_000, expectsFaults: false })
  agents.set(peer, made)
  return made
}

/** A turn of `size` calls, and how often to run it. */
const prepared = async (peer: Peer, size: number) => {
  const turn = await agentOf(peer)
  const calls = callsOf(size)
  const once = () => {
    let asked = 0
    return turn(() => (asked++ === 0 ? calls : []))
  }
  return { turn, calls, once }
}

/** Fails unless the model reads a good answer to every call. */
const check = async (turn: Turn, calls: ReadonlyArray<Call>): Promise<void> => {
  let asked = 0
  let good = 0
  await turn((read) => {
    asked += 1
    if (asked === 1) return calls
    good = read().filter(({ isError, text }) => !isError && text.includes("21")).length
    return []
  })
  if (asked !== 2 || good !== calls.length) throw new Error(`${good} good answers to ${calls.length} calls`)
}

/** Microseconds per call, over as many turns as take that long. */
export const micros = async (peer: Peer, size: number, atLeastMillis: number): Promise<number> => {
  const { calls, once, turn } = await prepared(peer, size)
  let started = performance.now()
  let turns = 1
  await check(turn, calls)
  let millis = performance.now() - started
  // One that takes seconds is not run twice.
  if (millis < 20 * atLeastMillis) {
    started = performance.now()
    turns = 0
    do {
      await once()
      turns += 1
      millis = performance.now() - started
    } while (millis < atLeastMillis)
  }
  return (millis * 1000) / (turns * size)
}

/**
 * Bytes allocated per call. The process has to run with `--expose-gc` and a young generation so large that it is not
 * collected meanwhile.
 */
export const bytes = async (peer: Peer, size: number, turns: number): Promise<number> => {
  const { calls, once, turn } = await prepared(peer, size)
  await check(turn, calls)
  for (let i = 0; i < turns; i++) await once()
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < turns; i++) await once()
  const allocated = process.memoryUsage().heapUsed - before
  if (allocated <= 0) throw new Error("the heap was collected meanwhile")
  return allocated / (turns * size)
}
