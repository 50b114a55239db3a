/**
 * Drives a store of breakers with random commands and compares it with `reference.ts` after every one of them.
 *
 * For another store than the one in memory:
 *
 * ```ts
 * it.live("the Redis store is the reference breaker", () =>
 *   Effect.gen(function* () {
 *     const tally = yield* Model.agree({ make: yield* redisMake, runs: 100, compare: Model.without("rejected") })
 *     assert.isAtLeast(tally.closes, 50)
 *   }).pipe(Effect.scoped)
 * )
 * ```
 *
 * `make` is what a `CircuitBreakerStore` offers. Every run asks it for a breaker of a new name and gives it a clock of
 * its own that starts at 0 and is moved by hand, so the store has to take its time from `Clock`. Everything it answers
 * has to have been settled when its effect is done. `compare` picks what of a status is looked at. `seed` and `path`, printed
 * with a failure, run that very case again.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import { identity } from "effect/Function"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Struct from "effect/Struct"
import type * as Handle from "../../src/internal/breaker/handle.ts"
import type { Status } from "../../src/internal/breaker/look.ts"
import type { Permit, Rejected } from "../../src/internal/breaker/machine.ts"
import type { Settings } from "../../src/internal/breaker/settings.ts"
import { now } from "../../src/policies/Timeout.ts"
import type { Transition } from "../../src/services/CircuitBreaker.ts"
import * as HandClock from "./handClock.ts"
import { type Command, drive, type Move, moves, settings } from "./commands.ts"
import { type Change, type Ended, type Pass, Reference } from "./reference.ts"

/** How often what was reached, over all runs. */
export interface Tally {
  runs: number
  commands: number
  opens: number
  halfOpens: number
  /** Closes by probes that came back well. */
  closes: number
  reopens: number
  lost: number
  late: number
}

export interface Options {
  readonly make: Handle.Make
  readonly runs: number
  /** Moves of one run, at most. Default: 80. */
  readonly length?: number | undefined
  readonly compare?: ((status: Status) => Partial<Status>) | undefined
  readonly seed?: number | undefined
  readonly path?: string | undefined
}

/** For `compare`: all but these. */
export const without =
  (...keys: ReadonlyArray<keyof Status>) =>
  (status: Status): Partial<Status> =>
    Struct.omit(status, ...keys)

interface Under {
  readonly permit: Permit
  readonly pass: Pass
}

/** A step of a store tells of one change of mode at most: the one from how it was to how it has become. */
const told = (changes: ReadonlyArray<Change>): ReadonlyArray<Change> => {
  const [first, last] = [changes[0], changes.at(-1)]
  return first === undefined || last === undefined || first.from === last.to ? [] : [{ ...last, from: first.from }]
}

const wordsOf = ({ lastFailure, mode, retryAfterMillis }: Omit<Rejected, "_tag">): string =>
  `${mode}, ${retryAfterMillis} ms, ${lastFailure}`

const note = (tally: Tally, changes: ReadonlyArray<Change>) => {
  for (const { from, reason, to } of changes) {
    if (to === "Open" && from === "Closed") tally.opens += 1
    if (reason === "time is up") tally.halfOpens += 1
    if (reason === "probe failed") tally.reopens += 1
    if (reason === "probes succeeded") tally.closes += 1
    if (reason === "no probe came") tally.lost += 1
  }
}

/** With both in the message: a failure is printed by FastCheck, which knows of no difference of objects. */
const same = (actual: unknown, expected: unknown): void =>
  assert.deepStrictEqual(actual, expected, JSON.stringify({ actual, expected }))

/** One run: a breaker of these settings, these commands. */
const run = Effect.fnUntraced(function* (
  { compare = identity, make }: Options,
  tally: Tally,
  name: string,
  clock: HandClock.HandClock,
  settings: Settings,
  moves: ReadonlyArray<Move>
) {
  const reference = new Reference(settings)
  const heard: Array<Omit<Transition, "breaker">> = []
  const stored = yield* make(name, settings, (transition) => Effect.sync(() => void heard.push(transition)))
  const open: Array<Under> = []
  const holders: Array<Scope.CloseableScope> = []

  /** Every other time the clock is given, with which a store may take its steps at once. */
  const atHand = () => (tally.commands % 2 === 0 ? undefined : () => Number(clock.unsafeCurrentTimeNanos()) / 1e6)

  const pick = (nth: number): Under | undefined => open.splice(nth % Math.max(1, open.length), 1)[0]

  const record = Effect.fnUntraced(function* (under: Under, ended: Ended) {
    if (under.pass.era !== reference.era) tally.late += 1
    reference.record(yield* now, under.pass, ended)
    const { cause, group, kind, retryAfter } = ended
    yield* stored.record(
      under.permit,
      kind === "failure"
        ? { _tag: "Failure", retryAfterMillis: retryAfter, cause, group }
        : { _tag: kind === "success" ? "Success" : "Ignored" },
      atHand()
    )
  })

  /** Where the clock has to be for something to happen, or just not yet. */
  const instants = (time: number): ReadonlyArray<number> => {
    const { mode, probes, until } = reference.era
    if (mode === "Open") return [until]
    const ends = probes.map((probe) => probe.back ?? probe.from + settings.leaseMillis)
    const quietSince = ends.reduce((latest, at) => Math.max(latest, at), 0)
    if (mode === "HalfOpen") return [...ends, quietSince + settings.halfOpenMillis]
    return settings.window.kind === "time" ? [time + settings.window.millis] : []
  }

  const step = Effect.fnUntraced(function* (command: Command) {
    const time = yield* now
    switch (command._tag) {
      case "Admit": {
        const verdict = yield* stored.admit(identity, atHand())
        const answer = reference.admit(time)
        if (verdict._tag === "Admitted" && "pass" in answer) {
          return void open.push({ permit: verdict.permit, pass: answer.pass })
        }
        return same(
          verdict._tag === "Admitted" ? "admitted" : wordsOf(verdict),
          "pass" in answer ? "admitted" : wordsOf(answer)
        )
      }
      case "Record": {
        const under = pick(command.nth)
        if (under === undefined) return
        if (command.slow) clock.advance(settings.slowMillis + 1)
        // "towards": whatever brings it round, from closed to open and back.
        const helpful = reference.era.mode === "Closed" ? "failure" : "success"
        const kind = command.ended.kind === "towards" ? helpful : command.ended.kind
        return yield* record(under, { ...command.ended, kind })
      }
      case "Advance":
        return clock.advance(command.millis)
      case "AdvanceTo": {
        const all = instants(time)
        const at = (all[command.nth % Math.max(1, all.length)] ?? time) + command.off
        return at > time ? clock.advance(at - time) : undefined
      }
      case "Isolate": {
        const scope = yield* Scope.make()
        holders.push(scope)
        yield* Scope.extend(stored.isolate, scope)
        return reference.isolate(time)
      }
      case "Release": {
        const scope = holders.splice(command.nth % Math.max(1, holders.length), 1)[0]
        if (scope === undefined) return
        yield* Scope.close(scope, Exit.void)
        return reference.release(time)
      }
      case "Reset":
        yield* stored.reset
        return reference.reset(time)
    }
  })

  const agree = Effect.gen(function* () {
    const time = yield* now
    same(compare(yield* stored.status), compare(reference.status(time)))
    const [refused, refusal] = [yield* stored.check, reference.check(time)]
    same(refused && wordsOf(refused), refusal && wordsOf(refusal))
  })

  const obey = Effect.fnUntraced(function* (command: Command) {
    const known = reference.changes.length
    yield* step(command)
    tally.commands += 1
    const changes = reference.changes.slice(known)
    note(tally, changes)
    const heardOf = heard.splice(0).map(({ counts, from, reason, to }) => ({ from, to, reason, counts }))
    same(heardOf, told(changes))
    yield* agree
  })

  tally.runs += 1
  yield* agree
  for (const move of moves) {
    const commands = move._tag === "Drive" ? drive(reference.era.mode, open.length) : [move]
    yield* Effect.forEach(commands, obey, { discard: true })
  }
  yield* Effect.forEach(holders, (scope) => Scope.close(scope, Exit.void), { discard: true })
})

/** Fails where the store and the reference ever differ; tells how far the runs have come. */
export const agree = (options: Options): Effect.Effect<Tally> =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime()
    const tally = { runs: 0, commands: 0, opens: 0, halfOpens: 0, closes: 0, reopens: 0, lost: 0, late: 0 }
    const property = FastCheck.asyncProperty(settings, moves(options.length ?? 80), (settings, moves) => {
      const clock = HandClock.make()
      const one = run(options, tally, `model ${tally.runs}`, clock, settings, moves)
      return Runtime.runPromise(runtime)(Effect.withClock(one, clock))
    })
    yield* Effect.promise(() =>
      FastCheck.assert(property, {
        numRuns: options.runs,
        ...(options.seed === undefined ? {} : { seed: options.seed }),
        ...(options.path === undefined ? {} : { path: options.path })
      })
    )
    return tally
  })
