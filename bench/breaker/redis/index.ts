/** Breakers that processes share through a real Redis: what a call waits for, and how often the server is asked. */
import { setTimeout } from "node:timers/promises"
import { type Ask, withChildren } from "../../lib/child.ts"
import { median, ratio } from "../../lib/stats.ts"
import type { Measured, Mode, Request } from "./process.ts"
import { type Count, isThere, withServer } from "./server.ts"

type Peer = "Salvo" | "GET / INCR"

const modules: Readonly<Record<Peer, URL>> = {
  Salvo: new URL("../peers/redis-salvo.ts", import.meta.url),
  "GET / INCR": new URL("../peers/redis-plain.ts", import.meta.url)
}

/** What they send. Salvo sends scripts, and what these do on the server is no round trip. */
const sent: Readonly<Record<Peer, ReadonlyArray<string>>> = {
  Salvo: ["eval", "evalsha"],
  "GET / INCR": ["get", "incr", "pexpire"]
}

const most = 8

/** After so long nothing of Salvo's is on its way any more. */
const gatheredMillis = 200

const childOf = (peer: Peer, i: number) => `${peer} ${i}`

const childrenOf = (peer: Peer, processes: number) => Array.from({ length: processes }, (_, i) => childOf(peer, i))

const children = Object.fromEntries(
  Object.entries(modules).flatMap(([peer, module]) => childrenOf(peer as Peer, most).map((name) => [name, module]))
)

interface Cell {
  readonly peer: Peer
  readonly mode: Mode
  readonly processes: number
}

/** The plain one has no half-open: when the time is up it lets everything through. */
const cellsOf = (processes: number): ReadonlyArray<Cell> => [
  { peer: "Salvo", mode: "closed", processes },
  { peer: "GET / INCR", mode: "closed", processes },
  { peer: "Salvo", mode: "open", processes },
  { peer: "GET / INCR", mode: "open", processes },
  { peer: "Salvo", mode: "half-open", processes }
]

interface Round {
  readonly measured: ReadonlyArray<Measured>
  readonly commands: number
}

/** Breakers of their own in every round. */
const ask = async (
  child: Ask,
  { mode, peer, processes }: Cell,
  key: string,
  calls: number,
  count: Count
): Promise<Round> => {
  const tell = (i: number, request: Request) => child(childOf(peer, i), request)
  if (mode !== "closed") await tell(0, { do: "trip", mode, key })
  const before = await count(sent[peer])
  const measured = (await Promise.all(
    Array.from({ length: processes }, (_, i) => tell(i, { do: "measure", mode, key, calls }))
  )) as ReadonlyArray<Measured>
  const refused = mode === "open" ? 1 : 0
  for (const one of measured) {
    if (one.refused !== refused) throw new Error(`${mode}: ${one.refused} of the calls were refused`)
  }
  // What is gathered is sent behind the callers.
  await setTimeout(gatheredMillis)
  const made = measured.reduce((sum, { made }) => sum + made, 0)
  return { measured, commands: ((await count(sent[peer])) - before) / made }
}

/** A round trip is a `PING` of the plain one's processes in the same round: nothing but it is on their connections. */
const row = ({ mode, peer, processes }: Cell, rounds: ReadonlyArray<Round>, plain: ReadonlyArray<Round>) => {
  const all = rounds.flatMap(({ measured }) => measured)
  const added = rounds.map(({ measured }) => median(measured.map(({ added }) => added)))
  const trips = plain.map(({ measured }) => median(measured.map(({ roundTrip }) => roundTrip)))
  const share = ratio(added, trips)
  return {
    breaker: peer,
    mode,
    processes,
    "commands per call": median(rounds.map(({ commands }) => commands)),
    "added µs": median(added),
    "added µs, 99 %": median(all.map(({ added99 }) => added99)),
    "round trip µs": median(trips),
    "added / round trip": share.median,
    q1: share.q1,
    q3: share.q3
  }
}

/** A round takes a quarter of a second a cell and more, so a third of them has to do. */
export const throughRedis = async (rounds: number, smoke: boolean) => {
  if (!isThere()) return { rows: "skipped: there is no redis-server on the PATH", errors: [] }
  const cells = (smoke ? [2] : [1, 2, 4, most]).flatMap(cellsOf)
  return withServer((port, count) =>
    withChildren(children, async (child) => {
      const connect: Request = { do: "connect", port, warmUp: smoke ? 10 : 500 }
      const errors: Array<Readonly<Record<string, unknown>>> = []
      const needed = new Set(cells.flatMap(({ peer, processes }) => childrenOf(peer, processes)))
      for (const name of needed) {
        await child(name, connect).catch((error: unknown) => errors.push({ process: name, error: String(error) }))
      }
      const found = cells.map((cell) => ({ cell, rounds: new Array<Round>() }))
      for (let round = 0; round < Math.ceil(rounds / 3); round++) {
        for (const [i, { cell, rounds }] of found.entries()) {
          try {
            rounds.push(await ask(child, cell, `${round} ${i}`, smoke ? 20 : 200, count))
          } catch (error) {
            errors.push({ ...cell, error: String(error) })
          }
        }
      }
      const plain = (processes: number) =>
        found.find(({ cell }) => cell.peer === "GET / INCR" && cell.mode === "closed" && cell.processes === processes)
      const rows = found.map(({ cell, rounds }) => row(cell, rounds, plain(cell.processes)?.rounds ?? []))
      return { rows, errors }
    })
  )
}
