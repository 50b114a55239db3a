import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Command from "@effect/platform/Command"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { bundle } from "../bundle.ts"

const scripts = {
  open: bundle(new URL("child/open.ts", import.meta.url)),
  many: bundle(new URL("child/many.ts", import.meta.url))
}

const child = (script: keyof typeof scripts, ...flags: ReadonlyArray<string>) =>
  Command.make(process.execPath, ...flags, scripts[script]).pipe(
    Command.string,
    Effect.map((output) => output.trim()),
    Effect.provide(NodeContext.layer)
  )

const Told = Schema.parseJson(
  Schema.Struct({ grown: Schema.Number, mode: Schema.String, rejected: Schema.Number, fibers: Schema.Number })
)

describe("a process", () => {
  it.live("ends at once though its circuit is open: no timer and no fiber of the breaker holds it", () =>
    Effect.gen(function* () {
      const begun = yield* Clock.currentTimeMillis
      assert.strictEqual(yield* child("open"), "Open")
      // The circuit is open for an hour. A start of the process itself takes a second or two.
      assert.isBelow((yield* Clock.currentTimeMillis) - begun, 20_000)
    })
  )

  it.live(
    "does not grow with the calls: 100,000 of all kinds leave no heap and no fiber behind",
    () =>
      Effect.gen(function* () {
        const { fibers, grown, rejected } = yield* Schema.decode(Told)(yield* child("many", "--expose-gc"))
        // Ten bytes a call: whatever is kept of a call takes more than that.
        assert.isBelow(grown, 1_000_000)
        assert.isAbove(rejected, 100)
        assert.isAtMost(fibers, 1)
      }),
    60_000
  )
})
