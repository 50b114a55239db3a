/**
 * Processes that are killed by SIGKILL while they run batches, on files and on Redis: what the next one answers, against a
 * ledger that neither of them can change after the fact. `SALVO_KILLS` is how many are killed at random in each place.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { join } from "node:path"
import { bundle } from "../bundle.ts"
import { shared } from "../redis/connect.ts"
import { describeRedis } from "../redis/server.ts"
import { killed, type Order, resumed, temporary } from "./kill.ts"
import type { Place } from "./outside.ts"
import { call, mixed } from "./tools.ts"
import { told } from "./world.ts"

const kills = Number(process.env["SALVO_KILLS"] ?? 15)

/** How many batches run side by side in each process. */
const batches = 3

const script = bundle(new URL("child/run.ts", import.meta.url))

const stages = (tool: string, id = "c1") => [
  `before Started ${tool} ${id}`,
  `half of Started ${tool} ${id}`,
  `after Started ${tool} ${id}`,
  `before ${tool} ${id}`,
  `in ${tool} ${id}`,
  `after ${tool} ${id}`,
  `before Landed ${tool} ${id}`,
  `half of Landed ${tool} ${id}`,
  `after Landed ${tool} ${id}`
]

/** What a call of each kind is answered with, stage by stage. */
const answers = {
  look: ["executed", ...Array.from({ length: 7 }, () => "executed"), "journal"],
  put: ["executed", ...Array.from({ length: 7 }, () => "executed"), "journal"],
  pay: ["executed", "executed", ...Array.from({ length: 6 }, () => "OutcomeUnknown"), "journal"],
  send: [...Array.from({ length: 5 }, () => "executed"), ...Array.from({ length: 4 }, () => "journal")]
} as const

/** Between two attempts, and between two records of one group. */
const between = [
  { how: "flaky", stopAt: "before AttemptFailed pay c1", answer: "OutcomeUnknown" },
  { how: "flaky", stopAt: "half of AttemptFailed pay c1", answer: "OutcomeUnknown" },
  { how: "flaky", stopAt: "after AttemptFailed pay c1", answer: "executed" },
  { how: "unsure", stopAt: "after AttemptFailed pay c1", answer: "ToolFailure" },
  { how: undefined, stopAt: "before Started pay c2", answer: "OutcomeUnknown" },
  { how: undefined, stopAt: "half of Started pay c2", answer: "OutcomeUnknown" }
] as const

const name = (stopAt: string) => stopAt.replaceAll(" ", "-")

/** Kills one process in which each batch stands at another point, and looks at all of them. */
const atEveryPoint = (place: Place, folder: string) =>
  Effect.gen(function* () {
    const staged = (["look", "put", "pay", "send"] as const).flatMap((tool) =>
      stages(tool).map((stopAt, i) => ({ calls: [call("c1", tool, { n: 1 })], stopAt, answer: answers[tool][i] }))
    )
    const others = between.map(({ answer, how, stopAt }) => ({
      calls: [call("c1", "pay", { n: 1, ...(how === undefined ? {} : { how }) }), call("c2", "pay", { n: 2 })],
      stopAt,
      answer
    }))
    // Some of all kinds, each cut off while many others are under way.
    const wide = ["in put c3", "after pay c5", "half of Landed send c6", "before Started pay c9", "in pay c9"].map(
      (stopAt) => ({ calls: mixed, stopAt, answer: undefined })
    )
    const points = [...staged, ...others, ...wide]
    const jobs = points.map(({ calls, stopAt }, i) => ({
      id: `${i}-${name(stopAt)}`,
      ledger: join(folder, `${i}.ledger`),
      calls,
      stopAt
    }))
    const order: Order = { place, number: 1, jobs }
    assert.deepInclude(yield* killed(script, order), { said: "ready\n", signal: "SIGKILL" })
    const results = yield* resumed({ ...order, number: 2 }, "killed at its point")
    for (const [i, { answer, stopAt }] of points.entries()) {
      if (answer !== undefined) assert.strictEqual(told(results[i])?.[0], answer, stopAt)
    }
    yield* Console.log(`killed at ${points.length} points at once`)
  })

/** Kills one process after the other at any time, some of them twice. */
const atRandom = (placeOf: (n: number) => Place, folder: string) =>
  Effect.gen(function* () {
    const jobsOf = (n: number) =>
      Array.from({ length: batches }, (_, i) => ({
        id: `${n}-${i}`,
        ledger: join(folder, `${n}-${i}.ledger`),
        calls: mixed
      }))
    const whole = yield* killed(script, { place: placeOf(-1), number: 1, jobs: jobsOf(-1) })
    assert.strictEqual(whole.said, `ready\nanswered ${batches * mixed.length}\n`)

    // One that ends before it is killed had a faster moment of the machine.
    let took = whole.took
    const kill = (n: number) =>
      Effect.gen(function* () {
        const orderOf = (number: number): Order => ({ place: placeOf(n), number, jobs: jobsOf(n) })
        const times = n % 4 === 3 ? 2 : 1
        let inTime = 0
        for (let time = 1; time <= times; time++) {
          const millis = yield* Random.nextIntBetween(0, Math.ceil(took * 1.1))
          const ran = yield* killed(script, orderOf(time), Effect.sleep(millis))
          if (ran.signal === "SIGKILL") inTime++
          else if (time === 1) took = Math.min(took, ran.took)
        }
        const told = (yield* resumed(orderOf(times + 1), `kill ${n}`)).flatMap(({ results }) => results)
        return {
          inTime,
          kept: told.filter((result) => result._tag === "Success" && result.source === "journal").length,
          unknown: told.filter((result) => result._tag === "Failure" && result.error._tag === "OutcomeUnknown").length,
          calls: told.length
        }
      })

    // Every fourth one is killed once more while it resumes.
    const ran = yield* Effect.forEach(Array.from({ length: Math.ceil(kills * 0.8) }).keys(), kill, { concurrency: 2 })
    const sum = (of: (one: (typeof ran)[number]) => number) => ran.reduce((sum, one) => sum + of(one), 0)
    yield* Console.log(
      `${sum(({ inTime }) => inTime)} processes killed in the middle of ${batches} batches; of ${sum(({ calls }) => calls)} calls ` +
        `${sum(({ kept }) => kept)} were answered from the journal, ${sum(({ unknown }) => unknown)} writes are unknown`
    )
    assert.isAbove(
      sum(({ inTime }) => inTime),
      kills / 2
    )
    assert.isAbove(
      sum(({ kept }) => kept),
      0
    )
  })

const timeout = 60_000 + kills * 10_000

describe("a process that is killed, with its journal in files", () => {
  it.scopedLive(
    "at every point of a batch",
    () => Effect.flatMap(temporary, (folder) => atEveryPoint({ folder: join(folder, "journal") }, folder)),
    60_000
  )

  it.scopedLive(
    "at any time",
    () => Effect.flatMap(temporary, (folder) => atRandom((n) => ({ folder: join(folder, `${n}`) }), folder)),
    timeout
  )
})

describeRedis("a process that is killed, with its journal in Redis", () => {
  const redis = shared()
  const placeOf = (n: number): Place => ({ url: redis.server.url, prefix: `kill-${n}:` })

  it.scopedLive(
    "at every point of a batch",
    () => Effect.flatMap(temporary, (folder) => atEveryPoint(placeOf(-2), folder)),
    60_000
  )

  it.scopedLive("at any time", () => Effect.flatMap(temporary, (folder) => atRandom(placeOf, folder)), timeout)
})
