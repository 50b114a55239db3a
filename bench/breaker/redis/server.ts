/** A `redis-server` of the benchmark's own, on a free port. */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Redis } from "ioredis"

export const isThere = (): boolean => spawnSync("redis-server", ["--version"]).status === 0

const freePort = async (): Promise<number> => {
  const probe = createServer().listen(0, "127.0.0.1")
  await once(probe, "listening")
  const address = probe.address()
  probe.close()
  return typeof address === "object" && address !== null ? address.port : 0
}

/** How often those commands were run. */
export type Count = (commands: ReadonlyArray<string>) => Promise<number>

const counting =
  (client: Redis): Count =>
  async (commands) => {
    const stats = await client.info("commandstats")
    return commands.reduce(
      (sum, name) => sum + Number(new RegExp(`^cmdstat_${name}:calls=(\\d+)`, "m").exec(stats)?.[1] ?? 0),
      0
    )
  }

/** Starts one that keeps nothing, and ends it when `use` is done, which is given its port and what it was sent. */
export const withServer = async <A>(use: (port: number, count: Count) => Promise<A>): Promise<A> => {
  const port = await freePort()
  const cwd = await mkdtemp(join(tmpdir(), "salvo-bench-"))
  const server = spawn(
    "redis-server",
    ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
    { stdio: "ignore", cwd }
  )
  const client = new Redis(port, "127.0.0.1", { retryStrategy: () => 20, maxRetriesPerRequest: null })
  client.on("error", () => {})
  const ended = once(server, "exit").then(() => {
    throw new Error("redis-server did not start")
  })
  ended.catch(() => {})
  try {
    await Promise.race([client.ping(), ended])
    return await use(port, counting(client))
  } finally {
    client.disconnect()
    server.kill("SIGKILL")
    await rm(cwd, { recursive: true, force: true })
  }
}
