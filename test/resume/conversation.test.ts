/** What the log of a conversation is good for: resuming it, going on with it, and what a journal that fails does to it. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import type { Agent } from "../../src/index.ts"
import type * as FaultyJournal from "../../src/testing/FaultyJournal.ts"
import * as AgentWorld from "./agent-world.ts"
import { at } from "./world.ts"

const { ask, assertAccepted, results, roles } = AgentWorld

const right = (ended: Either.Either<Agent.AgentResult, unknown> | undefined): Agent.AgentResult => {
  assert(ended !== undefined && Either.isRight(ended), JSON.stringify(ended))
  return ended.right
}

const left = (ended: Either.Either<Agent.AgentResult, unknown> | undefined) => {
  assert(ended !== undefined && Either.isLeft(ended))
  return ended.left
}

/** Where records of this kind are written. */
const whenWriting = (tag: string, which: (n: number) => boolean = () => true): FaultyJournal.Plan => {
  let n = 0
  return ({ method, records }) =>
    method === "append" && records.some((record) => record.includes(`"_tag":"${tag}"`)) && which(++n)
      ? "fail"
      : undefined
}

const script = [{ asks: [ask("look", 1), ask("pay", 2)] }, { asks: [] }]

describe("a conversation that is resumed", () => {
  it.scoped("is not told twice what a read found out that had started early", () =>
    Effect.gen(function* () {
      const world = yield* AgentWorld.make(script)
      yield* world.process({ crash: at("TurnCompleted in turn 0") }).run()
      assert.deepStrictEqual(world.executed(), ["look toolu_0_0"])
      const { messages } = right(yield* world.process().resume)
      assert.deepStrictEqual(world.executed(2), ["pay toolu_1_1"])
      assert.deepStrictEqual(results(messages), ['{"got":1}', '{"got":2}'])
      // The model was asked again, and named its calls anew.
      assert.strictEqual(world.asked(), 3)
    })
  )

  it.scoped("answers the turn that was open, without asking the model for it", () =>
    Effect.gen(function* () {
      const world = yield* AgentWorld.make(script)
      yield* world.process({ crash: at("in pay toolu_0_1") }).run()
      const { exchanges, messages, usage } = right(yield* world.process().resume)
      assert.strictEqual(world.asked(), 2)
      assert.deepStrictEqual(
        exchanges.map(({ batch }) => batch?.results.map(({ _tag }) => _tag)),
        [["Success", "Failure"], undefined]
      )
      assert.match(String(results(messages)[1]), /^Outcome unknown/)
      assert.deepStrictEqual(usage, { inputTokens: 20, outputTokens: 10 })
    })
  )

  it.scoped("gives its end again where it had one, and asks nobody", () =>
    Effect.gen(function* () {
      const world = yield* AgentWorld.make(script)
      const ended = yield* world.process().run()
      assert(ended !== undefined)
      assert.deepStrictEqual(right(yield* world.process().resume), { ...ended, exchanges: [] })
      assert.strictEqual(world.asked(), 2)
    })
  )

  const ends: ReadonlyArray<[stopReason: string, stop: Agent.Stop, roles: string]> = [
    ["end_turn", "end_turn", "user assistant"],
    ["max_tokens", "max_tokens", "user assistant"],
    ["refusal", "refusal", "user"],
    ["model_context_window_exceeded", "context_window", "user"],
    ["tea_time", "incomplete", "user"]
  ]
  for (const [stopReason, stop, said] of ends) {
    it.scoped(`gives its end again, or comes to it, wherever it is cut off: ${stop}`, () =>
      Effect.gen(function* () {
        const one = [{ asks: [], stopReason }]
        const whole = yield* AgentWorld.make(one)
        const { points } = yield* Effect.tap(Effect.succeed(whole.process()), (process) => process.run())
        for (let cut = 0; cut < points.length; cut++) {
          const world = yield* AgentWorld.make(one)
          yield* world.process({ crash: (_, i) => i === cut }).run()
          const ended = yield* world.process().goOn
          assert.deepStrictEqual([ended?.stop, roles(ended?.messages ?? [])], [stop, said], points[cut])
          const again = right(yield* world.process().resume)
          assert.deepStrictEqual(again.messages, ended?.messages)
        }
      })
    )
  }

  it.scoped("is unknown where nothing was begun, and unreadable where nobody can tell", () =>
    Effect.gen(function* () {
      const world = yield* AgentWorld.make(script)
      const resumed = (plan?: FaultyJournal.Plan) => Effect.map(world.process({ plan }).resume, left)
      assert.deepInclude(yield* resumed(), { _tag: "NoSuchConversation", id: "conversation", reason: "unknown" })
      yield* world.process().run()
      assert.deepInclude(yield* resumed(() => "fail"), { _tag: "NoSuchConversation", reason: "unreadable" })
      assert.strictEqual(right(yield* world.process().resume).stop, "end_turn")
    })
  )

  it.scoped("lets go of what its batches found out once that stands in the messages", () =>
    Effect.gen(function* () {
      const world = yield* AgentWorld.make(script)
      const process = world.process()
      yield* process.run()
      const touched = process.points.filter((point) => /^(after opening|after removing) batch/.test(point))
      assert.includeMembers(touched, ["after opening batch/conversation/1", "after removing batch/conversation/1"])
      const left = yield* Effect.scoped(world.store.open("batch/conversation/1"))
      assert.deepStrictEqual(left.records, [])
    })
  )

  it.scoped("is bounded with what was done before: turns and tokens", () =>
    Effect.gen(function* () {
      const long = Array.from({ length: 5 }, (_, n) => ({ asks: [ask("pay", n)] }))
      for (const [agent, stop] of [
        [{ maxTurns: 2 }, "out_of_turns"],
        [{ tokenBudget: 30 }, "out_of_tokens"]
      ] as const) {
        for (const cut of ["after TurnReceived", "after pay toolu_0_0", "before removing batch/conversation/1"]) {
          const world = yield* AgentWorld.make(long)
          yield* world.process({ agent, crash: at(cut) }).run()
          const ended = right(yield* world.process({ agent }).resume)
          assert.deepStrictEqual([ended.stop, world.asked()], [stop, 2], cut)
          assert.deepStrictEqual(ended.usage, { inputTokens: 20, outputTokens: 10 })
        }
      }
    })
  )

  it.scoped("and had run out of something goes on with more of it", () =>
    Effect.gen(function* () {
      const world = yield* AgentWorld.make(script)
      assert.strictEqual((yield* world.process({ agent: { maxTurns: 1 } }).run())?.stop, "out_of_turns")
      assert.strictEqual(right(yield* world.process({ agent: { maxTurns: 1 } }).resume).stop, "out_of_turns")
      const ended = right(yield* world.process({ agent: { maxTurns: 2 } }).resume)
      assert.deepStrictEqual([ended.stop, world.asked()], ["end_turn", 2])
    })
  )
})

describe("a prompt for a conversation that is known", () => {
  it.scoped("goes on with it, and has turns and tokens of its own", () =>
    Effect.gen(function* () {
      const world = yield* AgentWorld.make([...script, { asks: [ask("look", 3)] }, { asks: [] }])
      const agent = { maxTurns: 2, tokenBudget: 40 }
      yield* world.process({ agent }).run("One.")
      const second = yield* world.process({ agent }).run("Two.")
      assert(second !== undefined)
      assert.strictEqual(second.stop, "end_turn")
      assert.strictEqual(roles(second.messages), "user assistant user assistant user assistant user assistant")
      assert.deepStrictEqual(second.usage, { inputTokens: 20, outputTokens: 10 })
      assert.deepStrictEqual(right(yield* world.process().resume), { ...second, exchanges: [] })
    })
  )

  it.scoped("comes after the answers to the turn that was open", () =>
    Effect.gen(function* () {
      const world = yield* AgentWorld.make(script)
      yield* world.process({ crash: at("before Started pay toolu_0_1") }).run("One.")
      const ended = yield* world.process().run("Two.")
      assert.strictEqual(roles(ended?.messages ?? []), "user assistant user user assistant")
      assert.deepStrictEqual(ended?.messages[3]?.content, "Two.")
      assertAccepted([...(ended?.messages ?? []), { role: "user", content: "And now?" }])
      assert.strictEqual(world.effects("pay"), 1)
      assert.deepStrictEqual(ended?.usage, { inputTokens: 10, outputTokens: 5 })
    })
  )

  it.scoped("is bounded after a crash by its own turns", () =>
    Effect.gen(function* () {
      const world = yield* AgentWorld.make([...script, { asks: [ask("pay", 3)] }, { asks: [] }])
      const agent = { maxTurns: 2 }
      yield* world.process({ agent }).run("One.")
      yield* world.process({ agent, crash: at("in pay toolu_2_0") }).run("Two.")
      const ended = right(yield* world.process({ agent }).resume)
      assert.deepStrictEqual([ended.stop, ended.usage], ["end_turn", { inputTokens: 20, outputTokens: 10 }])
    })
  )

  it.scoped("that could not be read is not mixed up with what was before", () =>
    Effect.gen(function* () {
      const world = yield* AgentWorld.make(script)
      yield* world.process().run("One.")
      yield* TestClock.adjust("1 hour")
      const process = world.process({
        plan: ({ index, method }) => (method === "open" && index === 0 ? "fail" : undefined)
      })
      const ended = yield* process.run("Two.")
      assert.strictEqual(roles(ended?.messages ?? []), "user assistant user assistant")
      // Both are there, and no call of one is taken for one of the other.
      assert.strictEqual(world.effects("pay"), 2)
      const resumed = right(yield* world.process().resume)
      assert.deepStrictEqual(
        resumed.messages.filter(({ content }) => typeof content === "string").map(({ content }) => content),
        ["One.", "Two."]
      )
      assertAccepted([...resumed.messages, { role: "user", content: "And now?" }])
    })
  )
})

describe("a conversation whose journal fails", () => {
  it.scoped("pays nothing in a turn that is not written down", () =>
    Effect.gen(function* () {
      for (const [whenFailing, payments] of [
        ["stop before writes", 0],
        ["go on", 1]
      ] as const) {
        const world = yield* AgentWorld.make(script)
        const ended = yield* world.process({ plan: whenWriting("TurnReceived"), journal: { whenFailing } }).run()
        assert.deepStrictEqual([world.effects("look"), world.effects("pay")], [1, payments])
        assert.strictEqual(ended?.stop, "end_turn")
      }
    })
  )

  it.scoped("writes the turn down after all before it pays", () =>
    Effect.gen(function* () {
      const world = yield* AgentWorld.make(script)
      const plan = whenWriting("TurnReceived", (n) => n === 1)
      yield* world.process({ plan, crash: at("after pay toolu_0_1") }).run()
      const { messages } = right(yield* world.process().resume)
      assert.strictEqual(world.asked(), 2)
      assert.match(String(results(messages)[1]), /^Outcome unknown/)
      assert.strictEqual(world.effects("pay"), 1)
    })
  )

  it.scoped("keeps its history whole, and its batches their names, where messages were missed", () =>
    Effect.gen(function* () {
      const long = [{ asks: [ask("pay", 1)] }, { asks: [ask("pay", 2)] }, { asks: [] }]
      for (const missed of [1, 2]) {
        const world = yield* AgentWorld.make(long)
        const plan = whenWriting("Said", (n) => n === missed)
        yield* world.process({ plan, crash: at("after pay toolu_1_0") }).run()
        const { messages } = right(yield* world.process().resume)
        assert.strictEqual(roles(messages), "user assistant user assistant user assistant", `${missed}`)
        assert.match(String(results(messages)[1]), /^Outcome unknown/)
        assert.strictEqual(world.effects("pay"), 2)
      }
    })
  )

  it.scoped("tells nothing twice that was written though it seemed not to be", () =>
    Effect.gen(function* () {
      const world = yield* AgentWorld.make(script)
      const plan: FaultyJournal.Plan = ({ index, log, method }) =>
        method === "append" && log.startsWith("conversation") && index % 2 === 0 ? "lose" : undefined
      const ended = yield* world.process({ plan }).run()
      const resumed = right(yield* world.process().resume)
      assert.deepStrictEqual(resumed.messages, ended?.messages)
    })
  )
})

describe("a conversation that is interrupted", () => {
  it.scoped("has told the model so, and runs nothing that was stopped when it is resumed", () =>
    Effect.gen(function* () {
      const world = yield* AgentWorld.make([{ asks: [ask("pay", 1), ask("book", 2), ask("book", 4)] }, { asks: [] }])
      const process = world.process({ handlers: { pay: () => Effect.never, book: () => Effect.never } })
      const running = yield* Effect.fork(process.runHere())
      yield* TestClock.adjust("1 second")
      const ending = yield* Effect.fork(Fiber.interrupt(running))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(ending)
      const { messages } = right(yield* world.process().resume)
      assert.deepStrictEqual(
        results(messages).map((content) => /^[\w ]+/.exec(String(content))?.[0]),
        ["Outcome unknown", "Outcome unknown", "Not executed"]
      )
      assert.deepStrictEqual(world.executed(2), [])
    })
  )
})
