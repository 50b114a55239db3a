/** Calls that were running when the process died, or that waited to be tried again. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { Report } from "../../src/index.ts"
import * as World from "./world.ts"

const { at, call, cutAndResumed, told } = World

/** Every moment from the intent to the record. */
const moments = (tool: string) =>
  [
    ["after the intent", `after Started ${tool} c1`],
    ["as it begins", `before ${tool} c1`],
    ["in the middle", `in ${tool} c1`],
    ["when it has taken effect", `after ${tool} c1`],
    ["before its result is recorded", `before Landed ${tool} c1`],
    ["in the middle of the record", `half of Landed ${tool} c1`]
  ] as const

describe("a call whose process died before its intent was recorded", () => {
  for (const [tool, crash] of (["look", "put", "pay", "send"] as const).flatMap((tool) => [
    [tool, `before Started ${tool} c1`] as const,
    [tool, `half of Started ${tool} c1`] as const
  ])) {
    it.scoped(`is run (${crash})`, () =>
      Effect.gen(function* () {
        const { batch, effects, executed, told } = yield* cutAndResumed([call("c1", tool, { n: 1 })], at(crash))
        assert.deepStrictEqual(told, ["executed"])
        assert.deepStrictEqual(executed(), [`${tool} c1`])
        assert.strictEqual(effects(tool), 1)
        assert.strictEqual(batch.results[0]?.attempts, 1)
      })
    )
  }
})

describe("a call that was running", () => {
  for (const tool of ["look", "put"] as const) {
    for (const [when, crash] of moments(tool)) {
      it.scoped(`is run again under the same key: ${tool}, cut off ${when}`, () =>
        Effect.gen(function* () {
          const { batch, executed, keys, ledger, told } = yield* cutAndResumed([call("c1", tool, { n: 1 })], at(crash))
          assert.deepStrictEqual(told, ["executed"])
          assert.deepStrictEqual(executed(2), [`${tool} c1`])
          assert.strictEqual(keys("c1").size, 1)
          assert.deepStrictEqual(batch.succeeded[0]?.output, { got: 1 })
          // It was begun before, so far as anybody knows.
          assert.deepStrictEqual([ledger.at(-1)?.attempt, batch.results[0]?.attempts], [2, 2])
        })
      )
    }
  }

  for (const [when, crash] of moments("pay")) {
    it.scoped(`is not run again if it is a write, and the model is told so: cut off ${when}`, () =>
      Effect.gen(function* () {
        const { batch, effects, executed, told } = yield* cutAndResumed([call("c1", "pay", { n: 1 })], at(crash))
        assert.deepStrictEqual(told, ["OutcomeUnknown"])
        assert.strictEqual(batch.failed[0]?.fault.tookEffect, "maybe")
        assert.deepStrictEqual(executed(2), [])
        assert.isAtMost(effects("pay"), 1)
        assert.deepStrictEqual(Report.toolResults(batch), [
          {
            type: "tool_result",
            tool_use_id: "c1",
            is_error: true,
            content:
              "Outcome unknown: the turn was interrupted while it was running. It may have taken effect: find out before you call it again."
          }
        ])
      })
    )

    it.scoped(`is asked for if it is a write that can find out: cut off ${when.replace("pay", "send")}`, () =>
      Effect.gen(function* () {
        const crashed = crash.replace("pay", "send")
        const { batch, effects, executed, keys, told } = yield* cutAndResumed(
          [call("c1", "send", { n: 1 })],
          at(crashed)
        )
        const wasDone = ["after send c1", "before Landed send c1", "half of Landed send c1"].includes(crashed)
        assert.deepStrictEqual(told, [wasDone ? "journal" : "executed"])
        assert.deepStrictEqual(executed(2), wasDone ? [] : ["send c1"])
        assert.deepStrictEqual(batch.succeeded[0]?.output, { got: 1 })
        assert.strictEqual(effects("send"), 1)
        assert.strictEqual(keys("c1").size, 1)
      })
    )
  }

  it.scoped("stays unknown until somebody can tell, and is then known for good", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const calls = [call("c1", "send", { n: 1 })]
      yield* world.process({ crash: at("after send c1") }).run(calls)
      const unable = world.process({ reconcile: () => Effect.fail("no line to the bank") })
      assert.deepStrictEqual(told(yield* unable.run(calls)), ["OutcomeUnknown"])
      assert.deepStrictEqual(told(yield* world.process().run(calls)), ["journal"])
      const never = world.process({ reconcile: () => Effect.dieMessage("it is known") })
      assert.deepStrictEqual(told(yield* never.run(calls)), ["journal"])
      assert.strictEqual(world.effects("send"), 1)
    })
  )

  it.scoped("that waits for it is skipped as for any other failure", () =>
    Effect.gen(function* () {
      const calls = [call("c1", "pay", { n: 1 }), call("c2", "put", { n: 2 }, ["c1"]), call("c3", "look", { n: 3 })]
      const { executed, told } = yield* cutAndResumed(calls, at("after pay c1"))
      assert.deepStrictEqual(told, ["OutcomeUnknown", "DependencyFailed", "executed"])
      assert.deepStrictEqual(executed(2), ["look c3"])
    })
  )

  it.scoped("leaves its resource to those after it", () =>
    Effect.gen(function* () {
      const calls = ["c1", "c2", "c3"].map((id) => call(id, "book", { n: 1 }))
      const { executed, told } = yield* cutAndResumed(calls, at("in book c2"))
      assert.deepStrictEqual(told, ["journal", "OutcomeUnknown", "executed"])
      assert.deepStrictEqual(executed(), ["book c1", "book c2", "book c3"])
    })
  )

  it.scoped("and is an identical read runs once for all, again", () =>
    Effect.gen(function* () {
      const calls = ["c1", "c2", "c3"].map((id) => call(id, "look", { n: 1 }))
      const { executed, told } = yield* cutAndResumed(calls, at("in look c1"))
      assert.deepStrictEqual(told, ["executed", "coalesced", "coalesced"])
      assert.deepStrictEqual(executed(), ["look c1", "look c1"])
    })
  )
})

describe("finding out what became of a write", () => {
  const calls = [call("c1", "send", { n: 1 })]
  const cut = at("after send c1")

  it.scoped("is asked with what the handler was given", () =>
    Effect.gen(function* () {
      const asked: Array<unknown> = []
      const { keys } = yield* cutAndResumed(
        [call("c0", "look", { n: 0 }), call("c1", "send", { n: { $ref: "#1/got" } }, ["c0"])],
        cut,
        {
          reconcile: (input, { attempt, dependencies, id, idempotencyKey }) =>
            Effect.sync(() => {
              asked.push([input, attempt, id, [...dependencies], idempotencyKey])
              return Option.none()
            })
        }
      )
      assert.deepStrictEqual(asked, [[{ n: 0 }, 1, "c1", [["c0", { got: 0 }]], [...keys("c1")][0]]])
    })
  )

  it.scoped("that fails or dies leaves it unknown, and the log says why", () =>
    Effect.gen(function* () {
      for (const reconcile of [() => Effect.fail("no line"), () => Effect.die(new Error("broken"))]) {
        const world = yield* World.make
        yield* world.process({ crash: cut }).run(calls)
        const process = world.process({ reconcile })
        assert.deepStrictEqual(told(yield* process.run(calls)), ["OutcomeUnknown"])
        assert.lengthOf(process.warnings, 1)
        assert.include(process.warnings[0], "could not be found out")
        assert.deepStrictEqual(world.executed(2), [])
      }
    })
  )

  it.scoped("that throws, or answers with what is no output, leaves it unknown", () =>
    Effect.gen(function* () {
      const thrown = () => {
        throw new Error("broken")
      }
      const odd = () => Effect.succeed(Option.some({ got: "much" }))
      for (const reconcile of [thrown, odd as never]) {
        const { executed, told } = yield* cutAndResumed(calls, cut, { reconcile })
        assert.deepStrictEqual(told, ["OutcomeUnknown"])
        assert.deepStrictEqual(executed(2), [])
      }
    })
  )

  const hanging = [
    ["that hangs", Effect.never],
    ["that hangs and is deaf", Effect.uninterruptible(Effect.never)]
  ] as const
  for (const [name, never] of hanging) {
    it.scoped(`${name} takes as long as an attempt, and no longer than its batch`, () =>
      Effect.gen(function* () {
        for (const [timeout, millis] of [
          [undefined, 30_000],
          ["2 seconds", 2000]
        ] as const) {
          const world = yield* World.make
          yield* world.process({ crash: cut }).run(calls)
          const running = yield* Effect.fork(world.process({ reconcile: () => never }).run(calls, { timeout }))
          yield* TestClock.adjust(millis - 1)
          assert.isTrue(Option.isNone(yield* Fiber.poll(running)), `${timeout}: too early`)
          yield* TestClock.adjust(1)
          assert.isTrue(Option.isSome(yield* Fiber.poll(running)), `${timeout}: too late`)
          const batch = yield* Fiber.join(running)
          assert.deepStrictEqual(told(batch), ["OutcomeUnknown"])
          assert.strictEqual(Duration.toMillis(batch?.duration ?? 0), millis)
        }
      })
    )
  }

  it.scoped("that is interrupted leaves it unknown", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      yield* world.process({ crash: cut }).run(calls)
      let interrupted: World.Batch | undefined
      const running = yield* Effect.fork(
        world.process({ reconcile: () => Effect.never }).runHere(calls, {
          onInterrupt: (batch) => Effect.sync(() => void (interrupted = batch))
        })
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(running)
      assert.deepStrictEqual(told(interrupted), ["OutcomeUnknown"])
      assert.deepStrictEqual(told(yield* world.process().run(calls)), ["journal"])
      assert.strictEqual(world.effects("send"), 1)
    })
  )
})

describe("a write between two attempts", () => {
  it.scoped("goes on where the last one took no effect, and its attempts are counted on", () =>
    Effect.gen(function* () {
      const calls = [call("c1", "pay", { n: 1, how: "flaky" })]
      for (const crash of ["after AttemptFailed pay c1", "before Started pay c1"]) {
        const world = yield* World.make
        const first = world.process({ crash: (point, i) => point === crash && i > 5 })
        assert.isUndefined(yield* first.run(calls))
        const batch = yield* world.process().run(calls)
        assert.deepStrictEqual(told(batch), ["executed"])
        assert.deepStrictEqual([world.effects("pay"), batch?.results[0]?.attempts], [1, 2])
        assert.strictEqual(world.keys("c1").size, 1)
      }
    })
  )

  it.scoped("is unknown where the next one had begun", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const calls = [call("c1", "pay", { n: 1, how: "flaky" })]
      const first = world.process({ crash: (point, i) => point === "after Started pay c1" && i > 5 })
      assert.isUndefined(yield* first.run(calls))
      assert.deepStrictEqual(told(yield* world.process().run(calls)), ["OutcomeUnknown"])
      assert.deepStrictEqual(world.executed(), ["pay c1"])
    })
  )

  it.scoped("is told again where the last one may have taken effect", () =>
    Effect.gen(function* () {
      const { batch, effects, told } = yield* cutAndResumed(
        [call("c1", "pay", { n: 1, how: "unsure" })],
        at("after AttemptFailed pay c1")
      )
      assert.deepStrictEqual(told, ["ToolFailure"])
      assert.deepStrictEqual(
        batch.failed.map(({ attempts, error, fault }) => [error, fault.tookEffect, attempts]),
        [[{ _tag: "ToolFailure", failure: new World.Failed({ tookEffect: "maybe", transient: true }) }, "maybe", 1]]
      )
      assert.strictEqual(effects("pay"), 1)
    })
  )

  it.scoped("is unknown where the record of its failure is torn", () =>
    Effect.gen(function* () {
      const { executed, told } = yield* cutAndResumed(
        [call("c1", "pay", { n: 1, how: "flaky" })],
        at("half of AttemptFailed pay c1")
      )
      assert.deepStrictEqual(told, ["OutcomeUnknown"])
      assert.deepStrictEqual(executed(2), [])
    })
  )
})
