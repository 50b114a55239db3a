import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { type BatchResult, Tool, Toolbox, ToolRunner } from "../src/index.ts"
import { inNoTime } from "./breaker/handClock.ts"

class Failed extends Schema.TaggedError<Failed>()("Failed", {}) {}

const input = Schema.Struct({ millis: Schema.optional(Schema.Number), fails: Schema.optional(Schema.Boolean) })
const options = { description: "Takes its time", input, output: Schema.String, failure: Failed } as const
const policy = {
  retry: false,
  circuitBreaker: false,
  timeout: { attempt: Duration.infinity, total: Duration.infinity },
  coalesce: false
} as const

class Work extends Tool.Service<Work>()("work", { ...options, effects: "read", policy }) {}
class Deploy extends Tool.Service<Deploy>()("deploy", { ...options, effects: "write", policy, after: [Work] }) {}
class Notify extends Tool.Service<Notify>()("notify", {
  ...options,
  effects: "write",
  policy,
  after: [Work],
  tolerates: true
}) {}

const toolbox = Toolbox.make(Work, Deploy, Notify)

const handler: Tool.Handler<typeof input.Type, string, Failed> = (
  { fails = false, millis = 0 },
  { dependencies, id }
) =>
  Effect.zipRight(
    Effect.sleep(millis),
    fails ? Effect.fail(new Failed()) : Effect.succeed(`${id}(${[...dependencies.keys()].join()})`)
  )

const layer = Layer.mergeAll(Work.layer(handler), Deploy.layer(handler), Notify.layer(handler), ToolRunner.layer)

const call = (id: string, millis: number, dependsOn: ReadonlyArray<string> = [], more: object = {}) => ({
  id,
  name: "work",
  input: { millis },
  dependsOn,
  ...more
})

const said = (batch: BatchResult.BatchResult) =>
  batch.results.map((result) => (result._tag === "Success" ? String(result.output) : result.error._tag))

const within = <A, E, R>(effect: Effect.Effect<A, E, R>, duration: Duration.DurationInput = "1 day") =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(effect)
    yield* TestClock.adjust(duration)
    return yield* Fiber.join(fiber)
  })

describe("the makespan of a batch", () => {
  interface Plan {
    readonly millis: number
    readonly needs: ReadonlyArray<number>
  }

  /** A plan in which every call needs some of those before it. */
  const plans = (most: number) =>
    FastCheck.array(
      FastCheck.record({
        millis: FastCheck.integer({ min: 0, max: 1000 }),
        needs: FastCheck.array(FastCheck.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), { maxLength: 4 })
      }),
      { minLength: 1, maxLength: most }
    ).map((calls): ReadonlyArray<Plan> =>
      calls.map(({ millis, needs }, i) => ({ millis, needs: i === 0 ? [] : needs.map((part) => Math.floor(part * i)) }))
    )

  const criticalPath = (plan: ReadonlyArray<Plan>): number => {
    const ends: Array<number> = []
    for (const { millis, needs } of plan) ends.push(millis + Math.max(0, ...needs.map((need) => ends[need] ?? 0)))
    return Math.max(...ends)
  }

  const callsOf = (plan: ReadonlyArray<Plan>) =>
    plan.map(({ millis, needs }, i) =>
      call(
        `c${i}`,
        millis,
        needs.map((need) => `c${need}`)
      )
    )

  it.effect.prop(
    "is the critical path exactly, for any plan, in any order of the calls",
    { plan: plans(40), seed: FastCheck.integer() },
    ({ plan, seed }) =>
      Effect.gen(function* () {
        const calls = callsOf(plan)
        const shuffled = calls.map((one, i) => ({ one, key: Math.sin(seed + i) })).toSorted((a, b) => a.key - b.key)
        const batch = yield* within(
          ToolRunner.run(
            toolbox,
            shuffled.map(({ one }) => one)
          )
        )
        assert.strictEqual(Duration.toMillis(batch.duration), criticalPath(plan))
        assert.strictEqual(batch.failed.length, 0)
      }).pipe(Effect.provide(layer)),
    { fastCheck: { numRuns: 100 } }
  )

  /** A plan of that many calls, each needing up to three of the fifty before it. */
  const planOf = (size: number, seed: number): ReadonlyArray<Plan> => {
    const [plan = []] = FastCheck.sample(
      FastCheck.infiniteStream(FastCheck.nat()).map((numbers) => {
        const next = () => Number(numbers.next().value)
        return Array.from({ length: size }, (_, i): Plan => ({
          millis: next() % 1000,
          needs: i === 0 ? [] : Array.from({ length: next() % 4 }, () => Math.max(0, i - 1 - (next() % 50)))
        }))
      }),
      { numRuns: 1, seed }
    )
    return plan
  }

  const sized = { size: FastCheck.integer({ min: 10, max: 1000 }), seed: FastCheck.nat() }

  it.live.prop(
    "is the critical path exactly, for plans of ten to a thousand calls",
    sized,
    ({ seed, size }) =>
      Effect.gen(function* () {
        const plan = planOf(size, seed)
        const batch = yield* inNoTime(ToolRunner.run(toolbox, callsOf(plan)))
        assert.strictEqual(Duration.toMillis(batch.duration), criticalPath(plan))
      }).pipe(Effect.provide(layer)),
    { fastCheck: { numRuns: 30 }, timeout: 60_000 }
  )

  it.live(
    "is the critical path exactly, for ten thousand calls",
    () =>
      Effect.gen(function* () {
        const plan = planOf(10_000, 1)
        const batch = yield* inNoTime(ToolRunner.run(toolbox, callsOf(plan)))
        assert.strictEqual(Duration.toMillis(batch.duration), criticalPath(plan))
      }).pipe(Effect.provide(layer)),
    60_000
  )

  it.live.prop(
    "with a limit, nothing idles while something is ready",
    { ...sized, size: FastCheck.integer({ min: 10, max: 200 }), limit: FastCheck.integer({ min: 1, max: 8 }) },
    ({ limit, seed, size }) =>
      Effect.gen(function* () {
        const plan = planOf(size, seed).map(({ millis, needs }) => ({ millis: millis + 1, needs }))
        const spans = new Map<string, { readonly start: number; readonly end: number }>()
        const timed: typeof handler = (given, { id }) =>
          Effect.gen(function* () {
            const start = yield* Clock.currentTimeMillis
            yield* Effect.sleep(given.millis ?? 0)
            spans.set(id, { start, end: yield* Clock.currentTimeMillis })
            return id
          })
        yield* inNoTime(ToolRunner.run(toolbox, callsOf(plan), { concurrency: limit })).pipe(
          Effect.provide(Layer.mergeAll(layer, Work.layer(timed)))
        )
        const all = [...spans.values()]
        const runningAt = (time: number) => all.filter(({ end, start }) => start <= time && time < end).length
        for (const { start } of all) assert.isAtMost(runningAt(start), limit)
        plan.forEach(({ needs }, i) => {
          const ready = Math.max(0, ...needs.map((need) => spans.get(`c${need}`)?.end ?? Number.NaN))
          const start = spans.get(`c${i}`)?.start ?? Number.NaN
          // From when it was ready until it started, every slot was taken at every moment anything changed.
          const changes = [ready, ...all.flatMap(({ end, start }) => [start, end])].filter(
            (t) => ready <= t && t < start
          )
          for (const time of changes) assert.strictEqual(runningAt(time), limit)
        })
      }),
    { fastCheck: { numRuns: 30 }, timeout: 60_000 }
  )
})

describe("what a call waits for", () => {
  it.effect("`after` waits for all calls of a tool, wherever they stand, and takes their outputs", () =>
    Effect.gen(function* () {
      const batch = yield* within(
        ToolRunner.run(toolbox, [{ id: "d", name: "deploy", input: {} }, call("a", 100), call("b", 200)])
      )
      assert.deepStrictEqual(said(batch), ["d(a,b)", "a()", "b()"])
      assert.strictEqual(Duration.toMillis(batch.duration), 200)
    }).pipe(Effect.provide(layer))
  )

  it.effect("a failure skips those after it, but for those that tolerate it", () =>
    Effect.gen(function* () {
      const batch = yield* within(
        ToolRunner.run(toolbox, [
          { ...call("a", 100), input: { millis: 100, fails: true } },
          call("b", 200),
          { id: "d", name: "deploy", input: {} },
          { id: "n", name: "notify", input: {} },
          call("skipped", 0, ["a"]),
          call("tolerant", 0, ["a"], { tolerates: true })
        ])
      )
      assert.deepStrictEqual(said(batch), [
        "ToolFailure",
        "b()",
        "DependencyFailed",
        "n(b,tolerant)",
        "DependencyFailed",
        "tolerant()"
      ])
    }).pipe(Effect.provide(layer))
  )

  it.effect("cycles fail exactly the calls on them and downstream, and the healthy part runs", () =>
    Effect.gen(function* () {
      const batch = yield* within(
        ToolRunner.run(toolbox, [
          call("a", 0, ["b"]),
          call("b", 0, ["c"]),
          call("c", 0, ["a"]),
          call("after", 0, ["a"]),
          call("self", 0, ["self"]),
          call("fine", 100),
          call("unknown", 0, ["nowhere"]),
          call("twice", 0),
          call("twice", 0),
          call("vague", 0, ["twice"])
        ])
      )
      assert.deepStrictEqual(said(batch), [
        "DependencyCycle",
        "DependencyCycle",
        "DependencyCycle",
        "DependencyFailed",
        "DependencyCycle",
        "fine()",
        "UnresolvedReference",
        "twice()",
        "twice()",
        "UnresolvedReference"
      ])
      const error = batch.failed[1]?.error
      assert.deepStrictEqual(error?._tag === "DependencyCycle" ? error.cycle : [], ["b", "c", "a"])
    }).pipe(Effect.provide(layer))
  )

  it.effect("a call that names two others by one id is refused, also where all else is in order", () =>
    Effect.gen(function* () {
      const calls = [call("twice", 0), call("twice", 0), call("vague", 0, ["twice"])]
      const batch = yield* inNoTime(ToolRunner.run(toolbox, calls))
      assert.deepStrictEqual(said(batch), ["twice()", "twice()", "UnresolvedReference"])
      const error = batch.failed[0]?.error
      assert.strictEqual(
        error?._tag === "UnresolvedReference" ? error.reason : error?._tag,
        "2 calls of this turn have that id"
      )
    }).pipe(Effect.provide(layer))
  )

  it.effect("a call that waits for itself is refused, also where all else is in order", () =>
    Effect.gen(function* () {
      const batch = yield* inNoTime(ToolRunner.run(toolbox, [call("fine", 0), call("self", 0, ["self"])]))
      assert.deepStrictEqual(said(batch), ["fine()", "DependencyCycle"])
    }).pipe(Effect.provide(layer))
  )

  it.effect("a cycle of ten thousand calls is told in no time worth the name", () =>
    Effect.gen(function* () {
      const calls = Array.from({ length: 10_000 }, (_, i) => call(`c${i}`, 0, [`c${(i + 1) % 10_000}`]))
      const batch = yield* ToolRunner.run(toolbox, calls)
      assert.isTrue(batch.failed.every(({ error }) => error._tag === "DependencyCycle"))
      assert.strictEqual(batch.failed.length, 10_000)
    }).pipe(Effect.provide(layer))
  )
})

describe("an open batch", () => {
  it.effect("starts calls as they come, and gives results as they land", () =>
    Effect.gen(function* () {
      const batch = yield* ToolRunner.open(toolbox)
      const landed: Array<readonly [string, number]> = []
      yield* Effect.fork(
        Stream.runForEach(batch.results, ({ call }) =>
          Effect.map(Clock.currentTimeMillis, (time) => landed.push([call.id, time]))
        )
      )
      yield* batch.submit(call("slow", 300))
      yield* TestClock.adjust("100 millis")
      yield* batch.submit(call("quick", 100))
      yield* batch.submit(call("needs a later one", 0, ["later"]))
      yield* TestClock.adjust("100 millis")
      yield* batch.submit(call("later", 50))
      yield* batch.seal
      yield* TestClock.adjust("100 millis")
      const result = yield* batch.await
      assert.deepStrictEqual(landed, [
        ["quick", 200],
        ["later", 250],
        ["needs a later one", 250],
        ["slow", 300]
      ])
      assert.deepStrictEqual(
        result.results.map(({ call }) => call.id),
        ["slow", "quick", "needs a later one", "later"]
      )
      assert.strictEqual(Duration.toMillis(result.duration), 300)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("holds what is to be held, and what comes after a tool's calls, until it is sealed", () =>
    Effect.gen(function* () {
      const batch = yield* ToolRunner.open(toolbox)
      yield* batch.submit(call("held", 100), { hold: true })
      yield* batch.submit({ id: "d", name: "deploy", input: {} })
      yield* TestClock.adjust("1 second")
      yield* batch.submit(call("last", 200))
      yield* batch.seal
      yield* TestClock.adjust("200 millis")
      const { duration, results } = yield* batch.await
      assert.strictEqual(Duration.toMillis(duration), 1200)
      assert.deepStrictEqual(
        results.map(({ _tag }) => _tag),
        ["Success", "Success", "Success"]
      )
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("ends its results when it is sealed empty, and takes no call any more", () =>
    Effect.gen(function* () {
      const batch = yield* ToolRunner.open(toolbox)
      yield* batch.seal
      yield* batch.seal
      assert.isTrue(Chunk.isEmpty(yield* Stream.runCollect(batch.results)))
      assert.strictEqual((yield* batch.await).results.length, 0)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(batch.submit(call("late", 0)))))
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("that is left before all have landed interrupts what runs, and says what became of every call", () =>
    Effect.gen(function* () {
      let told: BatchResult.BatchResult | undefined
      const scope = yield* Scope.make()
      const batch = yield* ToolRunner.open(toolbox, {
        onInterrupt: (batch) =>
          Effect.sync(() => {
            told = batch
          })
      }).pipe(Scope.extend(scope))
      yield* batch.submit(call("done", 10))
      yield* batch.submit(call("running", 1000))
      yield* batch.submit(call("held", 0), { hold: true })
      yield* TestClock.adjust("100 millis")
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(told === undefined ? [] : said(told), ["done()", "OutcomeUnknown", "NotStarted"])
    }).pipe(Effect.provide(layer))
  )
})
