/** What is held of a call while it waits and when it is done, and whether anything is left behind by very many of them. */
import { type Ask, withChildren } from "../lib/child.ts"
import { inRounds, numbers } from "../lib/rounds.ts"
import { median, summary } from "../lib/stats.ts"
import type { Request, Sample } from "./held.ts"

const modules = {
  Salvo: new URL("./peers/salvo.ts", import.meta.url),
  raw: new URL("./peers/raw.ts", import.meta.url),
  cockatiel: new URL("./peers/cockatiel.ts", import.meta.url),
  "@effect/ai": new URL("./peers/effect-ai.ts", import.meta.url)
}

type Peer = keyof typeof modules

const peers = Object.keys(modules) as ReadonlyArray<Peer>

/** Calls in a turn. */
const size = 10

interface PeerError {
  readonly peer: Peer
  readonly asked: string
  readonly error: string
}

interface Cell {
  readonly peer: Peer
  readonly request: Extract<Request, { ask: "waiting" | "finished" }>
}

/** Bytes per call. */
const heldRows = async (ask: Ask, rounds: number, smoke: boolean) => {
  const batches = smoke ? 20 : 500
  const cells = peers.flatMap((peer): ReadonlyArray<Cell> => [
    { peer, request: { ask: "waiting", batches, size } },
    { peer, request: { ask: "finished", batches, size } }
  ])
  const measured = await inRounds(ask, cells, { rounds: Math.min(rounds, 3), warmUp: smoke ? 0 : 1 })
  const of = (peer: Peer, held: Cell["request"]["ask"]) =>
    measured.filter(({ cell }) => cell.peer === peer && cell.request.ask === held).flatMap(numbers)
  const rows = peers.map((peer) => {
    const waiting = summary(of(peer, "waiting"))
    return { peer, waiting: waiting.median, q1: waiting.q1, q3: waiting.q3, finished: median(of(peer, "finished")) }
  })
  const errors = measured.flatMap(({ cell: { peer, request }, error }): ReadonlyArray<PeerError> =>
    error === undefined ? [] : [{ peer, asked: request.ask, error }]
  )
  return { rows, errors }
}

/** Without those of the warm-up: a quarter. */
const warmed = (samples: ReadonlyArray<Sample>) => samples.slice(Math.ceil(samples.length / 4))

/** By least squares: bytes by which the heap grows with every call. */
const growth = (samples: ReadonlyArray<Sample>): number => {
  const mean = (of: (sample: Sample) => number) => samples.reduce((sum, one) => sum + of(one), 0) / samples.length
  const [calls, heap] = [mean((sample) => sample.calls), mean((sample) => sample.heap)]
  const both = mean((sample) => (sample.calls - calls) * (sample.heap - heap))
  return both / mean((sample) => (sample.calls - calls) ** 2)
}

/** The heap goes up and down by this share of it without any leak. */
const flatShare = 0.02

/** In milliseconds. */
const longest: Readonly<Record<Peer, number>> = { Salvo: 120_000, raw: 10_000, cockatiel: 10_000, "@effect/ai": 10_000 }

const megabytes = (bytes: number | undefined) => (bytes === undefined ? undefined : bytes / 1e6)

const loopRow = (peer: Peer, samples: ReadonlyArray<Sample>) => {
  const warm = warmed(samples)
  const [first, last] = [warm[0], warm.at(-1)]
  if (first === undefined || last === undefined) return { peer }
  const bytes = growth(warm)
  return {
    peer,
    calls: last.calls,
    "heap at the end, MB": megabytes(last.heap),
    "resident, MB": megabytes(last.resident),
    "growth, bytes per call": bytes,
    flat: Math.abs(bytes * (last.calls - first.calls)) < flatShare * last.heap
  }
}

/** Side by side: the n-th is of the n-th twentieth of a peer's own calls or time. */
const sampleRows = (found: ReadonlyMap<Peer, ReadonlyArray<Sample>>) => {
  const most = Array.from(found.values(), (samples) => samples.length).reduce((a, b) => Math.max(a, b), 0)
  return Array.from({ length: most }, (_, i) =>
    Object.assign(
      { sample: i + 1 },
      Object.fromEntries(Array.from(found, ([peer, samples]) => [peer, megabytes(samples[i]?.heap)]))
    )
  )
}

/** A million calls, or as many as a peer gets done in its time. */
const loops = async (ask: Ask, smoke: boolean) => {
  const calls = smoke ? 200 : 1_000_000
  const found = new Map<Peer, ReadonlyArray<Sample>>()
  const errors: Array<PeerError> = []
  for (const peer of peers) {
    const atMostMillis = smoke ? 1000 : longest[peer]
    const request: Request = { ask: "loop", calls, size, atMostMillis, samples: smoke ? 4 : 20 }
    try {
      found.set(peer, (await ask(peer, request)) as ReadonlyArray<Sample>)
    } catch (error) {
      errors.push({ peer, asked: request.ask, error: String(error) })
    }
  }
  return { rows: Array.from(found, ([peer, samples]) => loopRow(peer, samples)), samples: sampleRows(found), errors }
}

export const run = ({ rounds, smoke }: { readonly rounds: number; readonly smoke: boolean }): Promise<unknown> =>
  withChildren(
    modules,
    async (ask) => {
      const held = await heldRows(ask, rounds, smoke)
      const { errors: failed, rows, samples } = await loops(ask, smoke)
      const errors = [...held.errors, ...failed]
      return {
        "bytes held per call": held.rows,
        "call after call": rows,
        "heap in MB, sample by sample": samples,
        ...(errors.length === 0 ? {} : { errors })
      }
    },
    { execArgv: ["--expose-gc"], timeoutMillis: 300_000 }
  )
