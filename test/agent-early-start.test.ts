import { createServer } from "node:http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Anthropic from "../src/adapters/Anthropic.ts"
import { Agent, Model, Tool, Toolbox, ToolRunner } from "../src/index.ts"
import * as MessagesRules from "../src/testing/MessagesRules.ts"
import * as MessagesServer from "../src/testing/MessagesServer.ts"

const input = Schema.Struct({ what: Schema.String })

/** Takes 500 ms, and answers with what it was asked for. */
class Look extends Tool.Service<Look>()("look", { description: "Looks", input, output: input, effects: "read" }) {}

class Patient extends Tool.Service<Patient>()("patient", {
  description: "Looks, later",
  input,
  output: input,
  effects: "read",
  earlyStart: false
}) {}

class Renew extends Tool.Service<Renew>()("renew", {
  description: "Renews",
  input,
  output: input,
  effects: "idempotent"
}) {}

class Book extends Tool.Service<Book>()("book", {
  description: "Books",
  input,
  output: input,
  effects: "write",
  resource: ({ what }) => what
}) {}

/** Uses what `book` uses. */
class Seats extends Tool.Service<Seats>()("seats", {
  description: "Looks for seats",
  input,
  output: input,
  effects: "read",
  resource: ({ what }) => what
}) {}

/** Always fails, and books instead. */
class OrBook extends Tool.Service<OrBook>()("or_book", {
  description: "Looks, or books",
  input,
  output: input,
  failure: Schema.String,
  effects: "read",
  policy: { retry: { times: 0 }, fallback: { tool: Book } }
}) {}

/** Identical calls are all executed. */
class Roll extends Tool.Service<Roll>()("roll", {
  description: "Rolls dice",
  input,
  output: Schema.Number,
  effects: "read",
  policy: { coalesce: false }
}) {}

const toolbox = Toolbox.make(Look, Patient, Renew, Book, Seats, OrBook, Roll)

/** What the tools did and when: `200 look a`. */
interface World {
  readonly log: ReadonlyArray<string>
  readonly interrupted: ReadonlyArray<string>
}

const makeWorld = (whenBooked: Effect.Effect<unknown> = Effect.void) => {
  const log: Array<string> = []
  const interrupted: Array<string> = []
  const executions = (name: string) => log.filter((line) => line.split(" ")[1] === name).length
  const look =
    (name: string, millis: number) =>
    ({ what }: { readonly what: string }) =>
      Effect.flatMap(Clock.currentTimeMillis, (time) => {
        log.push(`${time} ${name} ${what}`)
        return Effect.delay(Effect.succeed({ what }), millis)
      }).pipe(Effect.onInterrupt(() => Effect.sync(() => interrupted.push(what))))
  const layer = Layer.mergeAll(
    Look.layer(look("look", 500)),
    Patient.layer(look("patient", 500)),
    Renew.layer(look("renew", 500)),
    Book.layer((asked) => Effect.zipLeft(look("book", 500)(asked), whenBooked)),
    Seats.layer(look("seats", 500)),
    OrBook.layer((asked) => Effect.zipRight(look("or_book", 10)(asked), Effect.fail("nothing there"))),
    Roll.layer((asked) => Effect.map(look("roll", 10)(asked), () => executions("roll"))),
    ToolRunner.layer
  )
  return { log, interrupted, layer } satisfies World & { readonly layer: unknown }
}

const dead = new Model.ModelError({
  reason: "cut",
  detail: "gone",
  status: undefined,
  retryable: true,
  retryAfter: undefined
})

type Said =
  | { readonly block: Model.Block; readonly call?: { readonly id: string; readonly name: string; input: unknown } }
  | { readonly pause: number }

const pause = (millis: number): Said => ({ pause: millis })
const text: Said = { block: { type: "text", text: "Hm." } }
const fallback: Said = { block: { type: "fallback" } }
let ids = 0
const call = (name: string, what: unknown, id = `toolu_${++ids}`): Said => {
  const input = typeof what === "string" ? { what } : what
  return { block: { type: "tool_use", id, name, input }, call: { id, name, input } }
}

/** A turn as a stream. A block ends as soon as it has begun; a pause before a block's end is one after the block. */
const turn = (said: ReadonlyArray<Said>, end: string | null | Model.ModelError = "tool_use") => {
  const content: Array<Model.Block> = []
  const calls: Array<Model.Turn["calls"][number]> = []
  const events = said.map((one): Stream.Stream<Model.TurnEvent> => {
    if ("pause" in one) return Stream.drain(Stream.fromEffect(Effect.sleep(one.pause)))
    const index = content.push(one.block) - 1
    if (one.call !== undefined) calls.push(one.call)
    return Stream.make(
      { _tag: "BlockStarted", index, type: one.block.type } as const,
      { _tag: "BlockCompleted", index, block: one.block, call: one.call } as const
    )
  })
  const last: Stream.Stream<Model.TurnEvent, Model.ModelError> =
    end instanceof Model.ModelError
      ? Stream.fail(end)
      : Stream.succeed({
          _tag: "TurnCompleted",
          turn: { content, calls, stopReason: end, usage: { inputTokens: 0, outputTokens: 0 } }
        })
  return Stream.concat(
    events.reduce<Stream.Stream<Model.TurnEvent>>((all, next) => Stream.concat(all, next), Stream.empty),
    last
  )
}

const done = turn([text], "end_turn")

type Turns = ReadonlyArray<Stream.Stream<Model.TurnEvent, Model.ModelError>>

const modelOf = (turns: Turns) =>
  Layer.effect(
    Model.Model,
    Effect.map(Ref.make(0), (asked) => ({
      streamTurn: () =>
        Stream.unwrap(
          Effect.map(
            Ref.getAndUpdate(asked, (n) => n + 1),
            (n) => turns[n] ?? done
          )
        )
    }))
  )

type Options = Partial<Agent.Options<(typeof toolbox)["tools"][number]>>

const agent = (turns: Turns, world: ReturnType<typeof makeWorld>, options: Options = {}) =>
  Agent.run({ prompt: "Go.", toolbox, modelRetry: Schedule.recurs(3), ...options }).pipe(
    Effect.provide(world.layer),
    Effect.provide(modelOf(turns))
  )

/** Plays the turns under virtual time; `took` is in milliseconds. */
const play = (turns: Turns, options: Options = {}) =>
  Effect.gen(function* () {
    const world = makeWorld()
    const fiber = yield* Effect.fork(
      Effect.flatMap(agent(turns, world, options), (ended) =>
        Effect.map(Clock.currentTimeMillis, (took) => ({ ...ended, took }))
      )
    )
    yield* TestClock.adjust("1 minute")
    const ended = yield* Fiber.join(fiber)
    assertGoesOn(ended.messages)
    return { ...ended, ...world }
  })

/** Whether the API takes the conversation once the user has said something more: each call is answered, once. */
const assertGoesOn = (messages: ReadonlyArray<Model.Message>) =>
  assert.isUndefined(
    MessagesRules.check({
      model: "claude-haiku-5-5",
      max_tokens: 4096,
      tools: Toolbox.describe(toolbox),
      messages: [...messages, { role: "user", content: "And now?" }]
    })
  )

/** Source and input of each answer, or its error: `executed a`. */
const answers = (exchanges: ReadonlyArray<Agent.Exchange>) =>
  exchanges.map(({ batch }) =>
    batch?.results.map((result) =>
      result._tag === "Success"
        ? `${result.source} ${typeof result.encoded === "number" ? result.encoded : Reflect.get(Object(result.encoded), "what")}`
        : result.error._tag
    )
  )

const fiveReads = turn([
  ...["a", "b", "c", "d", "e"].flatMap((what) => [call("look", what), pause(200)]),
  text,
  pause(1000)
])

describe("the calls of a turn that is still streaming", () => {
  it.effect("five reads are done before the message ends, and the turn takes as long as its stream", () =>
    Effect.gen(function* () {
      const { exchanges, log, took } = yield* play([fiveReads])
      assert.deepStrictEqual(log, ["200 look a", "400 look b", "600 look c", "800 look d", "1000 look e"])
      assert.strictEqual(took, 2000)
      assert.deepStrictEqual(answers(exchanges), [
        ["executed a", "executed b", "executed c", "executed d", "executed e"],
        undefined
      ])
    })
  )

  it.effect("without an early start the same turn is later by its slowest read", () =>
    Effect.gen(function* () {
      const { log, took } = yield* play([fiveReads], { earlyStart: false })
      assert.deepStrictEqual(log, ["2000 look a", "2000 look b", "2000 look c", "2000 look d", "2000 look e"])
      assert.strictEqual(took, 2500)
    })
  )

  it.effect("a read waits until the model has gone on, the last one until the message ends", () =>
    Effect.gen(function* () {
      const { log } = yield* play([turn([call("look", "a"), pause(300), call("look", "b"), pause(400)])])
      assert.deepStrictEqual(log, ["300 look a", "700 look b"])
    })
  )

  it.effect("what is no read, opts out, or may end in a write waits until the turn is complete", () =>
    Effect.gen(function* () {
      const names = ["book", "renew", "patient", "or_book", "look"]
      const { exchanges, log } = yield* play([turn([...names.map((name) => call(name, name)), text, pause(1000)])])
      assert.deepStrictEqual(log, [
        "0 look look",
        "1000 book book",
        "1000 renew renew",
        "1000 patient patient",
        "1000 or_book or_book",
        "1010 book or_book"
      ])
      assert.deepStrictEqual(answers(exchanges)[0], [
        "executed book",
        "executed renew",
        "executed patient",
        "fallback or_book",
        "executed look"
      ])
    })
  )

  it.effect("a read that points into the output of a write, or shares its resource, waits for it", () =>
    Effect.gen(function* () {
      const { exchanges, log } = yield* play(
        [
          turn([
            call("look", { what: { $ref: "#2/what" } }),
            call("book", "x"),
            call("seats", "x"),
            call("look", { what: { $ref: "#5/what" } }),
            call("look", "y"),
            text,
            pause(1000)
          ])
        ],
        { toolbox: Toolbox.withReferences(toolbox) }
      )
      assert.deepStrictEqual(log, ["0 look y", "500 look y", "1000 book x", "1500 look x", "1500 seats x"])
      assert.deepStrictEqual(answers(exchanges)[0], [
        "executed x",
        "executed x",
        "executed x",
        "executed y",
        "executed y"
      ])
    })
  )

  it.effect("the limit on concurrency holds for them", () =>
    Effect.gen(function* () {
      const { log } = yield* play([turn([call("look", "a"), call("look", "b"), text, pause(2000)])], { concurrency: 1 })
      assert.deepStrictEqual(log, ["0 look a", "500 look b"])
    })
  )

  it.effect("after a fallback block nothing starts early, nor does the call before it", () =>
    Effect.gen(function* () {
      const said = [call("look", "a"), call("look", "b"), fallback, call("look", "c"), text, pause(1000)]
      assert.deepStrictEqual((yield* play([turn(said)])).log, ["0 look a", "1000 look b", "1000 look c"])
      assert.deepStrictEqual((yield* play([turn(said, "refusal")])).log, ["60000 look a"])
    })
  )

  it.effect("blank and colliding ids are decided block by block, and answered as they go back", () =>
    Effect.gen(function* () {
      const same = (...ids: ReadonlyArray<string>) =>
        turn([...ids.map((id, i) => call("look", `${i}`, id)), pause(900)])
      const { exchanges, log, messages } = yield* play([same("x", "x", "", "not an id!", "y"), same("y", "x", "z")])
      assert.deepStrictEqual(answers(exchanges).slice(0, 2), [
        ["executed 0", "executed 1", "executed 2", "executed 3", "executed 4"],
        ["executed 0", "executed 1", "executed 2"]
      ])
      assert.strictEqual(log.length, 8)
      const asked = exchanges.flatMap(({ turn }) => turn.calls.map(({ id }) => id))
      assert.strictEqual(new Set(asked).size, 8)
      const answered = messages.flatMap(({ content }) =>
        typeof content === "string" ? [] : content.flatMap((block) => block["tool_use_id"] ?? [])
      )
      assert.deepStrictEqual(answered, asked)
    })
  )

  it.effect("a model whose turn is not what it said before is answered for its turn", () =>
    Effect.gen(function* () {
      const said = turn([call("look", "a"), call("look", "b"), text, pause(1000)])
      const meant = turn([call("look", "b"), call("look", "c")])
      const odd = Stream.concat(
        Stream.filter(said, ({ _tag }) => _tag !== "TurnCompleted"),
        Stream.filter(meant, ({ _tag }) => _tag === "TurnCompleted")
      )
      const { exchanges, log } = yield* play([odd])
      assert.deepStrictEqual(answers(exchanges)[0], ["journal b", "executed c"])
      assert.deepStrictEqual(log, ["0 look a", "0 look b", "1000 look c"])
    })
  )
})

describe("a reply that is not complete", () => {
  const ends: ReadonlyArray<[string, string | null | Model.ModelError]> = [
    ["max_tokens", "max_tokens"],
    ["a refusal", "refusal"],
    ["end_turn", "end_turn"],
    ["a full context window", "model_context_window_exceeded"],
    ["no stop reason", null],
    ["a dead stream", dead]
  ]
  for (const [name, end] of ends) {
    it.effect(`${name}: starts nothing beyond what was safe, and stops what runs`, () =>
      Effect.gen(function* () {
        const said = [call("look", "a"), call("book", "b"), call("look", "c"), call("look", "d")]
        const { exchanges, interrupted, log } = yield* play([turn([...said, pause(100)], end)])
        assert.deepStrictEqual(
          log.map((line) => line.split(" ").slice(1).join(" ")),
          ["look a", "look c"]
        )
        assert.deepStrictEqual(interrupted, ["a", "c"])
        assert.isTrue(exchanges.every(({ batch }) => batch === undefined))
      })
    )
  }

  for (const [name, end] of [
    ["a stream that died", dead],
    ["a reply cut by max_tokens", "max_tokens"]
  ] as const) {
    it.effect(`${name}: what was done answers the same calls of the repeated turn`, () =>
      Effect.gen(function* () {
        const { exchanges, interrupted, log } = yield* play([
          turn([call("look", "a"), call("look", "b"), text, pause(300), call("look", "c"), text, pause(300)], end),
          turn([call("look", "c"), call("look", "b", "toolu_again"), call("book", "a"), call("look", "a")])
        ])
        const batch = exchanges.findLast(({ batch }) => batch !== undefined)?.batch
        assert.deepStrictEqual(answers(exchanges.filter(({ batch }) => batch !== undefined)), [
          ["executed c", "journal b", "executed a", "journal a"]
        ])
        const again = batch?.results[1]
        assert(again?._tag === "Success")
        assert.strictEqual(again.attempts, 0)
        assert.strictEqual(again.call.id, "toolu_again")
        // The one that was still running was interrupted, and is executed again.
        assert.deepStrictEqual(interrupted, ["c"])
        assert.deepStrictEqual(log, ["0 look a", "0 look b", "300 look c", "600 look c", "600 book a"])
      })
    )
  }

  it.effect("answers are kept while the stream dies again, each is used once, and none outlives the exchange", () =>
    Effect.gen(function* () {
      const rolls = (n: number) => Array.from({ length: n }, () => call("roll", "w"))
      const { exchanges, log } = yield* play([
        turn([...rolls(2), text, pause(100)], dead),
        turn([...rolls(1), text, pause(100)], dead),
        turn([...rolls(3), text, pause(100)]),
        turn([...rolls(1), text, pause(100)])
      ])
      assert.deepStrictEqual(answers(exchanges), [["journal 2", "journal 2", "executed 3"], ["executed 4"], undefined])
      assert.strictEqual(log.length, 4)
    })
  )

  it.effect("an answer is known again by what a reference points to, not by how it is written", () =>
    Effect.gen(function* () {
      const { exchanges, log } = yield* play(
        [
          turn([call("look", "a"), call("roll", { what: { $ref: "#1/what" } }), text, pause(900)], dead),
          turn([call("look", "b"), call("roll", { what: { $ref: "#1/what" } }), call("roll", { what: "a" })])
        ],
        { toolbox: Toolbox.withReferences(toolbox) }
      )
      assert.deepStrictEqual(answers(exchanges)[0], ["executed b", "executed 2", "journal 1"])
      assert.deepStrictEqual(log, ["0 look a", "500 roll a", "900 look b", "1400 roll b"])
    })
  )

  it.effect("an answer from before a write does not stand for a read that has to wait for it", () =>
    Effect.gen(function* () {
      const { exchanges, log } = yield* play([
        turn([call("seats", "a"), text, pause(900)], dead),
        turn([call("book", "a"), call("seats", "a"), text])
      ])
      assert.deepStrictEqual(answers(exchanges)[0], ["executed a", "executed a"])
      assert.deepStrictEqual(log, ["0 seats a", "900 book a", "1400 seats a"])
    })
  )

  it.effect("a model that does not come back leaves nothing running and no half exchange", () =>
    Effect.gen(function* () {
      const world = makeWorld()
      const conversation = yield* Agent.conversation()
      const cut = turn([call("look", "a"), call("book", "b"), text, pause(100)], dead)
      const exit = yield* Effect.fork(Effect.exit(agent([cut, cut, cut, cut], world, { conversation })))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.join(exit), Exit.fail(dead))
      assert.deepStrictEqual(world.interrupted, ["a", "a", "a", "a"])
      assert.strictEqual((yield* Ref.get(conversation)).length, 1)
    })
  )
})

describe("an agent that is stopped while its turn streams or its calls run", () => {
  // The stream: reads at 100 and 200, a write when it ends at 600; the calls end at 1100.
  const said = [call("look", "a"), pause(100), call("book", "b"), pause(100), call("look", "c"), text, pause(400)]

  const stopAt = (millis: number, twoTurns = turn(said)) =>
    Effect.gen(function* () {
      const world = makeWorld()
      const heard: Array<Agent.Exchange> = []
      const conversation = yield* Agent.conversation()
      const onExchange = (exchange: Agent.Exchange) => Effect.sync(() => heard.push(exchange))
      const fiber = yield* Effect.fork(agent([twoTurns], world, { conversation, onExchange }))
      yield* TestClock.adjust(millis)
      yield* Fiber.interrupt(fiber)
      const messages = yield* Ref.get(conversation)
      assertGoesOn(messages)
      return { ...world, heard: heard.filter(({ batch }) => batch !== undefined), messages }
    })

  for (const [millis, running] of [
    [50, []],
    [150, ["a"]],
    [300, ["a", "c"]],
    [599, ["a", "c"]]
  ] as const) {
    it.effect(`at ${millis} ms, in the stream, leaves nothing`, () =>
      Effect.gen(function* () {
        const { heard, interrupted, log, messages } = yield* stopAt(millis)
        assert.strictEqual(messages.length, 1)
        assert.deepStrictEqual(heard, [])
        assert.sameMembers(interrupted, [...running])
        assert.isFalse(log.some((line) => line.includes("book")))
      })
    )
  }

  it.effect("in the batch keeps what was done and says what is not known", () =>
    Effect.gen(function* () {
      const { heard, interrupted, messages } = yield* stopAt(650)
      assert.deepStrictEqual(answers(heard), [["executed a", "OutcomeUnknown", "OutcomeUnknown"]])
      assert.sameMembers(interrupted, ["b", "c"])
      assert.strictEqual(messages.length, 3)
    })
  )

  it.effect("at any millisecond leaves whole exchanges, told once", () =>
    Effect.forEach(Array.from({ length: 25 }, (_, i) => [i * 50 - 1, i * 50]).flat(), (millis) =>
      Effect.gen(function* () {
        const { heard, messages } = yield* stopAt(Math.max(0, millis))
        assert.strictEqual(heard.length, messages.length >= 3 ? 1 : 0, `at ${millis}`)
      }).pipe(Effect.provide(TestClock.defaultTestClock))
    )
  )

  it.effect("by its timeout in the stream stops what runs", () =>
    Effect.gen(function* () {
      const { interrupted, messages, stop } = yield* play([turn(said)], { timeout: "300 millis" })
      assert.strictEqual(stop, "out_of_time")
      assert.sameMembers(interrupted, ["a", "c"])
      assert.strictEqual(messages.length, 1)
    })
  )

  it.effect("in the moment in which its last call lands tells the exchange once, in full", () =>
    // One step of the fibers after the other from the handler's end on; who hears first that all have landed changes
    // with the number of calls.
    Effect.forEach(
      Array.from({ length: 30 }, (_, i) => [Math.floor(i / 3), (i % 3) + 1] as const),
      ([steps, calls]) =>
        Effect.gen(function* () {
          const running = yield* Deferred.make<Fiber.RuntimeFiber<unknown, unknown>>()
          const stop = Effect.yieldNow().pipe(
            Effect.repeatN(steps),
            Effect.zipRight(Deferred.await(running)),
            Effect.flatMap((fiber) => Fiber.interruptFork(fiber))
          )
          const world = makeWorld(Effect.forkDaemon(stop))
          const heard: Array<Agent.Exchange> = []
          const conversation = yield* Agent.conversation()
          const onExchange = (exchange: Agent.Exchange) => Effect.sync(() => heard.push(exchange))
          const rolls = Array.from({ length: calls - 1 }, (_, i) => call("roll", `${i}`))
          const said = turn([...rolls, call("book", "b")])
          const fiber = yield* Effect.fork(agent([said], world, { conversation, onExchange }))
          yield* Deferred.succeed(running, fiber)
          yield* TestClock.adjust("1 second")
          yield* Fiber.await(fiber)
          const messages = yield* Ref.get(conversation)
          assertGoesOn(messages)
          assert.isAtLeast(messages.length, 3)
          const told = heard.filter(({ batch }) => batch !== undefined)
          assert.deepStrictEqual(
            told.map(({ batch }) => batch?.results.length),
            [calls]
          )
        }).pipe(Effect.provide(TestClock.defaultTestClock))
    )
  )
})

const { reply, text: says, toolUse } = MessagesServer

/** The agent against a server that plays these replies over HTTP, and must have had nothing to object to. */
const overHttp = (...replies: ReadonlyArray<MessagesServer.Reply>) =>
  Effect.gen(function* () {
    const server = yield* MessagesServer.MessagesServer
    const { layer, log } = makeWorld()
    const { exchanges, messages } = yield* Agent.run({
      prompt: "Go.",
      toolbox,
      modelRetry: Schedule.recurs(3),
      onEvent: (event) =>
        Effect.sync(() => {
          if (event._tag === "TurnCompleted") log.push("- end")
        })
    }).pipe(
      Effect.provide(layer),
      Effect.provide(Anthropic.layer({ apiKey: Redacted.make("key"), baseURL: server.url, idleTimeout: "1 second" }))
    )
    assertGoesOn(messages)
    assert.deepStrictEqual(yield* server.rejections, [])
    return { exchanges, did: log.map((line) => line.split(" ").slice(1).join(" ")) }
  }).pipe(
    Effect.provide(
      MessagesServer.layer(({ requestNumber }) =>
        Effect.succeed(replies[requestNumber - 1] ?? reply({ content: [says("Done.")] }))
      ).pipe(Layer.provide(NodeHttpServer.layer(createServer, { port: 0 })))
    )
  )

const rollTwice = [toolUse("roll", { what: "a" }), toolUse("roll", { what: "b" })]

describe("over HTTP", () => {
  it.live("reads run while the reply still comes in", () =>
    Effect.gen(function* () {
      const content = [...rollTwice, toolUse("book", { what: "c" }), says("And so on.")]
      const { did, exchanges } = yield* overHttp(reply({ content, chunkDelay: "10 millis" }))
      assert.deepStrictEqual(did, ["roll a", "roll b", "end", "book c", "end"])
      assert.deepStrictEqual(answers(exchanges)[0], ["executed 1", "executed 2", "executed c"])
    })
  )

  for (const [name, fault] of [
    ["is cut", MessagesServer.cutAfter],
    ["loses its connection", MessagesServer.resetAfter],
    ["ends in an overloaded_error", MessagesServer.overloadedAfter],
    ["falls silent", MessagesServer.stallAfter]
  ] as const) {
    it.live(`a stream that ${name} costs no read that was done`, () =>
      Effect.gen(function* () {
        // In the middle of the text, long after the calls.
        const content = [...rollTwice, says("And so on.")]
        const { did, exchanges } = yield* overHttp(
          reply({ content, stopReason: "tool_use", chunkDelay: "20 millis", fault: fault(17) }),
          reply({ content: rollTwice.toReversed() })
        )
        assert.deepStrictEqual(did, ["roll a", "roll b", "end", "end"])
        assert.deepStrictEqual(answers(exchanges)[0], ["journal 2", "journal 1"])
      })
    )
  }
})

describe("a tool's word on its early start", () => {
  it("is true, false or nothing", () => {
    const earlyStart: unknown = "no"
    assert.throws(
      () =>
        Tool.Service()("odd", {
          description: "",
          input,
          output: input,
          effects: "read",
          earlyStart: earlyStart as true
        }),
      /earlyStart/
    )
  })
})
