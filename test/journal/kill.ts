/** Kills processes while they write, and looks at what is left. */
import { assert } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import { spawn } from "node:child_process"
import type * as Journal from "../../src/services/Journal.ts"
import { stops } from "./world.ts"

/** How many processes are killed in each place. */
export const kills = Number(process.env.SALVO_KILLS ?? 10)

const fibers = 6

/** What writes. */
export const script = new URL("child/append.ts", import.meta.url)

/** Runs a process that writes, until it has said so many lines and a moment more; tells what it said. */
const writing = (program: string, place: string, log: string, lines: number, moment: Duration.DurationInput) =>
  Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [program, place, log, String(fibers)], {
          stdio: ["ignore", "pipe", "inherit"]
        })
      ),
      (child) => Effect.sync(() => void child.kill("SIGKILL"))
    )
    let said = ""
    const closed = Effect.async<NodeJS.Signals | null>((resume) => {
      child.once("close", (_, signal) => resume(Effect.succeed(signal)))
    })
    const enough = Effect.async<void>((resume) => {
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        said += text
        if (said.split("\n").length > lines) resume(Effect.void)
      })
    })
    const closing = yield* Effect.fork(closed)
    yield* Effect.raceFirst(Effect.zipRight(enough, Effect.sleep(moment)), Fiber.join(closing))
    child.kill("SIGKILL")
    assert.strictEqual(yield* Fiber.join(closing), "SIGKILL", said)
    return said.split("\n").slice(0, -1)
  }).pipe(Effect.scoped)

/** What each fiber of the processes has written, in order. */
const byFiber = (stops: ReadonlyArray<string>) => {
  const numbers = Array.from({ length: fibers }, (): Array<number> => [])
  for (const stop of stops) {
    const [fiber, n] = stop.split(":").map(Number)
    numbers[fiber ?? -1]?.push(n ?? -1)
  }
  return numbers
}

/** So many processes go on with the same log, one after the other. */
const perLog = 10

/** Kills one process after the other, each of the bundled script. `open` does as the next process would. */
export const killAndLook = <E>(program: string, place: string, open: (log: string) => Effect.Effect<Journal.Log, E>) =>
  Effect.gen(function* () {
    let acknowledged: Array<number> = []
    for (let kill = 0; kill < kills; kill++) {
      const name = `batch ${Math.floor(kill / perLog)}`
      if (kill % perLog === 0) acknowledged = Array.from({ length: fibers }, () => 0)
      // Some while the log is being opened, most in the middle of writing.
      const lines = kill % 5 === 4 ? 1 : yield* Random.nextIntBetween(2, 400)
      const said = yield* writing(program, place, name, lines, yield* Random.nextIntBetween(0, 12))
      for (const [fiber, numbers] of byFiber(said.slice(1)).entries()) {
        acknowledged[fiber] = Math.max(acknowledged[fiber] ?? 0, ...numbers.map((n) => n + 1))
      }
      const log = yield* open(name)
      assert.isTrue(log.isKnown)
      const found = stops(log)
      const perFiber = byFiber(found)
      assert.strictEqual(perFiber.flat().length, found.length)
      for (const [fiber, numbers] of perFiber.entries()) {
        const message = `fiber ${fiber}, kill ${kill}`
        assert.deepStrictEqual(
          numbers,
          numbers.map((_, i) => i),
          message
        )
        // A record was acknowledged before the same fiber wrote the next.
        const sure = acknowledged[fiber] ?? 0
        assert.isAtLeast(numbers.length, sure, message)
        assert.isAtMost(numbers.length, sure + 1, message)
        // The next process counts it as written.
        acknowledged[fiber] = numbers.length
      }
    }
    assert.isAbove(Math.max(...acknowledged), 0)
  })
