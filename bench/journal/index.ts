/** What writing every decision down costs: batches without a journal, and with one in memory, in files and in Redis. */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { isThere, withServer } from "../breaker/redis/server.ts"
import { withChildren } from "../lib/child.ts"
import { inRounds, numbers } from "../lib/rounds.ts"
import { ratio, summary } from "../lib/stats.ts"
import type { Request } from "./peers/salvo.ts"

const modules = { salvo: new URL("./peers/salvo.ts", import.meta.url) }

/** Calls of one batch. */
const sizes = [1, 10, 100]

const withFolder = async <A>(use: (folder: string) => Promise<A>): Promise<A> => {
  const folder = await mkdtemp(join(tmpdir(), "salvo-bench-"))
  try {
    return await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const measure = (places: ReadonlyArray<Request["place"]>, rounds: number, smoke: boolean) => {
  const cells = sizes.flatMap((size) =>
    places.map((place) => ({ peer: "salvo", request: { place, size, calls: smoke ? 100 : 1000 } satisfies Request }))
  )
  return withChildren(modules, async (ask) => {
    const measured = await inRounds(ask, cells, { rounds })
    return measured.map(({ answers, cell, error }) => {
      const { place, size } = cell.request
      const micros = answers.filter((answer) => typeof answer === "number")
      const without = measured.find(
        (other) => other.cell.request.size === size && other.cell.request.place.kind === "none"
      )
      return {
        journal: place.kind,
        "calls of a batch": String(size),
        "microseconds per call": summary(micros),
        "times that without": without === undefined ? undefined : ratio(micros, numbers(without)),
        "calls per second": Math.round(1e6 / summary(micros).median),
        error
      }
    })
  })
}

/** Real files, and a real server of its own. */
export const run = ({ rounds, smoke }: { readonly rounds: number; readonly smoke: boolean }) =>
  withFolder((folder) => {
    const local: ReadonlyArray<Request["place"]> = [{ kind: "none" }, { kind: "memory" }, { kind: "files", folder }]
    if (isThere()) {
      return withServer((port) =>
        measure([...local, { kind: "Redis", url: `redis://127.0.0.1:${port}` }], rounds, smoke)
      )
    }
    console.error("bench: journal: no redis-server on the PATH, so Redis is skipped")
    return measure(local, rounds, smoke)
  })
