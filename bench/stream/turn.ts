/** What the process of a peer that streams is asked: a turn at a server, with reads that take half a second. */
import { setTimeout as sleep } from "node:timers/promises"
import { serve } from "../lib/child.ts"

export const readMillis = 500

/** Runs a turn against the Messages API at that URL until the model is done. */
export type Turn = (url: string, read: (n: number) => Promise<number>) => Promise<void>

/** Answers with the milliseconds until the last read had its result. */
export const serveTurn = (turn: Turn): void =>
  serve(async (url) => {
    const started = performance.now()
    let last = Number.NaN
    await turn(String(url), async (n) => {
      await sleep(readMillis)
      last = performance.now() - started
      return n
    })
    return last
  })
