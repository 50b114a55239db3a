/** Calls that depend on each other: what a node costs, how near a makespan comes to the least possible, what a failure loses. */
import { type Ask, withChildren } from "../lib/child.ts"
import { inRounds, numbers } from "../lib/rounds.ts"
import { median, ratio } from "../lib/stats.ts"
import { type Durations, type Shape, shapes } from "./plan.ts"
import type { Failure, Request } from "./serve.ts"

const modules = {
  Salvo: new URL("./peers/salvo.ts", import.meta.url),
  "Salvo, promises": new URL("./peers/salvo-promises.ts", import.meta.url),
  "in-degree": new URL("./peers/in-degree.ts", import.meta.url),
  "p-graph": new URL("./peers/p-graph.ts", import.meta.url),
  levels: new URL("./peers/levels.ts", import.meta.url),
  "re-scan": new URL("./peers/re-scan.ts", import.meta.url),
  "async.auto": new URL("./peers/async-auto.ts", import.meta.url),
  StateGraph: new URL("./peers/state-graph.ts", import.meta.url)
}

type Peer = keyof typeof modules

const peers = Object.keys(modules) as ReadonlyArray<Peer>

/** More nodes than this take a peer a minute or more: quadratic, or milliseconds a node. */
const largest: Readonly<Partial<Record<Peer, number>>> = { "async.auto": 1000, StateGraph: 100 }

/** Its handlers do not sleep in virtual time; those of the other Salvo do. */
const sleepers = peers.filter((peer) => peer !== "Salvo")

/** The huge ones take seconds each, and a third of the rounds is enough for them. */
const [usual, huge] = [[10, 100, 1000], 10_000]

/** Seconds each, and no other shape says more. */
const isOnlyLayered = (peer: Peer) => peer === "re-scan" || peer === "Salvo, promises"

const takes = (peer: Peer, size: number) => size <= (largest[peer] ?? huge)

type Row = Readonly<Record<string, unknown>>

/** Undefined where the peer fails. */
type Asked = (peer: Peer, request: Request) => Promise<unknown>

interface Cell {
  readonly peer: Peer
  readonly shape: Shape
  readonly size: number
  readonly request: Request
}

const cellsOf = (size: number, atLeastMillis: number): ReadonlyArray<Cell> =>
  shapes.flatMap((shape) =>
    peers
      .filter((peer) => takes(peer, size) && (size < huge || shape === "layered" || !isOnlyLayered(peer)))
      .map((peer) => ({
        peer,
        shape,
        size,
        request: { ask: "cost", shape, size, atLeastMillis }
      }))
  )

/** Microseconds per node, round by round. */
const costs = async (ask: Ask, rounds: number, smoke: boolean) => {
  const cells = (smoke ? [10, 100] : usual).flatMap((size) => cellsOf(size, smoke ? 0 : 20))
  const some = await inRounds(ask, cells, { rounds, warmUp: smoke ? 0 : 1 })
  // Their code is warm by now.
  const many = smoke ? [] : await inRounds(ask, cellsOf(huge, 0), { rounds: Math.ceil(rounds / 3), warmUp: 0 })
  const all = [...some, ...many]
  const of = (peer: Peer, shape: Shape, size: number) => {
    const found = all.find(({ cell }) => cell.peer === peer && cell.shape === shape && cell.size === size)
    return found === undefined ? [] : numbers(found)
  }
  const errors: ReadonlyArray<Row> = all.flatMap(({ cell: { peer, request }, error }) =>
    error === undefined ? [] : [{ peer, ...request, error }]
  )
  return { of, errors }
}

type Costs = Awaited<ReturnType<typeof costs>>

/** A row with a column for each peer that has a number. */
const rowOf = (row: Row, of: (peer: Peer) => unknown): Row =>
  Object.assign({}, row, Object.fromEntries(peers.map((peer) => [peer, of(peer)])))

const medianOf = (values: ReadonlyArray<number>) => (values.length === 0 ? undefined : median(values))

const costRows = ({ of }: Costs, sizes: ReadonlyArray<number>) =>
  shapes.flatMap((shape) => sizes.map((nodes) => rowOf({ shape, nodes }, (peer) => medianOf(of(peer, shape, nodes)))))

/** How many times as much as `p-graph`. */
const ratioRows = ({ of }: Costs, sizes: ReadonlyArray<number>) =>
  shapes.flatMap((shape) =>
    sizes.map((nodes) => {
      const { median, q1, q3 } = ratio(of("Salvo", shape, nodes), of("p-graph", shape, nodes))
      return { shape, nodes, "Salvo / p-graph": median, q1, q3 }
    })
  )

/** The cost of a node in a plan of 10,000 by that in a plan of 1,000. */
const growthRows = ({ of }: Costs) =>
  shapes.map((shape) =>
    rowOf({ shape }, (peer) => {
      const [few, many] = [medianOf(of(peer, shape, 1000)), medianOf(of(peer, shape, huge))]
      return few === undefined || many === undefined ? undefined : many / few
    })
  )

/** Those of the other shapes are the critical path for everybody. */
const makespanShapes: ReadonlyArray<Shape> = ["layered", "random"]

const makespanRows = async (asked: Asked, sizes: ReadonlyArray<number>): Promise<ReadonlyArray<Row>> => {
  const rows: Array<Row> = []
  for (const shape of makespanShapes) {
    for (const durations of ["uniform", "log-normal"] satisfies ReadonlyArray<Durations>) {
      for (const size of sizes) {
        const able = sleepers.filter((peer) => takes(peer, size) && (size < huge || peer !== "re-scan"))
        const ratios = new Map<Peer, unknown>()
        for (const peer of able) ratios.set(peer, await asked(peer, { ask: "makespan", shape, size, durations }))
        rows.push({ shape, durations, nodes: size, ...Object.fromEntries(ratios) })
      }
    }
  }
  return rows
}

/** Of a plan of a hundred nodes, of which one fails. */
const failureRows = async (asked: Asked): Promise<ReadonlyArray<Row>> => {
  const rows: Array<Row> = []
  for (const peer of sleepers) {
    for (const shape of makespanShapes) {
      const failure = (await asked(peer, { ask: "failure", shape, size: 100 })) as Failure | undefined
      if (failure !== undefined) rows.push({ peer, shape, ...failure })
    }
  }
  return rows
}

export const run = ({ rounds, smoke }: { readonly rounds: number; readonly smoke: boolean }): Promise<unknown> =>
  withChildren(modules, async (ask) => {
    const sizes = smoke ? [10, 100] : [...usual, huge]
    const measured = await costs(ask, rounds, smoke)
    const errors = [...measured.errors]
    const asked: Asked = (peer, request) =>
      ask(peer, request).catch((error: unknown) => {
        errors.push({ peer, ...request, error: String(error) })
      })
    return {
      "microseconds per node": costRows(measured, sizes),
      "Salvo by p-graph": ratioRows(measured, sizes),
      ...(smoke ? {} : { "growth from 1,000 to 10,000 nodes": growthRows(measured) }),
      "makespan by critical path": await makespanRows(asked, sizes),
      "results after one failure": await failureRows(asked),
      ...(errors.length === 0 ? {} : { errors })
    }
  })
