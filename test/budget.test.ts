import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as TestClock from "effect/TestClock"
import * as Budget from "../src/internal/budget.ts"

const options: Budget.Options = { ratio: 0.2, floor: 3, floorMillis: 10_000, cap: 20 }

/** How many of `n` withdrawals made at once are granted. */
const granted = (budget: Budget.Budget, n: number) =>
  Effect.map(
    Effect.replicateEffect(budget.withdraw, n, { concurrency: "unbounded" }),
    (answers) => answers.filter(Boolean).length
  )

const deposits = (budget: Budget.Budget, n: number) =>
  Effect.sync(() => {
    for (let i = 0; i < n; i++) budget.deposit()
  })

describe("a budget", () => {
  it.effect("grants the floor out of an empty balance, and again when its time is over", () =>
    Effect.gen(function* () {
      const budget = Budget.make(options)
      assert.strictEqual(yield* budget.available, 3)
      assert.strictEqual(yield* granted(budget, 10), 3)
      assert.strictEqual(yield* budget.available, 0)
      yield* TestClock.adjust(9_999)
      assert.isFalse(yield* budget.withdraw)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* granted(budget, 10), 3)
    })
  )

  it.effect("gives the floor back one by one, each ten seconds after it was used", () =>
    Effect.gen(function* () {
      const budget = Budget.make(options)
      for (let i = 0; i < 3; i++) {
        assert.isTrue(yield* budget.withdraw)
        yield* TestClock.adjust(1000)
      }
      yield* TestClock.adjust(7000)
      assert.strictEqual(yield* budget.available, 1)
      assert.strictEqual(yield* granted(budget, 5), 1)
      yield* TestClock.adjust(1000)
      assert.strictEqual(yield* granted(budget, 5), 1)
    })
  )

  it.effect("grants one further execution for five first attempts, on top of the floor", () =>
    Effect.gen(function* () {
      const budget = Budget.make(options)
      yield* deposits(budget, 49)
      assert.strictEqual(yield* granted(budget, 100), 9 + 3)
      yield* deposits(budget, 1)
      assert.strictEqual(yield* granted(budget, 100), 1)
    })
  )

  it.effect("spends what was saved up before it touches the floor", () =>
    Effect.gen(function* () {
      const budget = Budget.make(options)
      yield* deposits(budget, 5)
      assert.isTrue(yield* budget.withdraw)
      assert.strictEqual(yield* budget.available, 3)
    })
  )

  it.effect("saves up no more than the cap", () =>
    Effect.gen(function* () {
      const budget = Budget.make(options)
      yield* deposits(budget, 1000)
      assert.strictEqual(yield* budget.available, 23)
      assert.strictEqual(yield* granted(budget, 100), 20 + 3)
    })
  )

  it.effect("counts exactly: ten tenths are one", () =>
    Effect.gen(function* () {
      const budget = Budget.make({ ...options, ratio: 0.1, floor: 0 })
      yield* deposits(budget, 9)
      assert.isFalse(yield* budget.withdraw)
      yield* deposits(budget, 1)
      assert.isTrue(yield* budget.withdraw)
    })
  )

  it.effect("a hundred calls that begin and fail at the same time find what they have put in", () =>
    Effect.gen(function* () {
      const budget = Budget.make(options)
      const call = Effect.zipRight(
        Effect.sync(budget.deposit),
        Effect.zipRight(Effect.sleep("1 second"), budget.withdraw)
      )
      const fiber = yield* Effect.fork(Effect.replicateEffect(call, 100, { concurrency: "unbounded" }))
      yield* TestClock.adjust("1 second")
      const answers = yield* fiber
      assert.strictEqual(answers.filter(Boolean).length, 20 + 3)
    })
  )

  it.effect("without ratio and floor grants nothing", () =>
    Effect.gen(function* () {
      const budget = Budget.make({ ratio: 0, floor: 0, floorMillis: 10_000, cap: 20 })
      yield* deposits(budget, 100)
      assert.isFalse(yield* budget.withdraw)
      assert.strictEqual(yield* budget.available, 0)
    })
  )

  it("agrees with a recount from the whole history", () => {
    type Event = { readonly deposit: boolean; readonly after: number }
    const event: FastCheck.Arbitrary<Event> = FastCheck.record({
      deposit: FastCheck.boolean(),
      after: FastCheck.constantFrom(0, 1, 500, 2500, 9_999, 10_000)
    })
    const settings = FastCheck.record({
      ratio: FastCheck.constantFrom(0, 0.1, 0.2, 0.3, 1, 2.5),
      floor: FastCheck.integer({ min: 0, max: 4 }),
      floorMillis: FastCheck.constant(10_000),
      cap: FastCheck.constantFrom(0, 1, 2, 20)
    })
    /** In tenths: whole numbers. `floorUsed` are the times at which only the floor could pay. */
    const recount = (history: ReadonlyArray<{ deposit: boolean; at: number }>, options: Budget.Options) => {
      let tenths = 0
      let answer = false
      const floorUsed: Array<number> = []
      for (const { at, deposit } of history) {
        if (deposit) {
          tenths = Math.min(options.cap * 10, tenths + Math.round(options.ratio * 10))
          continue
        }
        const used = floorUsed.filter((use) => use > at - options.floorMillis && use <= at).length
        answer = tenths >= 10 || used < options.floor
        if (tenths >= 10) tenths -= 10
        else if (answer) floorUsed.push(at)
      }
      return answer
    }
    FastCheck.assert(
      FastCheck.property(settings, FastCheck.array(event, { maxLength: 60 }), (options, events) => {
        let state = Budget.empty
        let at = 0
        const history: Array<{ deposit: boolean; at: number }> = []
        for (const { after, deposit } of events) {
          at += after
          history.push({ deposit, at })
          if (deposit) {
            state = Budget.deposited(state, options)
            continue
          }
          const possible = Budget.left(state, options, at)
          const [answer, next] = Budget.withdrawn(state, options, at)
          state = next
          assert.strictEqual(answer, recount(history, options))
          assert.strictEqual(possible > 0, answer)
          assert.isAtMost(state.granted.length, options.floor)
        }
      }),
      { numRuns: 500 }
    )
  })
})
