/** Breakers in memory: what one adds to a call. */
import { withChildren } from "../lib/child.ts"
import { inRounds, numbers } from "../lib/rounds.ts"
import { median, summary } from "../lib/stats.ts"
import type { Mode, Request } from "./timed.ts"

const modules = {
  "a function": new URL("./peers/function.ts", import.meta.url),
  Salvo: new URL("./peers/salvo.ts", import.meta.url),
  cockatiel: new URL("./peers/cockatiel.ts", import.meta.url),
  opossum: new URL("./peers/opossum.ts", import.meta.url),
  "Effect 4": new URL("./peers/effect-4.ts", import.meta.url)
}

type Peer = keyof typeof modules

const peers = Object.keys(modules) as ReadonlyArray<Peer>

const modes: ReadonlyArray<Mode> = ["bare", "closed", "rate", "open"]

interface Cell {
  readonly peer: Peer
  readonly mode: Mode
  readonly request: Request
}

const medianOf = (values: ReadonlyArray<number>) => (values.length === 0 ? undefined : median(values))

const perSecond = (micros: number | undefined) => (micros === undefined ? undefined : 1e6 / micros)

/** Where a breaker does not know a mode there is no number. */
const row = (peer: Peer, of: (mode: Mode) => ReadonlyArray<number>) => {
  const bare = of("bare")
  const added = (mode: Mode) => of(mode).map((micros, round) => micros - (bare[round] ?? Number.NaN))
  const { median, q1, q3 } = summary(added("closed"))
  return {
    breaker: peer,
    bare: medianOf(bare),
    "added closed": median,
    q1,
    q3,
    "added closed, rate": medianOf(added("rate")),
    open: medianOf(of("open")),
    "calls/s closed": perSecond(medianOf(of("closed"))),
    "calls/s open": perSecond(medianOf(of("open")))
  }
}

/** Microseconds per call. */
export const inProcess = (rounds: number, smoke: boolean) =>
  withChildren(modules, async (ask) => {
    const calls = smoke ? 200 : 10_000
    const cells = peers.flatMap((peer) => modes.map((mode): Cell => ({ peer, mode, request: { mode, calls } })))
    const measured = await inRounds(ask, cells, { rounds, warmUp: smoke ? 0 : 2 })
    const of = (peer: Peer, mode: Mode) =>
      measured.filter(({ cell }) => cell.peer === peer && cell.mode === mode).flatMap(numbers)
    return {
      rows: peers.map((peer) => row(peer, (mode) => of(peer, mode))),
      errors: measured.flatMap(({ cell: { mode, peer }, error }) =>
        error === undefined ? [] : [{ peer, mode, error }]
      )
    }
  })
