import { assert, it } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Memory from "../../src/internal/breaker/memory.ts"
import * as Model from "./model.ts"

it.live("the breaker in memory answers as a naive one that keeps every outcome and recounts", () =>
  Effect.gen(function* () {
    const tally = yield* Model.agree({ make: Memory.make, runs: 1000, length: 100 })
    yield* Console.log("model", JSON.stringify(tally))
    assert.isAtLeast(tally.halfOpens, 500)
    assert.isAtLeast(tally.closes, 200)
    assert.isAtLeast(tally.reopens, 30)
    assert.isAtLeast(tally.lost, 50)
    assert.isAtLeast(tally.late, 200)
  })
)
