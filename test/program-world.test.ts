import * as HttpClient from "@effect/platform/HttpClient"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Actions from "../src/program/actions.ts"
import * as Carrier from "../src/program/world/Carrier.ts"
import * as Rates from "../src/program/world/Rates.ts"
import * as World from "../src/program/world/World.ts"

const Platform = Layer.merge(NodeContext.layer, NodeHttpClient.layerUndici)

/**
 * A world of its own for every test. Layers are memoized by reference: these rates are the ones inside the world.
 */
const Outside = Layer.merge(World.layer, Rates.layer)

const inWorld = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provide(effect, Layer.merge(Outside, Platform))

/** The codes and tags met on the way down an error's causes. */
const causes = (error: unknown): ReadonlyArray<string> => {
  const found: Array<string> = []
  for (let link = error; typeof link === "object" && link !== null; link = "cause" in link ? link.cause : undefined) {
    if ("_tag" in link) found.push(String(link._tag))
    if ("code" in link) found.push(String(link.code))
  }
  return found
}

/** Both mean: the connection was open, then gone. */
const lostConnection = ["UND_ERR_SOCKET", "ECONNRESET", "EPIPE"]

const assertLostConnection = (error: unknown, tag: string) => {
  const [outer, client, code] = causes(error)
  assert.deepStrictEqual([outer, client], [tag, "RequestError"])
  assert.include(lostConnection, code)
}

const tracking = "NX482910077DE"
const money = { order: "1007", amount: 129.9 }

/** Ends as soon as so many requests hang at the rates service. */
const waitingAtRates = (count: number) =>
  Effect.flatMap(Rates.Rates, ({ waiting }) => Stream.runDrain(Stream.takeUntil(waiting, (n) => n === count)))

/** A renderer of one's own: `command` runs `script`. */
const withReportCommand = (command: string, script: string) =>
  Effect.gen(function* () {
    const world = yield* World.World
    return yield* Effect.provideService(Actions.renderReport("1007"), World.World, {
      ...world,
      reportCommand: { command, args: ["-e", script] }
    })
  })

describe("the data on disk", () => {
  it.scopedLive("holds order 1007, whose items add up to 129.90 USD", () =>
    Effect.gen(function* () {
      const order = yield* Actions.lookUpOrder("1007")
      const cents = order.items.reduce((sum, item) => sum + Math.round(item.unitPrice * 100) * item.quantity, 0)
      assert.deepStrictEqual([order.total, order.currency], [129.9, "USD"])
      assert.strictEqual(cents, 12_990)
      assert.strictEqual(order.status, "delayed")
      assert.strictEqual(order.trackingNumber, tracking)
    }).pipe(inWorld)
  )

  it.scopedLive("says which order it does not hold", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Actions.lookUpOrder("9"))
      assert.strictEqual(error._tag, "OrderNotFound")
      assert.strictEqual(error.message, "there is no order 9")
    }).pipe(inWorld)
  )

  it.scopedLive("keeps the file system's error as the cause when files are missing", () =>
    Effect.gen(function* () {
      const world = yield* World.World
      const moved = Effect.provideService(World.World, {
        ...world,
        ordersFile: "/nowhere/orders.json",
        policiesFolder: "/nowhere"
      })
      const orders = yield* Effect.flip(moved(Actions.lookUpOrder("1007")))
      const policies = yield* Effect.flip(moved(Actions.searchPolicies("refund")))
      assert.deepStrictEqual(causes(orders).slice(0, 3), ["OrdersUnreadable", "SystemError", "ENOENT"])
      assert.deepStrictEqual(causes(policies).slice(0, 3), ["PoliciesUnreadable", "SystemError", "ENOENT"])
    }).pipe(inWorld)
  )

  for (const [query, file] of [
    ["refund for a lost order", "refunds.md"],
    ["parcel delayed, no scan by the carrier", "shipping-delays.md"],
    ["photo of a broken or damaged item", "damaged-goods.md"],
    ["exchange rate currency", "currencies.md"]
  ] as const) {
    it.scopedLive(`answers "${query}" with ${file} first`, () =>
      Effect.gen(function* () {
        const [first] = yield* Actions.searchPolicies(query)
        assert.strictEqual(first?.file, file)
        assert.isNotEmpty(first?.excerpt)
        assert.notInclude(first?.title, "#")
      }).pipe(inWorld)
    )
  }

  it.scopedLive("finds no policy on what no policy is about", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Actions.searchPolicies("xylophone the of"), [])
    }).pipe(inWorld)
  )
})

describe("the carrier", () => {
  it.scopedLive("hangs up on the first request and answers the second", () =>
    Effect.gen(function* () {
      assertLostConnection(yield* Effect.flip(Actions.trackParcel(tracking)), "TrackingFailed")
      const parcel = yield* Actions.trackParcel(tracking)
      assert.strictEqual(parcel.status, "lost")
      assert.strictEqual(parcel.lastScan.place, "Leipzig hub")
    }).pipe(inWorld)
  )

  it.scopedLive("sees one request per call even on a connection already in use", () =>
    Effect.gen(function* () {
      const { carrierUrl } = yield* World.World
      const warmUp = yield* HttpClient.get(`${carrierUrl}/nothing-here`)
      yield* warmUp.text
      assert.strictEqual(warmUp.status, 404)
      assertLostConnection(yield* Effect.flip(Actions.trackParcel(tracking)), "TrackingFailed")
    }).pipe(inWorld)
  )

  it.scopedLive("answers 404 for a number it does not know", () =>
    Effect.gen(function* () {
      yield* Effect.ignore(Actions.trackParcel(tracking))
      const error = yield* Effect.flip(Actions.trackParcel("no/such number"))
      assert.deepStrictEqual(causes(error), ["TrackingFailed", "ResponseError"])
    }).pipe(inWorld)
  )

  it.scopedLive("refuses connections once its scope is closed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const carrier = yield* Effect.map(Layer.buildWithScope(Carrier.layer, scope), Context.get(Carrier.Carrier))
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(HttpClient.get(carrier.url))
      assert.include(causes(error), "ECONNREFUSED")
    }).pipe(Effect.provide(Platform))
  )
})

describe("the rates service", () => {
  it.scopedLive("takes the request and never answers", () =>
    Effect.gen(function* () {
      const answer = yield* Effect.timeoutOption(Actions.exchangeRate("USD", "EUR"), "200 millis")
      assert.deepStrictEqual(answer, Option.none())
    }).pipe(inWorld)
  )

  it.scopedLive("lets go of a request whose caller gave up", () =>
    Effect.gen(function* () {
      const caller = yield* Effect.fork(Actions.exchangeRate("USD", "EUR"))
      yield* waitingAtRates(1)
      yield* Fiber.interrupt(caller)
      yield* waitingAtRates(0)
    }).pipe(Effect.timeout("5 seconds"), inWorld)
  )

  it.scopedLive("does not hold up the end of the world", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Outside, scope)
      const caller = yield* Effect.fork(Effect.provide(Actions.exchangeRate("USD", "EUR"), context))
      yield* Effect.provide(waitingAtRates(1), context)
      yield* Scope.close(scope, Exit.void).pipe(Effect.timeout("1 second"))
      assertLostConnection(yield* Effect.flip(Fiber.join(caller)), "RateUnavailable")
    }).pipe(Effect.provide(Platform))
  )
})

describe("the refund server", () => {
  it.scopedLive("commits although the caller gets no answer, and says so when asked", () =>
    Effect.gen(function* () {
      const { ledger } = yield* World.World
      assert.deepStrictEqual(yield* Actions.listRefunds("1007"), [])
      assertLostConnection(yield* Effect.flip(Actions.refund(money)), "RefundFailed")
      assert.deepStrictEqual(yield* ledger.entries, [{ id: "re_1", ...money }])
      assert.deepStrictEqual(yield* Actions.listRefunds("1007"), [{ id: "re_1", ...money }])
      assert.deepStrictEqual(yield* Actions.listRefunds("1008"), [])
    }).pipe(inWorld)
  )

  it.scopedLive("answers a repeated key with the earlier refund: one entry", () =>
    Effect.gen(function* () {
      const { ledger } = yield* World.World
      const safe = { ...money, idempotencyKey: "refund-1007" }
      assertLostConnection(yield* Effect.flip(Actions.refund(safe)), "RefundFailed")
      const answers = yield* Effect.all([Actions.refund(safe), Actions.refund(safe)], { concurrency: 2 })
      assert.deepStrictEqual(
        answers.map(({ id }) => id),
        ["re_1", "re_1"]
      )
      assert.strictEqual((yield* ledger.entries).length, 1)
    }).pipe(inWorld)
  )

  it.scopedLive("finds what was paid under a key, and only that", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Actions.findRefund("1007", "a"), Option.none())
      yield* Effect.ignore(Actions.refund({ ...money, idempotencyKey: "a" }))
      yield* Actions.refund({ ...money, idempotencyKey: "b/c d" })
      const found = yield* Effect.all([Actions.findRefund("1007", "b/c d"), Actions.findRefund("1007", "b")])
      assert.deepStrictEqual(found, [Option.some({ id: "re_2", ...money, idempotencyKey: "b/c d" }), Option.none()])
    }).pipe(inWorld)
  )

  it.scopedLive("goes on with the ledger of an earlier time, and tells of a refund before it answers", () =>
    Effect.gen(function* () {
      const before = { id: "re_1", ...money, idempotencyKey: "a" }
      const told: Array<string> = []
      const world = World.layerWith({
        refunds: [before],
        onCommit: ({ id }) => Effect.sync(() => void told.push(id))
      })
      const { ledger } = yield* Effect.gen(function* () {
        assert.strictEqual((yield* Actions.refund({ ...money, idempotencyKey: "a" })).id, "re_1")
        assert.deepStrictEqual(told, [])
        assert.strictEqual((yield* Actions.refund({ ...money, idempotencyKey: "b" })).id, "re_2")
        assert.deepStrictEqual(told, ["re_2"])
        return yield* World.World
      }).pipe(Effect.provide(Layer.merge(world, Platform)))
      assert.lengthOf(yield* ledger.entries, 2)
    })
  )

  it.scopedLive("takes a repeated request without a key for a new one: two entries", () =>
    Effect.gen(function* () {
      const { ledger } = yield* World.World
      const answer = yield* Effect.retry(Actions.refund(money), { times: 3 })
      assert.strictEqual(answer.id, "re_2")
      assert.strictEqual((yield* ledger.entries).length, 2)
    }).pipe(inWorld)
  )

  it.scopedLive("takes another key for another refund, and no key twice for different money", () =>
    Effect.gen(function* () {
      const { ledger } = yield* World.World
      yield* Effect.ignore(Actions.refund({ ...money, idempotencyKey: "a" }))
      const other = yield* Actions.refund({ ...money, idempotencyKey: "b" })
      const reused = yield* Effect.flip(Actions.refund({ order: "1007", amount: 5, idempotencyKey: "b" }))
      assert.strictEqual(other.id, "re_2")
      assert.deepStrictEqual(causes(reused), ["RefundFailed", "ResponseError"])
      assert.strictEqual((yield* ledger.entries).length, 2)
    }).pipe(inWorld)
  )

  it.scopedLive("commits nothing for a request it cannot read", () =>
    Effect.gen(function* () {
      const { ledger } = yield* World.World
      const error = yield* Effect.flip(Actions.refund({ order: "1007", amount: -1 }))
      assert.deepStrictEqual(causes(error), ["RefundFailed", "ResponseError"])
      assert.deepStrictEqual(yield* ledger.entries, [])
    }).pipe(inWorld)
  )

  it.scopedLive("hangs up once, whatever arrives together", () =>
    Effect.gen(function* () {
      const { ledger } = yield* World.World
      const answers = yield* Effect.all(
        Array.from({ length: 5 }, (_, n) => Effect.either(Actions.refund({ ...money, idempotencyKey: `key-${n}` }))),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(answers.filter(Either.isLeft).length, 1)
      assert.strictEqual((yield* ledger.entries).length, 5)
    }).pipe(inWorld)
  )
})

describe("the report renderer", () => {
  it.scopedLive("exits with code 3 and says why", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Actions.renderReport("1007"))
      assert(error._tag === "ReportFailed")
      assert.strictEqual(error.exitCode, 3)
      assert.include(error.output, "template")
    }).pipe(inWorld)
  )

  it.scopedLive("answers with what it printed when it succeeds", () =>
    Effect.gen(function* () {
      const report = yield* withReportCommand(process.execPath, "console.log('report', process.argv.at(-1))")
      assert.strictEqual(report, "report 1007\n")
    }).pipe(inWorld)
  )

  it.scopedLive("is a different failure when it could not run or was killed", () =>
    Effect.gen(function* () {
      const missing = yield* Effect.flip(withReportCommand("no-such-renderer", ""))
      const killed = yield* Effect.flip(withReportCommand(process.execPath, "process.kill(process.pid, 'SIGKILL')"))
      assert.deepStrictEqual(causes(missing).slice(0, 2), ["ReportNotRun", "SystemError"])
      assert.deepStrictEqual(causes(killed).slice(0, 2), ["ReportNotRun", "SystemError"])
    }).pipe(inWorld)
  )
})

describe("two worlds", () => {
  it.scopedLive("share nothing", () =>
    Effect.gen(function* () {
      const worlds = yield* Effect.all(Chunk.makeBy(2, () => Layer.build(Layer.fresh(World.layer))))
      yield* Effect.forEach(worlds, (context) => Effect.ignore(Effect.provide(Actions.refund(money), context)))
      const counts = yield* Effect.forEach(worlds, (context) => Context.get(context, World.World).ledger.entries)
      assert.deepStrictEqual(
        counts.map((entries) => entries.length),
        [1, 1]
      )
    }).pipe(Effect.provide(Platform))
  )
})
