/** One of the processes that share a breaker through Redis: what it is told to do, and what it measures. */
import { pid } from "node:process"
import { setImmediate, setTimeout } from "node:timers/promises"
import { serve } from "../../lib/child.ts"
import { quantile } from "../../lib/stats.ts"

export type Mode = "closed" | "open" | "half-open"

export type Request =
  | { readonly do: "connect"; readonly port: number; readonly warmUp: number }
  | { readonly do: "trip"; readonly mode: Mode; readonly key: string }
  | { readonly do: "measure"; readonly mode: Mode; readonly key: string; readonly calls: number }

/** Of the single calls, in microseconds. */
export interface Measured {
  /** What the breaker adds to a call of the dependency. */
  readonly added: number
  /** The slowest of a hundred. */
  readonly added99: number
  /** A `PING`, by the same client at the same time. */
  readonly roundTrip: number
  /** Which share of the calls was refused. */
  readonly refused: number
  /** Calls in all, with those that warmed up. */
  readonly made: number
}

/** In milliseconds. */
export interface Timed {
  readonly millis: number
  readonly refused: boolean
}

/** Gets through to the dependency as a user of the breaker does. */
export interface Process {
  readonly ping: () => Promise<unknown>
  readonly bare: () => Promise<Timed>
  readonly call: (mode: Mode, key: string, fails: boolean) => Promise<Timed>
}

/** The dependency: takes a turn of the event loop, as all I/O does. */
export const dependency = (): Promise<void> => setImmediate(undefined)

export const failing = async (): Promise<void> => {
  await dependency()
  throw new Error("it fails")
}

/** Failures in a row that open it. */
export const consecutive = 5

/** So long that it stays open, or so short that it is half-open soon. */
export const openMillis = (mode: Mode): number => (mode === "half-open" ? 100 : 3_600_000)

/** Between two calls, so that processes do not only wait for a core. */
const pauseMillis = 1

const trip = async (process: Process, mode: Mode, key: string): Promise<void> => {
  for (let i = 0; i < consecutive; i++) await process.call(mode, key, true)
  if (mode === "half-open") await setTimeout(2 * openMillis(mode))
}

/** So many calls of each kind, one right after the other: a process that has been up for a while. */
const warmUp = async (process: Process, calls: number, modes: ReadonlyArray<Mode>): Promise<void> => {
  for (const mode of modes) {
    const key = `warm-up ${pid} ${mode}`
    if (mode !== "closed") await trip(process, mode, key)
    for (let i = 0; i < calls; i++) {
      await process.bare()
      await process.call(mode, key, false)
    }
  }
}

/** The first calls to a breaker find out how it is. */
const firstCalls = 10

const measure = async (process: Process, mode: Mode, key: string, calls: number): Promise<Measured> => {
  const bare: Array<number> = []
  const guarded: Array<number> = []
  const pings: Array<number> = []
  let refused = 0
  for (let i = -firstCalls; i < calls; i++) {
    // The first thing after a pause is slow whatever it is.
    await process.bare()
    const without = await process.bare()
    const with_ = await process.call(mode, key, false)
    const started = performance.now()
    await process.ping()
    const roundTrip = performance.now() - started
    if (i >= 0) {
      bare.push(without.millis)
      guarded.push(with_.millis)
      pings.push(roundTrip)
      refused += with_.refused ? 1 : 0
    }
    await setTimeout(pauseMillis)
  }
  // A call that is refused takes no time of the dependency's.
  const own = refused === calls ? 0 : quantile(bare, 0.5)
  return {
    added: (quantile(guarded, 0.5) - own) * 1000,
    added99: (quantile(guarded, 0.99) - own) * 1000,
    roundTrip: quantile(pings, 0.5) * 1000,
    refused: refused / calls,
    made: calls + firstCalls
  }
}

export const serveProcess = (modes: ReadonlyArray<Mode>, connect: (port: number) => Promise<Process>): void => {
  let process: Process | undefined
  serve(async (message) => {
    const request = message as Request
    if (request.do === "connect") {
      process = await connect(request.port)
      return warmUp(process, request.warmUp, modes)
    }
    if (process === undefined) throw new Error("not connected")
    return request.do === "measure"
      ? measure(process, request.mode, request.key, request.calls)
      : trip(process, request.mode, request.key)
  })
}
