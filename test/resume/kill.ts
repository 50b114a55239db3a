/** Kills processes in the middle of batches. */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assertHolds } from "./holds.ts"
import { entriesOf, finishedBy, type Job, type Place, runAll } from "./outside.ts"

export const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "salvo-resume-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

export interface Order {
  readonly place: Place
  readonly number: number
  readonly jobs: ReadonlyArray<Job>
}

interface Started {
  readonly child: ChildProcess
  /** What it has said, and the signal it died of. */
  readonly ended: Effect.Effect<{ readonly said: string; readonly signal: NodeJS.Signals | null }>
}

/** A process that has loaded everything, and waits. */
const start = (script: string, order: object) =>
  Effect.gen(function* () {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [script, JSON.stringify(order)], { stdio: ["pipe", "pipe", "inherit"] })
      ),
      (child) => Effect.sync(() => void child.kill("SIGKILL"))
    )
    let said = ""
    yield* Effect.async<void>((resume) => {
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        said += text
        if (said.startsWith("ready\n")) resume(Effect.void)
      })
      child.once("exit", (code, signal) => resume(Effect.dieMessage(`did not start: ${code} ${signal} ${said}`)))
    })
    const ended: Started["ended"] = Effect.async((resume) => {
      child.once("close", (_, signal) => resume(Effect.sync(() => ({ said, signal }))))
    })
    return { child, ended }
  })

/** Lets it begin, and kills it when that is done, if it does not end before. Tells how long it ran, and how it ended. */
export const killed = (script: string, order: object, when: Effect.Effect<unknown> = Effect.never) =>
  Effect.gen(function* () {
    const { child, ended } = yield* start(script, order)
    const since = yield* Clock.currentTimeMillis
    const ending = yield* Effect.fork(ended)
    child.stdin?.end("go\n")
    yield* Effect.raceFirst(Effect.asVoid(ending.await), Effect.asVoid(when))
    child.kill("SIGKILL")
    const { said, signal } = yield* ending.await.pipe(Effect.flatten)
    return { said, signal, took: (yield* Clock.currentTimeMillis) - since }
  }).pipe(Effect.scoped)

/** Goes on with the batches in this process, and looks at what it told. */
export const resumed = ({ jobs, number, place }: Order, story: string) =>
  Effect.gen(function* () {
    const quiet = Logger.remove(Logger.defaultLogger)
    const batches = yield* Effect.provide(runAll(place, jobs, number), quiet)
    for (const [i, job] of jobs.entries()) {
      const finished = Array.from({ length: number - 1 }, (_, process) => finishedBy(job, process + 1))
      const entries = entriesOf(job)
      assertHolds({ batch: batches[i], calls: job.calls, entries, finished }, `${job.id}: ${story}`)
    }
    // It is over: one more process executes nothing.
    const executions = jobs.map((job) => entriesOf(job).length)
    yield* Effect.provide(runAll(place, jobs, number + 1), quiet)
    assert.deepStrictEqual(
      jobs.map((job) => entriesOf(job).length),
      executions,
      story
    )
    return batches
  })
