/** Batches that are cut off everywhere. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import type { ToolCall } from "../../src/index.ts"
import type * as FaultyJournal from "../../src/testing/FaultyJournal.ts"
import { assertHolds } from "./holds.ts"
import * as World from "./world.ts"

const { call, mixed, told } = World

/** Runs the calls in processes that are cut off at these points, one after the other, and then to the end. */
const run = (calls: ReadonlyArray<ToolCall.ToolCall>, cuts: ReadonlyArray<number>, given: World.Setup = {}) =>
  Effect.gen(function* () {
    const world = yield* World.make
    const setup = { ...given, changes: true }
    const processes: Array<World.Process> = []
    for (const cut of cuts) {
      const process = world.process({ ...setup, crash: (_, i) => i === cut })
      processes.push(process)
      if ((yield* process.run(calls)) !== undefined) break
    }
    const batch = yield* world.process({ ...setup, plan: undefined }).run(calls)
    const story = processes.map(({ points }) => `cut off at ${points.length - 1}, ${points.at(-1)}`).join("; ")
    const finished = processes.map(({ points }) =>
      points.flatMap((name) => /^after Landed (.*)$/.exec(name)?.slice(1) ?? [])
    )
    assertHolds({ calls, entries: world.ledger, finished, batch, isFaulty: given.plan !== undefined }, story)
    return { world, processes, batch, story }
  })

/** Nothing is left to do for one more process, which gives the same. */
const assertIsOver = (calls: ReadonlyArray<ToolCall.ToolCall>, ran: Effect.Effect.Success<ReturnType<typeof run>>) =>
  Effect.gen(function* () {
    const { batch, story, world } = ran
    const executions = world.ledger.length
    const again = yield* world.process({ reconcile: () => Effect.dieMessage("it is known") }).run(calls)
    assert.deepStrictEqual(
      again?.results.map((result) => (result._tag === "Success" ? result.output : result.error)),
      batch?.results.map((result) => (result._tag === "Success" ? result.output : result.error)),
      story
    )
    assert.notInclude(told(again) ?? [], "executed", story)
    assert.strictEqual(world.ledger.length, executions, story)
  })

describe("a batch that is cut off", () => {
  it.effect(
    "at every single point pays nothing twice and answers everything",
    () =>
      Effect.gen(function* () {
        let last = 0
        for (let cut = 0; cut <= last; cut++) {
          const { processes } = yield* Effect.scoped(run(mixed, [cut]))
          last = processes[0]?.points.length ?? 0
        }
        assert.isAbove(last, 60)
      }),
    120_000
  )

  const { constant, constantFrom, integer, oneof, record } = FastCheck
  const how = constantFrom(undefined, undefined, undefined, "refused", "unsure", "flaky")
  const planned = record({
    name: constantFrom("look", "look", "put", "pay", "pay", "send", "book", "order"),
    n: integer({ min: 1, max: 3 }),
    how,
    reference: oneof(
      { weight: 3, arbitrary: constant(undefined) },
      { weight: 1, arbitrary: integer({ min: 1, max: 8 }) }
    ),
    needs: FastCheck.array(integer({ min: 1, max: 8 }), { maxLength: 2 })
  })

  /** Each call needs only some of those before it. */
  const callsOf = (plans: ReadonlyArray<typeof planned extends FastCheck.Arbitrary<infer A> ? A : never>) =>
    plans.map(({ how, n, name, needs, reference }, i) => {
      const before = (position: number) => ((position - 1) % i) + 1
      const target = reference === undefined || i === 0 ? n : { $ref: `#${before(reference)}/got` }
      const dependsOn = i === 0 ? [] : needs.map((need) => `c${before(need)}`)
      return call(`c${i + 1}`, name as "look", { n: target, ...(how === undefined ? {} : { how }) }, dependsOn)
    })

  const plans = FastCheck.array(planned, { minLength: 1, maxLength: 8 })
  const cuts = FastCheck.array(integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 3 })
  const options = { timeout: 120_000, fastCheck: { numRuns: Number(process.env["SALVO_RUNS"] ?? 60) } }

  const assertThat = (calls: ReadonlyArray<ToolCall.ToolCall>, cuts: ReadonlyArray<number>, setup: World.Setup) =>
    Effect.scoped(Effect.flatMap(run(calls, cuts, setup), (ran) => assertIsOver(calls, ran)))

  it.effect.prop(
    "anywhere, once or twice or three times, whatever its calls are, pays nothing twice and answers everything",
    { plans, cuts, whenFailing: constantFrom("stop before writes" as const, "go on" as const) },
    ({ cuts, plans, whenFailing }) => assertThat(callsOf(plans), cuts, { journal: { whenFailing } }),
    options
  )

  it.effect.prop(
    "while its journal fails now and then, too, pays nothing twice",
    {
      plans,
      cuts,
      faults: FastCheck.array(constantFrom(undefined, undefined, undefined, "fail", "lose", "tear", "die"), {
        minLength: 30,
        maxLength: 30
      })
    },
    ({ cuts, faults, plans }) =>
      assertThat(callsOf(plans), cuts, {
        plan: ({ index, method }) =>
          method === "append" ? (faults[index % faults.length] as FaultyJournal.Fault) : undefined
      }),
    options
  )
})
