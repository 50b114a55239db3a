/** Which recorded call a call of the resumed batch is: the same one, one under another id, or none. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as World from "./world.ts"

const { at, call, told } = World

/** Runs one turn until it is cut off, then another one that the model gave in its place. */
const askedAgain = (
  calls: Parameters<World.Process["run"]>[0],
  crash: string,
  again: Parameters<World.Process["run"]>[0]
) =>
  Effect.gen(function* () {
    const world = yield* World.make
    assert.isUndefined(yield* world.process({ crash: at(crash) }).run(calls))
    const batch = yield* world.process().run(again)
    return { ...world, batch, told: told(batch) }
  })

describe("a turn that is asked again", () => {
  it.scoped("with other ids is answered by tool and input", () =>
    Effect.gen(function* () {
      const { executed, told } = yield* askedAgain(
        [call("a1", "look", { n: 1 }), call("a2", "pay", { n: 2 }), call("a3", "pay", { n: 3 }, ["a2"])],
        "in pay a3",
        // Written in another order, which means the same.
        [call("b1", "pay", { how: undefined, n: 3 }), call("b2", "look", { n: 1 }), call("b3", "pay", { n: 2 })]
      )
      assert.deepStrictEqual(told, ["OutcomeUnknown", "journal", "journal"])
      assert.deepStrictEqual(executed(2), [])
    })
  )

  it.scoped("runs what was in flight under the key it had", () =>
    Effect.gen(function* () {
      const { executed, ledger, told } = yield* askedAgain(
        [call("a1", "put", { n: 1 }), call("a2", "send", { n: 2 })],
        "in send a2",
        [call("b1", "send", { n: 2 }), call("b2", "put", { n: 1 })]
      )
      assert.deepStrictEqual(told, ["executed", "executed"])
      assert.sameMembers(executed(2), ["send b1", "put b2"])
      for (const tool of ["put", "send"]) {
        assert.strictEqual(new Set(ledger.filter((entry) => entry.tool === tool).map(({ key }) => key)).size, 1)
      }
    })
  )

  it.scoped("and once more is still answered", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const turn = (id: string) => [call(`${id}1`, "pay", { n: 1 }), call(`${id}2`, "put", { n: 2 }, [`${id}1`])]
      yield* world.process({ crash: at("in put a2") }).run(turn("a"))
      yield* world.process({ crash: at("in put b2") }).run(turn("b"))
      assert.deepStrictEqual(told(yield* world.process().run(turn("c"))), ["journal", "executed"])
      for (const id of ["c", "d", "d", "a", "c"]) {
        assert.deepStrictEqual(told(yield* world.process().run(turn(id))), ["journal", "journal"], id)
      }
      assert.strictEqual(world.effects("pay"), 1)
      assert.strictEqual(new Set(world.ledger.filter(({ tool }) => tool === "put").map(({ key }) => key)).size, 1)
    })
  )

  it.scoped("that counts its calls by position, in another order, pays nothing twice", () =>
    Effect.gen(function* () {
      const { executed, told } = yield* askedAgain(
        [
          call("call_0", "look", { n: 0 }),
          call("call_1", "pay", { n: 1 }),
          call("call_2", "pay", { n: 2 }, ["call_1"])
        ],
        "after Landed pay call_2",
        [call("call_0", "pay", { n: 2 }), call("call_1", "look", { n: 0 }), call("call_2", "pay", { n: 1 })]
      )
      assert.deepStrictEqual(told, ["journal", "journal", "journal"])
      assert.deepStrictEqual(executed(2), [])
    })
  )

  it.scoped("that asks for more, and for less, runs what is new", () =>
    Effect.gen(function* () {
      const { effects, executed, told } = yield* askedAgain(
        [call("a1", "pay", { n: 1 }), call("a2", "pay", { n: 2 })],
        "after Landed pay a2",
        [call("b1", "pay", { n: 1 }), call("b2", "pay", { n: 3 })]
      )
      assert.deepStrictEqual(told, ["journal", "executed"])
      assert.deepStrictEqual(executed(2), ["pay b2"])
      assert.strictEqual(effects("pay"), 3)
    })
  )
})

describe("a read that waits for something else than it did", () => {
  const changed = (id: string) => call(id, "put", { n: 1 })
  const read = (id: string, ...needs: ReadonlyArray<string>) => call(id, "look", { n: 7 }, needs)
  const turn = (id: string) => [changed(`${id}1`), read(`${id}2`), call(`${id}3`, "pay", { n: 3 }, [`${id}2`])]

  it.scoped("is out of date where that is executed now", () =>
    Effect.gen(function* () {
      const { executed, told } = yield* askedAgain([read("a2")], "after Landed look a2", [
        changed("b1"),
        read("b2", "b1")
      ])
      assert.deepStrictEqual(told, ["executed", "executed"])
      assert.deepStrictEqual(executed(2), ["put b1", "look b2"])
    })
  )

  it.scoped("or was executed after it, however many reads lie between", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      yield* world.process().run([read("a2"), call("a1", "put", { n: 1 }, ["a2"])])
      const again = [changed("b1"), call("b3", "look", { n: 8 }, ["b1"]), read("b2", "b3")]
      assert.deepStrictEqual(told(yield* world.process().run(again)), ["journal", "executed", "executed"])
      // Then it is known from after it.
      assert.deepStrictEqual(told(yield* world.process().run(again)), ["journal", "journal", "journal"])
      assert.deepStrictEqual(world.executed(3), [])
      assert.strictEqual(new Set(world.ledger.filter(({ n }) => n === 7).map(({ key }) => key)).size, 1)
    })
  )

  it.scoped("and stands where that changed nothing, or was executed before it", () =>
    Effect.gen(function* () {
      for (const [calls, ...expected] of [
        [
          [call("b1", "put", { n: 1, how: "refused" }), { ...read("b2", "b1"), tolerates: true }],
          "ToolFailure",
          "journal"
        ],
        [[call("b1", "look", { n: 1 }), read("b2", "b1")], "executed", "journal"],
        [[changed("a1"), read("b2", "a1")], "journal", "journal"]
      ] as const) {
        const world = yield* World.make
        yield* world.process().run([changed("a1"), read("a2", "a1")])
        assert.deepStrictEqual(told(yield* world.process().run(calls)), expected)
      }
    })
  )

  it.scoped("but a write that was executed is never executed again for it", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      yield* world.process().run(turn("a"))
      const again = [call("b0", "put", { n: 9 }), call("b3", "pay", { n: 3 }, ["b0"])]
      assert.deepStrictEqual(told(yield* world.process().run(again)), ["executed", "journal"])
      assert.strictEqual(world.effects("pay"), 1)
    })
  )
})

describe("two calls that are the same", () => {
  const twice = (one: string, other: string) => [call(one, "pay", { n: 1 }), call(other, "pay", { n: 1 }, [one])]

  it.scoped("are two: each is answered once", () =>
    Effect.gen(function* () {
      const { executed, keys, told } = yield* askedAgain(twice("a1", "a2"), "after Landed pay a2", twice("a1", "a2"))
      assert.deepStrictEqual(told, ["journal", "journal"])
      assert.deepStrictEqual(executed(2), [])
      assert.notDeepEqual(keys("a1"), keys("a2"))
    })
  )

  it.scoped("of which one was finished, are one from the journal and one executed", () =>
    Effect.gen(function* () {
      for (const again of [twice("a1", "a2"), twice("b1", "b2")]) {
        const { effects, executed, told } = yield* askedAgain(twice("a1", "a2"), "before Started pay a2", again)
        assert.deepStrictEqual(told, ["journal", "executed"])
        assert.deepStrictEqual(executed(2), [`pay ${again[1]?.id}`])
        assert.strictEqual(effects("pay"), 2)
      }
    })
  )

  it.scoped("asked for a third time under a new id, the third is executed", () =>
    Effect.gen(function* () {
      const { effects, told } = yield* askedAgain(twice("a1", "a2"), "after Landed pay a2", [
        call("a3", "pay", { n: 1 }),
        ...twice("a1", "a2")
      ])
      assert.deepStrictEqual(told, ["executed", "journal", "journal"])
      assert.strictEqual(effects("pay"), 3)
    })
  )

  it.scoped("under the same id are two all the same, also with other ids", () =>
    Effect.gen(function* () {
      const same = (id: string) => [call(id, "pay", { n: 1 }), call(id, "pay", { n: 1 })]
      for (const [again, ...sources] of [
        [same("a"), "journal", "journal"],
        [same("b"), "journal", "journal"],
        [[...same("b"), call("b", "pay", { n: 1 })], "journal", "journal", "executed"]
      ] as const) {
        const world = yield* World.make
        yield* world.process().run(same("a"))
        assert.strictEqual(world.effects("pay"), 2)
        assert.strictEqual(world.keys("a").size, 2)
        assert.deepStrictEqual(told(yield* world.process().run(again)), sources)
      }
    })
  )

  it.scoped(
    "and are reads are each answered from their own record, also where their inputs refer to another call",
    () =>
      Effect.gen(function* () {
        const refer = (id: string, ...needs: ReadonlyArray<string>) =>
          call(id, "look", { n: { $ref: "#1/got" } }, needs)
        // The last is the same as the two before it, but waits for one of them, and so is executed itself.
        const calls = [call("c1", "look", { n: 1 }), refer("c2"), refer("c3"), refer("c4", "c2")]
        const world = yield* World.make
        assert.deepStrictEqual(told(yield* world.process().run(calls)), [
          "executed",
          "executed",
          "coalesced",
          "executed"
        ])
        assert.deepStrictEqual(told(yield* world.process().run(calls)), ["journal", "journal", "coalesced", "journal"])
        assert.deepStrictEqual(world.executed(2), [])
      })
  )

  it.scoped("and are reads share one answer, with other ids too", () =>
    Effect.gen(function* () {
      const reads = (id: string) => [1, 2, 3].map((i) => call(`${id}${i}`, "look", { n: 1 }))
      const { executed, told } = yield* askedAgain(reads("a"), "after Landed look a1", reads("b"))
      assert.deepStrictEqual(told, ["journal", "coalesced", "coalesced"])
      assert.deepStrictEqual(executed(2), [])
    })
  )
})

describe("a record of another call", () => {
  it.scoped("with the same id answers nothing: another input", () =>
    Effect.gen(function* () {
      const { executed, keys, told } = yield* askedAgain([call("c1", "pay", { n: 1 })], "after Landed pay c1", [
        call("c1", "pay", { n: 2 })
      ])
      assert.deepStrictEqual(told, ["executed"])
      assert.deepStrictEqual(executed(2), ["pay c1"])
      assert.strictEqual(keys("c1").size, 2)
    })
  )

  it.scoped("with the same id answers nothing: another tool", () =>
    Effect.gen(function* () {
      const { keys, told } = yield* askedAgain([call("c1", "pay", { n: 1 })], "in pay c1", [
        call("c1", "put", { n: 1 })
      ])
      assert.deepStrictEqual(told, ["executed"])
      assert.strictEqual(keys("c1").size, 2)
    })
  )

  it.scoped("of another batch answers nothing", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const calls = [call("c1", "pay", { n: 1 })]
      yield* world.process().run(calls)
      assert.deepStrictEqual(told(yield* world.process().run(calls, { id: "another" })), ["executed"])
      assert.strictEqual(world.keys("c1").size, 2)
    })
  )

  it.scoped("is not asked for where the batch has no id", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const calls = [call("c1", "pay", { n: 1 })]
      const process = world.process()
      for (let i = 0; i < 2; i++)
        assert.deepStrictEqual(told(yield* process.run(calls, { id: undefined })), ["executed"])
      assert.deepStrictEqual(
        process.points.filter((point) => !point.endsWith("pay c1")),
        []
      )
      assert.strictEqual(world.keys("c1").size, 2)
    })
  )
})

describe("the tool that answers instead", () => {
  const calls = [call("c1", "order", { n: 1, how: "refused" })]
  it.scoped("has a record of its own, and is not executed twice", () =>
    Effect.gen(function* () {
      for (const crash of ["in pay c1", "after pay c1", "half of Landed pay c1"]) {
        const { effects, executed } = yield* askedAgain(calls, crash, calls)
        assert.isAtMost(effects("pay"), 1, crash)
        assert.notInclude(executed(2), "pay c1", crash)
      }
    })
  )

  it.scoped("is not what a call of that tool under another id asks for", () =>
    Effect.gen(function* () {
      const { batch, executed } = yield* askedAgain(calls, "in pay c1", [
        call("d1", "pay", { n: 1 }),
        call("d2", "order", { n: 1, how: "refused" })
      ])
      assert.deepStrictEqual(executed(2), ["pay d1"])
      // It is what the order had come to, of which nobody knows whether it was paid.
      assert.deepStrictEqual(
        batch?.failed.map(({ call, error, fault }) => [call.id, error._tag, fault.tookEffect]),
        [["d2", "ToolFailure", "maybe"]]
      )
    })
  )
})
