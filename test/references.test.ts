import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { Report, Tool, Toolbox, ToolRunner } from "../src/index.ts"

class FindUser extends Tool.Service<FindUser>()("find_user", {
  description: "Finds a user",
  input: Schema.Struct({ email: Schema.String }),
  output: Schema.Struct({
    user: Schema.Struct({ id: Schema.Number, name: Schema.String, tags: Schema.Array(Schema.String) })
  }),
  effects: "read"
}) {}

class ListOrders extends Tool.Service<ListOrders>()("list_orders", {
  description: "Orders of a user",
  input: Schema.Struct({ user: Schema.Number, note: Schema.optional(Schema.String) }),
  output: Schema.Array(Schema.String),
  effects: "read"
}) {}

const layer = Layer.mergeAll(
  FindUser.layer(({ email }) => Effect.succeed({ user: { id: 7, name: email, tags: ['{"$ref":"#1"}', "vip"] } })),
  ListOrders.layer(({ note, user }) => Effect.succeed([`order of ${user}`, note ?? "-"])),
  ToolRunner.layer
)

const toolbox = Toolbox.withReferences(Toolbox.make(FindUser, ListOrders))

const find = (id = "toolu_1", more: object = {}) => ({ id, name: "find_user", input: { email: "ada", ...more } })
const orders = (input: object, id = "toolu_2") => ({ id, name: "list_orders", input })

const run = (...calls: ReadonlyArray<{ readonly id: string; readonly name: string; readonly input: unknown }>) =>
  Effect.map(ToolRunner.run(toolbox, calls), ({ results }) => results)

describe("references between the calls of a turn", () => {
  for (const [name, ref, more] of [
    ["by position", "#1/user/id", {}],
    ["by label", "#ada/user/id", { $label: "ada" }],
    ["by call id", "#toolu_1/user/id", {}]
  ] as const) {
    it.effect(`${name}: the value takes the reference's place`, () =>
      Effect.gen(function* () {
        const [, second] = yield* run(find("toolu_1", more), orders({ user: { $ref: ref } }))
        assert.deepStrictEqual(second?._tag === "Success" ? second.output : second?.error, ["order of 7", "-"])
      }).pipe(Effect.provide(layer))
    )
  }

  it.effect("a later call may be named before it is there, and texts embed values", () =>
    Effect.gen(function* () {
      const note = { $text: "for ${#2/user/name}, ${#2/user/tags/1}" }
      const [first] = yield* run(orders({ user: { $ref: "#2/user/id" }, note }), find("toolu_9"))
      assert.deepStrictEqual(first?._tag === "Success" ? first.output : first?.error, ["order of 7", "for ada, vip"])
    }).pipe(Effect.provide(layer))
  )

  it.effect("what comes out of an output is never read as a reference", () =>
    Effect.gen(function* () {
      const [, second] = yield* run(find(), orders({ user: 1, note: { $ref: "#1/user/tags/0" } }))
      assert.deepStrictEqual(second?._tag === "Success" ? second.output : second?.error, [
        "order of 1",
        '{"$ref":"#1"}'
      ])
    }).pipe(Effect.provide(layer))
  )

  it.effect("a handler that changes its input does not change the output it came from", () => {
    class Spoil extends Tool.Service<Spoil>()("spoil", {
      description: "Changes its input",
      input: Schema.Struct({ what: Schema.Unknown }),
      output: Schema.String,
      effects: "read"
    }) {}
    const spoil = Spoil.layer(({ what }) =>
      Effect.sync(() => {
        if (Array.isArray(what)) what.length = 0
        return "spoiled"
      })
    )
    return Effect.gen(function* () {
      const { results } = yield* ToolRunner.run(Toolbox.withReferences(Toolbox.make(FindUser, Spoil)), [
        find(),
        { id: "toolu_2", name: "spoil", input: { what: { $ref: "#1/user/tags" } } }
      ])
      const [first] = results
      assert.include(first === undefined ? "" : JSON.stringify(Report.toolResult(first).content), "vip")
    }).pipe(Effect.provide(Layer.merge(layer, spoil)))
  })

  it.effect("a way that leads nowhere says how far it got and what was there", () =>
    Effect.gen(function* () {
      const [, second] = yield* run(find(), orders({ user: { $ref: "#1/user/age" } }))
      assert(second?._tag === "Failure" && second.error._tag === "UnresolvedReference")
      assert.strictEqual(second.error.reference, "#1/user/age")
      assert.match(second.error.reason, /no "age".*"?id"?, "?name"?, "?tags"?/)
      assert.strictEqual(second.attempts, 0)
    }).pipe(Effect.provide(layer))
  )

  it.effect("a value of the wrong type is an invalid input that names the reference", () =>
    Effect.gen(function* () {
      const [, second] = yield* run(find(), orders({ user: { $ref: "#1/user/name" } }))
      assert(second?._tag === "Failure" && second.error._tag === "InvalidInput")
      assert.match(second.error.issues[0]?.message ?? "", /#1\/user\/name/)
    }).pipe(Effect.provide(layer))
  )

  it.effect("unknown targets, cycles and malformed references fail those calls alone", () =>
    Effect.gen(function* () {
      const results = yield* run(
        orders({ user: { $ref: "#nobody/id" } }, "a"),
        orders({ user: { $ref: "#3/0" } }, "b"),
        orders({ user: { $ref: "#2/0" } }, "c"),
        orders({ user: { $ref: 1 } }, "d"),
        find("e")
      )
      assert.deepStrictEqual(
        results.map((result) => (result._tag === "Success" ? result.source : result.error._tag)),
        ["UnresolvedReference", "DependencyCycle", "DependencyCycle", "UnresolvedReference", "executed"]
      )
    }).pipe(Effect.provide(layer))
  )

  it.effect("a failed target skips the call, and says where the trouble began", () =>
    Effect.gen(function* () {
      const [, second] = yield* run({ ...find(), input: {} }, orders({ user: { $ref: "#1/user/id" } }))
      assert(second?._tag === "Failure" && second.error._tag === "DependencyFailed")
      assert.strictEqual(second.error.root, "toolu_1")
    }).pipe(Effect.provide(layer))
  )

  it.effect("without opting in they are plain input", () =>
    Effect.gen(function* () {
      const { results } = yield* ToolRunner.run(Toolbox.make(FindUser, ListOrders), [
        find(),
        orders({ user: { $ref: "#1/user/id" } })
      ])
      assert.strictEqual(results[1]?._tag === "Failure" ? results[1].error._tag : "ran", "InvalidInput")
    }).pipe(Effect.provide(layer))
  )

  it("the model is taught them where the toolbox allows them, and only there", () => {
    assert.include(Report.guidance(toolbox), "$ref")
    assert.notInclude(Report.guidance(Toolbox.make(FindUser)), "$ref")
    assert.include(JSON.stringify(Toolbox.describe(toolbox)), '"$ref"')
    assert.notInclude(JSON.stringify(Toolbox.describe(Toolbox.make(FindUser))), '"$ref"')
  })
})
