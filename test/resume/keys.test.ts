/** The idempotency key that a handler is given. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as World from "./world.ts"

const { at, call } = World

describe("the idempotency key of a call", () => {
  it.scoped("is the same for every attempt, in every process, whatever the order of its input's members", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const calls = [call("c1", "put", { n: 1, how: "flaky" })]
      yield* world.process({ crash: (point, i) => point === "before put c1" && i > 7 }).run(calls)
      yield* world.process({ crash: at("half of Landed put c1") }).run(calls)
      yield* world.process().run([call("c1", "put", { how: "flaky", n: 1 })])
      assert.deepStrictEqual(
        world.ledger.filter(({ what }) => what === "begun").map(({ attempt, process }) => `${process}: ${attempt}`),
        ["1: 1", "2: 2", "3: 2"]
      )
      assert.strictEqual(world.keys("c1").size, 1)
    })
  )

  it.scoped("is the same with and without a journal", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      const calls = [call("c1", "put", { n: 1 })]
      yield* world.process().run(calls)
      yield* Effect.flatMap(World.make, (other) =>
        Effect.map(other.process().withoutJournal(calls), () =>
          assert.deepStrictEqual(other.keys("c1"), world.keys("c1"))
        )
      )
    })
  )

  it.scoped("is not that of another tool, nor of the tool that answers instead", () =>
    Effect.gen(function* () {
      const world = yield* World.make
      yield* world
        .process()
        .run([call("c1", "put", { n: 1 }), call("c1", "pay", { n: 1 }), call("c1", "order", { n: 1, how: "refused" })])
      assert.strictEqual(world.keys("c1").size, 4)
    })
  )

  const { constantFrom, oneof, record, string } = FastCheck
  const id = oneof(
    constantFrom(
      "",
      "a",
      "b",
      "a/b",
      "b/a",
      "/",
      "a/",
      "/a",
      "a/b/a",
      "%2F",
      "a%2Fb",
      "~",
      "a~1",
      "put",
      "\ud83d",
      "\ud83e"
    ),
    string({ maxLength: 3 })
  )
  const named = record({ batch: id, callId: id, n: FastCheck.integer({ min: 0, max: 1 }) })

  it.scoped(
    "is that of no other call",
    () =>
      Effect.gen(function* () {
        const world = yield* World.make
        const process = world.process()
        const keyOf = (batch: string, callId: string, n: number, repeats: number) =>
          Effect.map(
            process.withoutJournal(
              Array.from({ length: repeats + 1 }, () => call(callId, "put", { n })),
              { id: batch }
            ),
            () => world.ledger.findLast(({ what }) => what === "begun")?.key ?? ""
          )
        const known = new Map<string, string>()
        const names = FastCheck.sample(record({ named, repeats: constantFrom(0, 0, 1) }), 400)
        for (const { named, repeats } of names) {
          const key = yield* keyOf(named.batch, named.callId, named.n, repeats)
          const name = JSON.stringify([named, repeats])
          assert.strictEqual(known.get(key) ?? name, name, key)
          known.set(key, name)
        }
        assert.isAbove(known.size, 100)
      }),
    60_000
  )
})
