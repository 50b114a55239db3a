/** A journal that fails while a batch runs: what is executed, what is told, and what the next process knows. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { Report } from "../../src/index.ts"
import type * as FaultyJournal from "../../src/testing/FaultyJournal.ts"
import * as World from "./world.ts"

const { at, call, told } = World

const goOn = { whenFailing: "go on" } as const

/** Where the records of these have to be written. */
const whenWriting =
  (fault: FaultyJournal.Fault, ...about: ReadonlyArray<string>): FaultyJournal.Plan =>
  ({ method, records }) =>
    method === "append" && records.some((record) => about.some((word) => record.includes(`"_tag":"${word}"`)))
      ? fault
      : undefined

const always =
  (fault: FaultyJournal.Fault): FaultyJournal.Plan =>
  () =>
    fault

const calls = [
  call("c1", "look", { n: 1 }),
  call("c2", "put", { n: 2 }),
  call("c3", "pay", { n: 3 }),
  call("c4", "pay", { n: 4, how: "refused" }),
  call("c5", "look", { n: 5, how: "refused" })
]

describe("a journal that cannot be written", () => {
  for (const fault of ["fail", "lose", "tear", "die"] as const) {
    it.scoped(`stops writes, and nothing else (${fault})`, () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const process = world.process({ plan: whenWriting(fault, "Started", "Landed", "AttemptFailed") })
        const batch = yield* process.run(calls)
        assert.deepStrictEqual(told(batch), ["executed", "executed", "NotStarted", "NotStarted", "ToolFailure"])
        assert.deepStrictEqual(
          batch?.failed.map(({ attempts, error, fault }) => [
            error._tag === "NotStarted" && error.reason,
            fault.tookEffect,
            attempts
          ]),
          [
            ["journal", "no", 0],
            ["journal", "no", 0],
            [false, "no", 1]
          ]
        )
        assert.sameMembers(world.executed(), ["look c1", "put c2", "look c5"])
      })
    )

    it.scoped(`stops nothing where it is told to go on (${fault})`, () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const batch = yield* world.process({ plan: always(fault), journal: goOn }).run(calls)
        assert.deepStrictEqual(told(batch), ["executed", "executed", "executed", "ToolFailure", "ToolFailure"])
        assert.strictEqual(world.effects("pay"), 1)
      })
    )
  }

  for (const journal of [undefined, goOn]) {
    it.scoped(`loses no result that is in hand (${journal?.whenFailing ?? "stop before writes"})`, () =>
      Effect.gen(function* () {
        for (const fault of ["fail", "lose", "tear", "die"] as const) {
          const world = yield* World.make
          const process = world.process({ plan: whenWriting(fault, "Landed", "AttemptFailed"), journal })
          const batch = yield* process.run(calls)
          assert.deepStrictEqual(told(batch), ["executed", "executed", "executed", "ToolFailure", "ToolFailure"])
          assert.strictEqual(world.effects("pay"), 1)
          // The next one knows that they were begun, and pays nothing again.
          yield* world.process().run(calls)
          assert.strictEqual(world.effects("pay"), 1)
        }
      })
    )
  }

  it.scoped("is told of once for each group of records", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const process = world.process({ plan: always("fail"), journal: goOn })
      const many = Array.from({ length: 20 }, (_, n) => call(`c${n}`, "look", { n }))
      assert.strictEqual((yield* process.run(many))?.succeeded.length, 20)
      // Opening it, then again for all intents together, and for all results, which land one after the other.
      const about = process.warnings.filter((warning) => warning.startsWith("The journal failed: "))
      assert.lengthOf(about, process.warnings.length)
      assert.isAtLeast(about.length, 3)
      assert.isAtMost(about.length, 5)
    })
  )

  it.scoped("holds no call up for longer than its timeout, and is not waited for where nothing is written", () =>
    Effect.gen(function* () {
      for (const fault of ["hang", "deaf"] as const) {
        const world = yield* World.make
        const process = world.process({ plan: always(fault), journal: { ...goOn, timeout: "2 seconds" } })
        const running = yield* Effect.fork(process.run(calls.slice(0, 3)))
        // Opening, the intents, the results.
        yield* TestClock.adjust("6 seconds")
        const batch = yield* Fiber.join(running)
        assert.deepStrictEqual(told(batch), ["executed", "executed", "executed"])
        assert.isAtMost(Duration.toSeconds(batch?.duration ?? 0), 6)
      }
    })
  )

  it.scoped("that is slow makes everything slow, and nothing wrong", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const running = yield* Effect.fork(world.process({ plan: always({ delay: "900 millis" }) }).run(calls))
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(told(yield* Fiber.join(running)), [
        "executed",
        "executed",
        "executed",
        "ToolFailure",
        "ToolFailure"
      ])
      assert.deepStrictEqual(told(yield* world.process().run(calls)), [
        "journal",
        "journal",
        "journal",
        "ToolFailure",
        "ToolFailure"
      ])
      assert.lengthOf(world.executed(2), 0)
    })
  )

  it.scoped("and was torn, is gone on with by the next process", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      yield* world.process({ plan: whenWriting("tear", "Landed") }).run(calls)
      yield* world.process().run(calls)
      // All but the last was whole.
      assert.includeMembers(["look c5", "pay c4"], world.executed(2))
      assert.notInclude(told(yield* world.process().run(calls)) ?? [], "executed")
      assert.deepStrictEqual(world.executed(3), [])
    })
  )
})

describe("a journal that comes back", () => {
  it.scoped("takes what could not be written before", () =>
    Effect.gen(function* () {
      for (const fault of ["fail", "lose", "tear"] as const) {
        const world = yield* World.make
        // The result of c1 is lost, and its reader goes on to pay.
        let failed = 0
        const plan: FaultyJournal.Plan = (operation) =>
          failed === 0 && whenWriting(fault, "Landed")(operation) !== undefined && ++failed === 1 ? fault : undefined
        const chain = [call("c1", "look", { n: 1 }), call("c2", "pay", { n: { $ref: "#1/got" } })]
        yield* world.process({ plan, crash: at("in pay c2") }).run(chain)
        assert.strictEqual(failed, 1)
        const batch = yield* world.process({ handlers: { look: () => Effect.dieMessage("it has changed") } }).run(chain)
        assert.deepStrictEqual(told(batch), ["journal", "OutcomeUnknown"], fault)
        assert.deepStrictEqual(world.executed(2), [], fault)
      }
    })
  )

  it.scoped("lets a write be tried again that was stopped between two attempts", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      let intents = 0
      const plan: FaultyJournal.Plan = (operation) =>
        whenWriting("fail", "Started")(operation) !== undefined && ++intents === 2 ? "fail" : undefined
      const batch = yield* world.process({ plan }).run([call("c1", "pay", { n: 1, how: "flaky" })])
      assert.deepStrictEqual(told(batch), ["executed"])
      assert.strictEqual(world.effects("pay"), 1)
    })
  )

  it.scoped("does not hold against a write what it was stopped by", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const plan = whenWriting("fail", "Started")
      assert.deepStrictEqual(told(yield* world.process({ plan }).run([call("c1", "pay", { n: 1 })])), ["NotStarted"])
      assert.deepStrictEqual(told(yield* world.process().run([call("c1", "pay", { n: 1 })])), ["executed"])
    })
  )
})

describe("a journal that cannot be read", () => {
  const unread: FaultyJournal.Plan = ({ index, method }) => (method === "open" && index === 0 ? "fail" : undefined)

  it.scoped("stops writes, as nobody knows whether they were executed before", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      yield* world.process().run(calls)
      const process = world.process({ plan: unread })
      const batch = yield* process.run(calls)
      assert.deepStrictEqual(told(batch), ["executed", "executed", "OutcomeUnknown", "OutcomeUnknown", "ToolFailure"])
      assert.strictEqual(world.effects("pay"), 1)
      // It was paid before: nobody may be told that it was not.
      for (const { attempts, error, fault } of batch?.failed.slice(0, 2) ?? []) {
        assert.deepStrictEqual(
          [error._tag === "OutcomeUnknown" && error.reason, fault.tookEffect, attempts],
          ["journal", "maybe", 0]
        )
      }
      const words = batch === undefined ? [] : Report.toolResults(batch).map(({ content }) => JSON.stringify(content))
      for (const text of words.slice(2, 4)) {
        assert.include(text, "Not executed: whether this call was made before cannot be looked up at the moment.")
        assert.include(text, "It may have taken effect: find out before you call it again.")
      }
      // It can be read again.
      assert.deepStrictEqual(told(yield* world.process().run(calls)), [
        "journal",
        "journal",
        "journal",
        "ToolFailure",
        "ToolFailure"
      ])
    })
  )

  it.scoped("is gone on with where it is told to, and is right from then on", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const batch = yield* world.process({ plan: unread, journal: goOn }).run(calls.slice(0, 3))
      assert.deepStrictEqual(told(batch), ["executed", "executed", "executed"])
      assert.deepStrictEqual(told(yield* world.process().run(calls.slice(0, 3))), ["journal", "journal", "journal"])
    })
  )
})

describe("records that nobody can trust", () => {
  /** Puts these lines into the log of the batch. */
  const written = (world: World.World, ...lines: ReadonlyArray<string>) =>
    Effect.scoped(Effect.flatMap(world.store.open("batch/batch"), ({ append }) => Effect.orDie(append(lines))))

  const landed = { tool: "pay", callId: "c1", attempts: 1, source: "executed" }

  it.scoped("answer nothing, and stop nothing", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const other = yield* World.make
      yield* other.process().run([call("c1", "pay", { n: 1 })])
      const [key = ""] = other.keys("c1")
      const record = {
        _tag: "Landed",
        key,
        input: '{"n":1}',
        ...landed,
        outcome: { _tag: "Success", encoded: { got: 1 } }
      }
      const line = (fields: object) => JSON.stringify({ salvo: 1, log: "batch/batch", record, ...fields })
      const hostile = [
        "",
        "{",
        "null",
        "not JSON",
        line({}).slice(0, -1),
        line({ salvo: 0 }),
        line({ salvo: 2 }),
        line({ log: "batch/another" }),
        line({ record: { ...record, _tag: "Unheard of" } }),
        line({ record: { ...record, attempts: -1 } }),
        line({ record: { ...record, outcome: { _tag: "Success", encoded: { got: 1 } }, key: 5 } })
      ]
      for (const one of hostile) {
        yield* written(world, one)
      }
      const process = world.process()
      assert.deepStrictEqual(told(yield* process.run([call("c1", "pay", { n: 1 })])), ["executed"])
      assert.deepStrictEqual(process.warnings, [`The journal holds ${hostile.length} records that cannot be trusted`])
      // Whole, it would have been the answer.
      const fresh = yield* World.make
      yield* written(fresh, line({}))
      assert.deepStrictEqual(told(yield* fresh.process().run([call("c1", "pay", { n: 1 })])), ["journal"])
    })
  )

  it.scoped("that hold what the tool does not answer with any more count as begun", () =>
    Effect.gen(function* () {
      for (const [tool, expected] of [
        ["pay", "OutcomeUnknown"],
        ["put", "executed"],
        ["send", "executed"]
      ] as const) {
        for (const outcome of [
          { _tag: "Success", encoded: { gotten: 1 } },
          { _tag: "Success" },
          {
            _tag: "Failure",
            error: { _tag: "ToolFailure", failure: { _tag: "Old" } },
            fault: { owner: "tool", transient: false, tookEffect: "no" }
          }
        ]) {
          const other = yield* World.make
          yield* other.process().run([call("c1", tool, { n: 1 })])
          const [key = ""] = other.keys("c1")
          const world = yield* World.make
          const record = { _tag: "Landed", ...landed, tool, key, input: '{"n":1}', outcome }
          yield* written(world, JSON.stringify({ salvo: 1, log: "batch/batch", record }))
          assert.deepStrictEqual(told(yield* world.process().run([call("c1", tool, { n: 1 })])), [expected])
        }
      }
    })
  )
})

describe("a batch that is interrupted while a result is recorded", () => {
  it.scoped("keeps it, for the caller and for the next", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      let interrupted: World.Batch | undefined
      const running = yield* Effect.fork(
        world.process({ plan: whenWriting({ delay: "500 millis" }, "Landed") }).runHere([call("c1", "pay", { n: 1 })], {
          onInterrupt: (batch) => Effect.sync(() => void (interrupted = batch))
        })
      )
      yield* TestClock.adjust("100 millis")
      const ending = yield* Effect.fork(Fiber.interrupt(running))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(ending)
      assert.deepStrictEqual(told(interrupted), ["executed"])
      assert.deepStrictEqual(told(yield* world.process().run([call("c1", "pay", { n: 1 })])), ["journal"])
    })
  )
})
