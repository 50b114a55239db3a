/** A process that dies in the middle of what it does to a key-value store, at every step in turn. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { age, connect, interfering, silence } from "./keys.ts"
import { openMap, read, write } from "./world.ts"

/** What is certain of a log, and what was just being done to it. */
interface Fact {
  sure: Array<string>
  doing?: "open" | "remove" | "let go" | { readonly append: string } | undefined
}

/** What a process does, noting what it is told. */
interface Process {
  readonly write: (log: string, ...records: ReadonlyArray<string>) => Effect.Effect<void, unknown>
  readonly remove: (log: string) => Effect.Effect<void, unknown>
  /** The next log that is begun takes the place of this one. */
  readonly letGo: (log: string) => void
}

interface Scenario {
  readonly name: string
  readonly maxLogs: number
  readonly before?: (process: Process) => Effect.Effect<void, unknown>
  readonly run: (process: Process) => Effect.Effect<void, unknown>
}

const scenarios: ReadonlyArray<Scenario> = [
  {
    name: "writing, going on and removing",
    maxLogs: 100,
    run: ({ remove, write }) =>
      Effect.gen(function* () {
        yield* write("a", "a1", "a2")
        yield* write("b", "b1")
        yield* write("c", "c1")
        yield* write("a", "a3")
        yield* remove("a")
        yield* write("b", "b2")
        yield* write("a", "a4")
      })
  },
  {
    name: "removing a log of many writes",
    maxLogs: 100,
    before: ({ write }) => write("a", ...Array.from({ length: 40 }, (_, i) => `a${i}`)),
    run: ({ remove }) => remove("a")
  },
  {
    name: "letting go of old logs",
    maxLogs: 2,
    before: ({ write }) =>
      Effect.gen(function* () {
        yield* write("a", "a1", "a2")
        yield* TestClock.adjust("1 second")
        yield* write("b", "b1")
        yield* TestClock.adjust("1 second")
      }),
    run: ({ letGo, write }) =>
      Effect.gen(function* () {
        letGo("a")
        yield* write("c", "c1")
        yield* TestClock.adjust("1 second")
        letGo("b")
        yield* write("d", "d1")
      })
  }
]

/** How far a change gets at which the process dies; if nowhere, it is as if it died at the end of the one before. */
type End = "empty" | "half" | "after"

const endsOf = (change: "set" | "remove"): ReadonlyArray<End> =>
  change === "set" ? ["empty", "half", "after"] : ["after"]

/** Plays a scenario in which the process dies at the change with this number. */
const play = ({ before, maxLogs, run }: Scenario, at: number, end: End) =>
  Effect.gen(function* () {
    const { map, store: keys } = openMap()
    const facts = new Map<string, Fact>()
    const dead = yield* Deferred.make<void>()
    const changes: Array<"set" | "remove"> = []
    let isCounting = false

    const store = yield* connect(
      interfering(keys, (key, text, change) => {
        if (!isCounting) return change
        if (changes.length > at) return silence
        changes.push(text === undefined ? "remove" : "set")
        if (changes.length <= at) return change
        if (text !== undefined && end !== "after") map.set(key, end === "empty" ? "" : text.slice(0, text.length / 2))
        return (end === "after" ? change : Effect.void).pipe(
          Effect.zipRight(Deferred.succeed(dead, undefined)),
          Effect.zipRight(silence)
        )
      }),
      { maxLogs, maxAge: age }
    )

    const factOf = (log: string) => {
      const fact = facts.get(log) ?? { sure: [] }
      facts.set(log, fact)
      return fact
    }

    const doing = <A>(fact: Fact, what: Fact["doing"], effect: Effect.Effect<A, unknown, Scope.Scope>) =>
      Effect.suspend(() => {
        fact.doing = what
        return Effect.tap(effect, () => {
          fact.doing = undefined
        })
      })

    const process: Process = {
      write: (log, ...records) =>
        Effect.gen(function* () {
          const fact = factOf(log)
          const { append } = yield* doing(fact, "open", store.open(log))
          for (const other of facts.values()) {
            if (other.doing === "let go") Object.assign(other, { sure: [], doing: undefined })
          }
          for (const record of records) {
            yield* doing(fact, { append: record }, append([record]))
            fact.sure.push(record)
          }
        }).pipe(Effect.scoped),
      remove: (log) =>
        Effect.map(Effect.scoped(doing(factOf(log), "remove", store.remove(log))), () => {
          factOf(log).sure = []
        }),
      letGo: (log) => {
        factOf(log).doing = "let go"
      }
    }

    if (before !== undefined) yield* before(process)
    isCounting = true
    const running = yield* Effect.fork(run(process))
    yield* Effect.raceFirst(Fiber.join(running), Deferred.await(dead))
    yield* Fiber.interruptFork(running)
    return { changes, facts, keys, map }
  })

const possible = ({ doing, sure }: Fact): ReadonlyArray<ReadonlyArray<string>> => {
  if (doing === "remove" || doing === "let go") return [sure, []]
  if (typeof doing !== "object") return [sure]
  const { append } = doing
  return [sure, ...Array.from(append, (_, i) => sure.concat(append.slice(0, i + 1)))]
}

describe("a process that dies at any step", () => {
  for (const scenario of scenarios) {
    it.scoped(
      `loses nothing that was acknowledged, invents nothing, and leaves nothing behind: ${scenario.name}`,
      () =>
        Effect.gen(function* () {
          const unharmed = yield* play(scenario, Number.POSITIVE_INFINITY, "after")
          assert.isAbove(unharmed.changes.length, 10)
          for (const [at, change] of unharmed.changes.entries()) {
            for (const end of endsOf(change)) {
              const message = `dead at change ${at}, ${end}`
              const { facts, keys, map } = yield* play(scenario, at, end)
              const next = yield* connect(keys, { maxAge: age })
              for (const [log, fact] of facts) {
                const found = yield* read(next, log)
                assert.deepInclude(possible(fact), found, `${log} ${message}`)
                yield* write(next, log, "after")
                assert.deepStrictEqual(yield* read(next, log), [...found, "after"], `${log} ${message}`)
              }
              // Whatever is there is found once it is too old.
              yield* TestClock.adjust(Duration.times(age, 2))
              yield* read(yield* connect(keys, { maxAge: age }), "sweep")
              assert.lengthOf([...map.keys()], 2, message)
            }
          }
        }),
      120_000
    )
  }
})
