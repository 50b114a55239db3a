import { afterAll, assert, beforeAll, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { bundle } from "../bundle.ts"
import { eventually, shared, took } from "./connect.ts"
import type { Answer, Order } from "./child.ts"
import { describeRedis, type Server } from "./server.ts"

const script = bundle(new URL("child.ts", import.meta.url))

const lease = 1000

interface Process {
  readonly give: (order: Order) => Effect.Effect<Answer>
  readonly kill: Effect.Effect<void>
  readonly ended: Effect.Effect<number | null>
}

const message = <A>(child: ChildProcess) =>
  Effect.async<A>((resume) => {
    const listener = (message: unknown) =>
      // What the script sends is known.
      resume(Effect.succeed(message as A))
    child.once("message", listener)
    return Effect.sync(() => child.off("message", listener))
  })

const start = ({ url }: Server) =>
  Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [script, url], {
          stdio: ["ignore", "inherit", "inherit", "ipc"]
        })
      ),
      (child) => Effect.sync(() => void child.kill("SIGKILL"))
    )
    const ended = Effect.async<number | null>((resume) => {
      if (child.exitCode !== null) return resume(Effect.succeed(child.exitCode))
      child.once("exit", (code) => resume(Effect.succeed(code)))
    })
    yield* message(child)
    const give = (order: Order) =>
      Effect.zipRight(
        Effect.sync(() => void child.send(order)),
        message<Answer>(child),
        { concurrent: true }
      )
    return { give, kill: Effect.sync(() => void child.kill("SIGKILL")), ended } satisfies Process
  })

const concurrent = { concurrency: "unbounded" } as const

const all = (processes: ReadonlyArray<Process>, order: Order) =>
  Effect.forEach(processes, (process) => process.give(order), concurrent)

describeRedis("processes that share a breaker", () => {
  const redis = shared()
  const scope = Effect.runSync(Scope.make())
  let ten: ReadonlyArray<Process> = []

  beforeAll(async () => {
    const starting = Effect.all(
      Array.from({ length: 10 }, () => start(redis.server)),
      concurrent
    )
    ten = await Effect.runPromise(Scope.extend(starting, scope))
  }, 120_000)
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  it.scopedLive("two, and ten, that fail at the same time open it once an era", () =>
    Effect.gen(function* () {
      for (const processes of [ten.slice(0, 2), ten]) {
        for (let round = 0; round < 8; round++) {
          const breaker = `storm of ${processes.length}, ${round}`
          const admitted = yield* all(processes, { breaker, do: "admit", times: 3 })
          for (const { permits } of admitted) assert.strictEqual(permits, 3)
          const failed = yield* all(processes, { breaker, do: "fail" })
          for (const { mode, openings } of failed) {
            assert(mode === "Open" || mode === "HalfOpen", mode)
            assert.strictEqual(openings, 1)
          }
          for (const { opened } of failed) assert.isAtMost(opened, 1)
        }
      }
    })
  )

  it.scopedLive("two, and ten, have one probe under way at a time", () =>
    Effect.gen(function* () {
      for (const processes of [ten.slice(0, 2), ten]) {
        const breaker = `probes of ${processes.length}`
        const probed = yield* all(processes, { breaker, do: "probe", millis: 1500 })
        const probes = probed.reduce((sum, each) => sum + each.probes, 0)
        const most = Math.max(...probed.map((each) => each.most))
        yield* Console.log(`${processes.length} processes: ${probes} probes, ${most} at a time`)
        assert.isAbove(probes, 4)
        assert.strictEqual(most, 1)
      }
    })
  )

  it.scopedLive("F4 what a killed process held comes back within its lease: a probe's slot, an isolation", () =>
    Effect.gen(function* () {
      const [one, other, third] = ten
      assert(one !== undefined && other !== undefined && third !== undefined)
      const breaker = "killed"
      const ask = { breaker, do: "admit", times: 1 } as const
      yield* one.give({ breaker, do: "admit", times: 3 })
      yield* one.give({ breaker, do: "fail" })
      yield* eventually(one.give(ask), ({ permits }) => permits === 1)
      const since = yield* Clock.currentTimeMillis
      assert.strictEqual((yield* other.give(ask)).permits, 0)
      yield* one.kill
      yield* eventually(other.give(ask), ({ permits }) => permits === 1)
      const free = (yield* Clock.currentTimeMillis) - since
      yield* Console.log(`the slot of a killed prober came back after ${free} ms, of a lease of ${lease} ms`)
      assert(free > lease / 2 && free < lease + 200, `after ${free} ms`)

      yield* other.give({ breaker, do: "isolate" })
      assert.strictEqual((yield* third.give(ask)).mode, "Isolated")
      yield* other.kill
      const released = yield* took(eventually(third.give(ask), ({ mode }) => mode !== "Isolated"))
      assert.isBelow(released.millis, lease + 200)
    })
  )

  it.scopedLive("one whose circuit is open ends when its work is done, also where Redis does not answer", () =>
    Effect.gen(function* () {
      const [first, second] = ten.slice(8)
      assert(first !== undefined && second !== undefined)
      const breaker = "leaving"
      yield* first.give({ breaker, do: "admit", times: 3 })
      assert.strictEqual((yield* first.give({ breaker, do: "fail" })).mode, "Open")
      yield* first.give({ breaker, do: "leave" })
      const left = yield* took(first.ended)
      assert.strictEqual(left.result, 0)
      assert.isBelow(left.millis, 400)

      yield* redis.server.pause
      yield* Effect.addFinalizer(() => redis.server.resume)
      yield* second.give({ breaker, do: "leave" })
      const stopped = yield* took(second.ended)
      assert.strictEqual(stopped.result, 0)
      assert.isBelow(stopped.millis, 1000)
    })
  )
})
