/** What a fallback that fails has changed is said with the failure it was to replace. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import { type BatchResult, Fault, Report, Tool, Toolbox, ToolRunner } from "../../src/index.ts"

class Refused extends Schema.TaggedError<Refused>()("Refused", { tookEffect: Schema.Literal("no", "maybe") }) {}

const options = {
  description: "Does something",
  input: Schema.Struct({}),
  output: Schema.Struct({ got: Schema.Number }),
  failure: Refused,
  classify: (failure: Refused) => Fault.permanent(failure)
}

type Work = Effect.Effect<{ readonly got: number }, Refused>

interface Given {
  readonly effects: Tool.Effects
  /** Of the other tool; missing where the fallback is an effect. */
  readonly instead?: Tool.Effects
  readonly work: Work
}

const refusing = Effect.fail(new Refused({ tookEffect: "no" }))

const make = ({ effects, instead, work }: Given) => {
  class Second extends Tool.Service<Second>()("second", { ...options, effects: instead ?? "read" }) {}
  class First extends Tool.Service<First>()("first", {
    ...options,
    effects,
    policy: { fallback: instead === undefined ? () => work : { tool: Second } }
  }) {}
  const layer = Layer.mergeAll(
    First.layer(() => refusing),
    Second.layer(() => work),
    ToolRunner.layerWith({ policy: { timeout: "1 second", retry: false } })
  )
  const toolbox = Toolbox.make(First)
  return {
    toolbox,
    run: (options?: ToolRunner.RunOptions<typeof First>) =>
      Effect.provide(ToolRunner.run(toolbox, [{ id: "c1", name: "first", input: {} }], options), layer)
  }
}

const outcome = ({ results: [result] }: BatchResult.BatchResult) =>
  result?._tag === "Failure" ? [result.error._tag, result.fault.tookEffect] : result?._tag

const said = (batch: BatchResult.BatchResult) => JSON.stringify(Report.toolResults(batch))

const run = (given: Given) =>
  Effect.gen(function* () {
    const running = yield* Effect.fork(make(given).run())
    yield* TestClock.adjust("2 seconds")
    return yield* Fiber.join(running)
  })

/** What the fallback comes to, and what it has changed then. */
const works: ReadonlyArray<readonly [why: string, Work, tookEffect: Fault.TookEffect]> = [
  ["is refused", refusing, "no"],
  ["fails, and nobody knows", Effect.fail(new Refused({ tookEffect: "maybe" })), "maybe"],
  ["crashes", Effect.die(new Error("boom")), "maybe"],
  ["never answers", Effect.never, "maybe"],
  ["answers what nobody understands", Effect.succeed({ got: "much" } as never), "yes"]
]

describe("a fallback that", () => {
  for (const [why, work, tookEffect] of works) {
    it.effect(`${why} is told of by what it may have changed`, () =>
      Effect.gen(function* () {
        for (const effects of ["read", "idempotent", "write"] as const) {
          const tool = yield* run({ effects, instead: "write", work })
          assert.deepStrictEqual(outcome(tool), ["ToolFailure", tookEffect], effects)
          assert.include(
            said(tool),
            {
              no: "It did not take effect.",
              maybe: "It may have taken effect: find out before you call it again.",
              yes: "It did take effect"
            }[tookEffect]
          )
          // What only reads changes nothing.
          assert.deepStrictEqual(
            outcome(yield* run({ effects, instead: "read", work })),
            ["ToolFailure", "no"],
            effects
          )
          // An effect may do what its tool may.
          const effect = yield* run({ effects, work })
          assert.deepStrictEqual(outcome(effect), ["ToolFailure", effects === "read" ? "no" : tookEffect], effects)
        }
      })
    )
  }

  it.effect("answers what only the other tool understands has taken effect", () =>
    Effect.gen(function* () {
      class Second extends Tool.Service<Second>()("second", {
        ...options,
        effects: "write",
        output: Schema.Struct({ got: Schema.Number })
      }) {}
      class First extends Tool.Service<First>()("first", {
        ...options,
        effects: "read",
        output: Schema.Struct({ got: Schema.Number.pipe(Schema.lessThan(10)) }),
        policy: { retry: false, fallback: { tool: Second } }
      }) {}
      const batch = yield* ToolRunner.run(Toolbox.make(First), [{ id: "c1", name: "first", input: {} }]).pipe(
        Effect.provide([First.layer(() => refusing), Second.layer(() => Effect.succeed({ got: 10 })), ToolRunner.layer])
      )
      assert.deepStrictEqual(outcome(batch), ["ToolFailure", "yes"])
    })
  )

  it.effect("runs when the batch is interrupted has maybe changed something, though its call only reads", () =>
    Effect.gen(function* () {
      for (const [instead, tookEffect] of [
        ["write", "maybe"],
        ["read", "no"]
      ] as const) {
        let told: unknown
        const running = yield* make({ effects: "read", instead, work: Effect.never })
          .run({ onInterrupt: (batch) => Effect.sync(() => void (told = outcome(batch))) })
          .pipe(Effect.fork)
        yield* TestClock.adjust("500 millis")
        yield* Fiber.interrupt(running)
        assert.deepStrictEqual(told, ["OutcomeUnknown", tookEffect])
      }
    })
  )
})
