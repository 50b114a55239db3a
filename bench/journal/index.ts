/** What writing every decision down costs: batches without a journal, and with one in memory, in files and in Redis. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { isThere, withServer } from "../breaker/redis/server.ts"
import { withChildren } from "../lib/child.ts"
import { inRounds, numbers } from "../lib/rounds.ts"
import { ratio, summary } from "../lib/stats.ts"
import type { Place, Request } from "./batches.ts"

const modules = {
  Salvo: new URL("./peers/salvo.ts", import.meta.url),
  "@effect/workflow": new URL("./peers/workflow.ts", import.meta.url)
}

interface Cell {
  readonly peer: keyof typeof modules
  readonly request: Request
}

/** Calls of one batch. */
const sizes = [1, 10, 100]

/** Fewer where each has a log of its own, so that all cells take about as long. */
const callsOf = (size: number): number => (size === 1 ? 250 : 1000)

const withFolder = async <A>(use: (folder: string) => Promise<A>): Promise<A> => {
  const folder = await mkdtemp(join(tmpdir(), "salvo-bench-"))
  try {
    return await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const measure = (places: ReadonlyArray<Place>, rounds: number, smoke: boolean) => {
  const cells = (smoke ? [10] : sizes).flatMap((size) => {
    const request = (place: Place): Request => ({ place, size, calls: smoke ? size : callsOf(size) })
    const salvo = places.map((place): Cell => ({ peer: "Salvo", request: request(place) }))
    return salvo.concat({ peer: "@effect/workflow", request: request({ kind: "memory" }) })
  })
  return withChildren(modules, async (ask) => {
    const measured = await inRounds(ask, cells, { rounds, warmUp: smoke ? 0 : 2 })
    return measured.map(({ answers, cell, error }) => {
      const { place, size } = cell.request
      const micros = answers.filter((answer) => typeof answer === "number")
      const without = measured.find(
        (other) => other.cell.request.size === size && other.cell.request.place.kind === "none"
      )
      return {
        peer: cell.peer,
        journal: place.kind,
        "calls of a batch": size,
        "microseconds per call": summary(micros),
        "times Salvo without": without === undefined ? undefined : ratio(micros, numbers(without)),
        "calls per second": Math.round(1e6 / summary(micros).median),
        error
      }
    })
  })
}

/** Real files, and a real server of its own. */
export const run = ({ rounds, smoke }: { readonly rounds: number; readonly smoke: boolean }) =>
  withFolder((folder) => {
    const local: ReadonlyArray<Place> = [{ kind: "none" }, { kind: "memory" }, { kind: "files", folder }]
    if (isThere()) {
      return withServer((port) =>
        measure([...local, { kind: "Redis", url: `redis://127.0.0.1:${port}` }], rounds, smoke)
      )
    }
    console.error("bench: journal: no redis-server on the PATH, so Redis is skipped")
    return measure(local, rounds, smoke)
  })
