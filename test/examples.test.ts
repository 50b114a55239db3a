import * as Command from "@effect/platform/Command"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/** Runs an example as its reader would, and waits for its end. */
const run = (example: string) =>
  Effect.gen(function* () {
    const started = yield* Command.start(Command.make("npx", "tsx", `examples/${example}`))
    const text = (stream: typeof started.stdout) => Stream.mkString(Stream.decodeText(stream))
    const [output, errors, code] = yield* Effect.all([text(started.stdout), text(started.stderr), started.exitCode], {
      concurrency: "unbounded"
    })
    assert.strictEqual(errors, "")
    assert.strictEqual(code, 0)
    return output.trimEnd().split("\n")
  }).pipe(Effect.scoped, Effect.provide(NodeContext.layer))

describe("examples/plan-in-one-turn.ts", () => {
  it.live(
    "nine calls that need each other take one turn with references, three without, and book the same",
    () =>
      Effect.gen(function* () {
        const [summary = "", ...lines] = yield* run("plan-in-one-turn.ts")
        assert.match(summary, /^with references: 1 turn with calls, 9 of 9 calls succeeded$/)
        const bookings = [
          "  booked Lisbon-1-room-7 for 88 EUR",
          "  booked Oslo-1-room-7 for 86 EUR",
          "  booked Vienna-1-room-7 for 88 EUR"
        ]
        assert.deepStrictEqual(lines.slice(0, 3), bookings)
        assert.match(lines[3] ?? "", /^without: 3 turns with calls, 9 of 9 calls succeeded$/)
        assert.deepStrictEqual(lines.slice(4), bookings)
      }),
    60_000
  )
})

describe("examples/resume-after-a-crash.ts", () => {
  it.live(
    "the process that was killed has paid, and the next one finds that out",
    () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* run("resume-after-a-crash.ts"), [
          "looks for order 1007",
          "the first process: SIGKILL",
          'find_order: {"cents":4200}, from the journal',
          'refund: "paid, as the bank says", from the journal',
          "1 payment"
        ])
      }),
    60_000
  )
})
