/**
 * What a call costs beside the work of its tool: a batch of no-op tools in a library, and a whole turn of an agent with
 * a stub of its model. All validate the same five fields and answer the same JSON.
 */
import { withChildren } from "./lib/child.ts"
import { inRounds, type Measured, numbers, someAtOnce } from "./lib/rounds.ts"
import { ratio, summary } from "./lib/stats.ts"
import { agents, libraries } from "./work/peers.ts"
import type { Request } from "./work/serve.ts"

const sizes = [1, 10, 100, 1000]

interface Options {
  readonly rounds: number
  readonly smoke: boolean
}

interface Cell {
  readonly peer: string
  readonly size: number
  readonly request: Request
}

/** A row for each peer: what it costs at each size, and at one how many times what the baseline costs. */
const rowsOf = (peers: Readonly<Record<string, URL>>, measured: ReadonlyArray<Measured<Cell>>, baseline: string) => {
  const of = (peer: string, size: number) =>
    measured.filter(({ cell }) => cell.peer === peer && cell.size === size).flatMap(numbers)
  return Object.keys(peers).map((peer) => {
    const costs = sizes.map((size) => [`N = ${size}`, summary(of(peer, size))])
    return Object.assign({ peer }, Object.fromEntries(costs) as object, {
      [`times ${baseline} at N = 100`]: ratio(of(peer, 100), of(baseline, 100)),
      error: measured.find(({ cell, error }) => cell.peer === peer && error !== undefined)?.error
    })
  })
}

/** So long a peer runs before anything is measured: until then much of its code is not compiled for good. */
const warmUpMillis = 1500

const costOf = (peers: Readonly<Record<string, URL>>, baseline: string, { rounds, smoke }: Options) => {
  const cellsOf = (peer: string) =>
    (smoke ? sizes.slice(0, 2) : sizes).map((size): Cell => ({
      peer,
      size,
      request: { ask: "micros", size, atLeastMillis: smoke ? 1 : 60 }
    }))
  const names = Object.keys(peers)
  const warmUps = names.map((peer): Cell => {
    const request: Request = { ask: "micros", size: 10, atLeastMillis: warmUpMillis }
    return { peer, size: 10, request }
  })
  return withChildren(
    peers,
    async (ask) => {
      if (!smoke) await inRounds(ask, warmUps, { rounds: 1, warmUp: 0 })
      const measured = smoke
        ? await someAtOnce(names, (peer) => inRounds(ask, cellsOf(peer), { rounds, warmUp: 0 }))
        : [await inRounds(ask, names.flatMap(cellsOf), { rounds })]
      return rowsOf(peers, measured.flat(), baseline)
    },
    { timeoutMillis: 120_000, keep: smoke }
  )
}

/** The heap is not collected while it is measured: this much fits in its young generation. */
const roomy = ["--expose-gc", "--min-semi-space-size=256", "--max-semi-space-size=256"]

const kilobytes = async ({ rounds, smoke }: Options) => {
  const cells = ["Salvo", "raw"].map((peer) => {
    const request: Request = { ask: "bytes", size: 100, turns: smoke ? 2 : 20 }
    return { peer, request }
  })
  const measured = await withChildren(libraries, (ask) => inRounds(ask, cells, { rounds }), { execArgv: roomy })
  return measured.map((one) => ({
    peer: one.cell.peer,
    "kB per call, N = 100": summary(numbers(one).map((bytes) => bytes / 1000)),
    error: one.error
  }))
}

export const run = async (options: Options) => ({
  "Microseconds per call, as a library": await costOf(libraries, "raw", options),
  "Microseconds per call, as a whole turn with a stub of the model": await costOf(agents, "Salvo Agent", options),
  "Allocated per call": await kilobytes(options)
})
