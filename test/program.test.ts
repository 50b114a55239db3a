import { assert, describe, it } from "@effect/vitest"
import * as Command from "@effect/platform/Command"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { RunOutcome } from "../src/program/Outcome.ts"

const command = (...args: ReadonlyArray<string>) =>
  Command.make("node", "--import", "tsx", "src/program.ts", ...args).pipe(Command.env({ ANTHROPIC_API_KEY: "" }))

/** Runs the program; `interruptAt` sends SIGINT once that has been printed. */
const run = (args: ReadonlyArray<string>, interruptAt?: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const process = yield* Command.start(command(...args))
      const said = yield* Ref.make("")
      const reached = yield* Deferred.make<void>()
      const collect = (stream: typeof process.stdout) =>
        Stream.runForEach(Stream.decodeText(stream), (chunk) =>
          Effect.flatMap(
            Ref.updateAndGet(said, (all) => all + chunk),
            (all) =>
              interruptAt !== undefined && all.includes(interruptAt)
                ? Deferred.succeed(reached, undefined)
                : Effect.void
          )
        )
      const signal = Effect.zipRight(
        Deferred.await(reached),
        Effect.promise(() => import("node:process")).pipe(
          Effect.map((node) => node.kill(Number(process.pid), "SIGINT"))
        )
      )
      if (interruptAt !== undefined) yield* Effect.forkScoped(signal)
      const [code] = yield* Effect.all([process.exitCode, collect(process.stdout), collect(process.stderr)], {
        concurrency: "unbounded"
      })
      return { code: Number(code), said: yield* Ref.get(said) }
    })
  ).pipe(Effect.provide(NodeContext.layer))

const decode = Schema.decodeUnknown(Schema.parseJson(RunOutcome))

describe("npm start", () => {
  it.live("loses nothing, refunds once, and takes as long as its slowest bounded call", () =>
    Effect.gen(function* () {
      const { code, said } = yield* run(["--json"])
      const outcome = yield* decode(said)
      assert.strictEqual(code, 0)
      assert.deepInclude(outcome, { mode: "safe", lost: 0, refused: 0 })
      assert.strictEqual(outcome.ledger.refunds, 1)
      const first = outcome.turns[0]
      assert(first !== undefined)
      assert.deepStrictEqual(
        first.calls.map((call) => `${call.tool}: ${call.outcome} after ${call.attempts}`),
        [
          "look_up_order: Success after 1",
          "search_policies: Success after 1",
          "track_parcel: Success after 2",
          "exchange_rate: fallback after 1",
          "render_report: ToolFailure after 1"
        ]
      )
      const slowest = Math.max(...first.calls.map((call) => call.millis))
      const sum = first.calls.reduce((total, call) => total + call.millis, 0)
      assert.isBelow(first.millis, (slowest + sum) / 2)
    })
  )

  it.live("the naive way loses four results and more, refunds twice, and exits with 1", () =>
    Effect.gen(function* () {
      const { code, said } = yield* run(["--naive", "--json"])
      const outcome = yield* decode(said)
      assert.strictEqual(code, 1)
      assert.isAtLeast(outcome.lost, 4)
      assert.strictEqual(outcome.ledger.refunds, 2)
    })
  )

  it.live("Ctrl-C ends it with what was done so far", () =>
    Effect.gen(function* () {
      const { code, said } = yield* run([], "track_parcel: done")
      assert.strictEqual(code, 130)
      assert.match(said, /exchange_rate +OutcomeUnknown/)
      assert.match(said, /Interrupted after 1 turn\./)
    })
  )

  it.live("--live without a key, and an unknown flag, are explained in a line", () =>
    Effect.gen(function* () {
      const live = yield* run(["--live"])
      assert.strictEqual(live.code, 1)
      assert.match(live.said, /--live needs a key for the real API in ANTHROPIC_API_KEY/)
      const unknown = yield* run(["--bogus"])
      assert.strictEqual(unknown.code, 1)
      assert.match(unknown.said, /unknown argument: '--bogus'/)
    })
  )
})
