/** What a peer of the breakers in process is: microseconds per call, calls one after the other, the dependency an async function. */
import { serve } from "../lib/child.ts"

/** `rate`: closed, and tripped by the failure rate of the last hundred calls. */
export type Mode = "bare" | "closed" | "rate" | "open"

export interface Request {
  readonly mode: Mode
  readonly calls: number
}

/** The dependency. */
export const answer = async (): Promise<number> => 1

export const fail = async (): Promise<number> => {
  throw new Error("it fails")
}

/** Opens the circuit for good. */
export const openMillis = 3_600_000

/** Runs so many calls, one after the other. */
export type Loop = (calls: number) => Promise<void>

/** A loop over an async function. One that rejects is part of the call. */
export const promised =
  (call: () => Promise<unknown>): Loop =>
  async (calls) => {
    for (let i = 0; i < calls; i++) {
      try {
        await call()
      } catch {
        // Whoever calls has to look at it.
      }
    }
  }

/** Answers with microseconds per call. What a peer does not know, it answers with undefined. */
export const serveLoops = (loops: Readonly<Partial<Record<Mode, Loop>>>): void =>
  serve(async (request) => {
    const { calls, mode } = request as Request
    const loop = loops[mode]
    if (loop === undefined) return undefined
    const started = performance.now()
    await loop(calls)
    return ((performance.now() - started) * 1000) / calls
  })
