/** An agent that is cut off anywhere in a conversation, and resumed. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import type { Agent } from "../../src/index.ts"
import type * as FaultyJournal from "../../src/testing/FaultyJournal.ts"
import * as AgentWorld from "./agent-world.ts"

const { ask, assertAccepted, results, roles } = AgentWorld

const script: AgentWorld.Script = [
  { asks: [ask("look", 1), ask("look", 2), ask("pay", 3), ask("pay", 5, "flaky")] },
  { asks: [ask("send", 6), ask("pay", { $ref: "#1/got" }), ask("look", 7)] },
  { asks: [] }
]

const writes = [
  ["pay", 3],
  ["pay", 5],
  ["pay", 6],
  ["send", 6]
] as const

type World = Effect.Effect.Success<ReturnType<typeof AgentWorld.make>>

interface Ran {
  readonly world: World
  /** Those that were cut off. */
  readonly processes: ReadonlyArray<{ readonly points: ReadonlyArray<string> }>
  readonly ended: Agent.AgentResult | undefined
  readonly story: string
}

/** What holds of a conversation that ended, however often its process was cut off, and its journal failed. */
const assertHolds = ({ ended, story, world }: Ran) => {
  assert(ended !== undefined, story)
  assert.deepStrictEqual([ended.stop, ended.answer], ["end_turn", "Done."], story)
  assert.strictEqual(roles(ended.messages), "user assistant user assistant user assistant", story)
  assertAccepted([...ended.messages, { role: "user", content: "And now?" }], story)
  const told = results(ended.messages)
  assert.lengthOf(told, 7, story)
  const effects = writes.map(
    ([tool, n]) => world.ledger.filter((entry) => entry.what === "done" && entry.tool === tool && entry.n === n).length
  )
  assert.isAtMost(Math.max(...effects), 1, story)
  // What was told to have succeeded did, and `send` can find out.
  const begin = (words: string) => told.filter((content) => String(content).startsWith(words)).length
  const done = effects.reduce((sum, n) => sum + n, 0)
  // `pay` fails at first, and the journal may have stopped it there.
  const undone = begin("Not executed") + begin("Failed")
  assert.isAtLeast(done, 4 - begin("Outcome unknown") - undone, story)
  assert.isAtMost(done, 4 - undone, story)
  assert.isFalse(String(told[4]).startsWith("Outcome unknown"), story)
}

/** Of what was finished in a process nothing is executed in a later one, under whatever id. */
const assertPaidOnce = ({ processes, story, world }: Ran) => {
  for (const [i, { points }] of processes.entries()) {
    for (const point of points) {
      const [, tool, id] = /^after Landed (\w+) (.*)$/.exec(point) ?? []
      const done = world.ledger.find((entry) => entry.tool === tool && entry.id === id)
      const again = world.ledger.filter(
        (entry) => entry.process > i + 1 && entry.what === "begun" && entry.tool === tool && entry.n === done?.n
      )
      assert.deepStrictEqual(again, [], `${tool} ${id} ${story}`)
    }
  }
}

/** Cuts the processes off at these points, one after the other, and lets the last one come to the end. */
const cutAt = (cuts: ReadonlyArray<number>, options: AgentWorld.Options = {}) =>
  Effect.gen(function* () {
    const world = yield* AgentWorld.make(script)
    const processes = []
    for (const cut of cuts) {
      const process = world.process({ ...options, crash: (_, i) => i === cut })
      processes.push(process)
      if ((yield* process.goOn) !== undefined) break
    }
    const story = processes.map(({ points }) => `cut off at ${points.length - 1}, ${points.at(-1)}`).join("; ")
    const ended = yield* world.process({ ...options, plan: undefined }).goOn
    const ran: Ran = { world, processes, ended, story }
    assertHolds(ran)
    return ran
  })

/** The end is given again, and costs nothing. */
const assertIsOver = ({ ended, story, world }: Ran) =>
  Effect.gen(function* () {
    const [asked, executions] = [world.asked(), world.ledger.length]
    const again = yield* world.process().goOn
    assert.deepStrictEqual(again, ended === undefined ? undefined : { ...ended, exchanges: [] }, story)
    assert.deepStrictEqual([world.asked(), world.ledger.length], [asked, executions], story)
  })

describe("an agent that is cut off", () => {
  it.effect(
    "at every single point of a conversation comes to its end, pays nothing twice and answers everything",
    () =>
      Effect.gen(function* () {
        let last = 0
        for (let cut = 0; cut <= last; cut++) {
          const ran = yield* Effect.scoped(Effect.tap(cutAt([cut]), assertIsOver))
          assertPaidOnce(ran)
          last = ran.processes[0]?.points.length ?? 0
        }
        assert.isAbove(last, 80)
      }),
    120_000
  )

  const { constantFrom, integer } = FastCheck
  const cuts = FastCheck.array(integer({ min: 0, max: 90 }), { minLength: 1, maxLength: 3 })
  const ids = constantFrom("unique" as const, "positional" as const)
  const options = { timeout: 120_000, fastCheck: { numRuns: Number(process.env["SALVO_RUNS"] ?? 20) } }

  it.effect.prop(
    "again and again does so, too, however the model names its calls",
    { cuts, ids },
    ({ cuts, ids }) => Effect.scoped(Effect.map(Effect.tap(cutAt(cuts, { ids }), assertIsOver), assertPaidOnce)),
    options
  )

  it.effect.prop(
    "while its journal fails now and then keeps a history that the API takes, and pays nothing twice",
    {
      cuts,
      ids,
      faults: FastCheck.array(constantFrom(undefined, undefined, undefined, undefined, "fail", "lose", "tear", "die"), {
        minLength: 40,
        maxLength: 40
      })
    },
    ({ cuts, faults, ids }) =>
      Effect.scoped(
        Effect.asVoid(
          cutAt(cuts, {
            ids,
            plan: ({ index, method }) =>
              method === "append" ? (faults[index % faults.length] as FaultyJournal.Fault | undefined) : undefined
          })
        )
      ),
    options
  )
})
