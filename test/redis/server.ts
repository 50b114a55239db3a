/**
 * A `redis-server` of the tests' own, on a free port: to be killed, restarted empty, stopped and woken. Where there is
 * none on the PATH the tests that need one are skipped; where `CI` is set that is an error.
 */
import { describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { Redis as Client } from "ioredis"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

const isThere = spawnSync("redis-server", ["--version"]).status === 0

if (!isThere) {
  if (process.env.CI !== undefined) throw new Error("There is no redis-server on the PATH, and CI needs one")
  console.warn("\n!!! No redis-server on the PATH: the tests against a real Redis are SKIPPED !!!\n")
}

export const describeRedis = describe.skipIf(!isThere)

export const freePort = Effect.async<number>((resume) => {
  const probe = createServer()
  probe.listen(0, "127.0.0.1", () => {
    const address = probe.address()
    probe.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
  // A cluster's node takes the one that is 10,000 further, too.
}).pipe(Effect.repeat({ until: (port) => port < 55_000 }))

export interface Server {
  readonly port: number
  readonly url: string
  /** Sends commands of the test's own. */
  readonly use: <A>(f: (client: Client) => Promise<A>) => Effect.Effect<A>
  /** As a crash does it: without a word to anybody. */
  readonly kill: Effect.Effect<void>
  /** Empty. */
  readonly restart: Effect.Effect<void>
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}

const ended = (child: ChildProcess) =>
  Effect.async<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

const use =
  (port: number) =>
  <A>(f: (client: Client) => Promise<A>): Effect.Effect<A> =>
    Effect.acquireUseRelease(
      Effect.sync(() => new Client(port, "127.0.0.1", { retryStrategy: () => 20 }).on("error", () => {})),
      (client) => Effect.promise(() => f(client)),
      (client) => Effect.sync(() => client.disconnect())
    )

const answers = (port: number) =>
  Effect.tryPromise(async () => {
    const client = new Client(port, "127.0.0.1", { retryStrategy: () => null, lazyConnect: true })
    client.on("error", () => {})
    try {
      await client.connect()
      await client.ping()
    } finally {
      client.disconnect()
    }
  }).pipe(Effect.retry(Schedule.spaced("10 millis")), Effect.timeout("10 seconds"), Effect.orDie)

/** Runs until the scope is closed, in a folder of its own. */
export const server = Effect.fnUntraced(function* (options: { readonly args?: ReadonlyArray<string> } = {}) {
  const port = yield* freePort
  const cwd = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "salvo-redis-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  const fixed = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
  const launch = Effect.sync(() => spawn("redis-server", [...fixed, ...(options.args ?? [])], { stdio: "ignore", cwd }))
  let child = yield* launch
  yield* Effect.addFinalizer(() => Effect.suspend(() => stop("SIGKILL")))
  yield* answers(port)

  const stop = (signal: NodeJS.Signals) =>
    Effect.suspend(() => {
      child.kill(signal)
      return ended(child)
    })
  const signal = (name: NodeJS.Signals) => Effect.sync(() => void child.kill(name))

  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    use: use(port),
    kill: stop("SIGKILL"),
    restart: Effect.gen(function* () {
      yield* stop("SIGKILL")
      child = yield* launch
      yield* answers(port)
    }),
    pause: signal("SIGSTOP"),
    resume: signal("SIGCONT")
  } satisfies Server
})
