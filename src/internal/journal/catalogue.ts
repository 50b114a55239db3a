/**
 * Which logs a key-value store holds: entries in slots 0, 1, 2, … without gaps, as such a store cannot list its keys. Only
 * says what may be removed: whatever goes wrong here, or between processes that change it at the same time, may leave a
 * log behind, but loses none.
 */
import type { PlatformError } from "@effect/platform/Error"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import * as Random from "effect/Random"
import * as Keys from "./keys.ts"
import type { Limits } from "./options.ts"

/**
 * How many entries are looked at for one that may go. Where there are no more than these, it is exactly the one that was
 * not used for longest; among many it is never one of the latest.
 */
const sample = 8

/** As long as none was too old and there are not too many: so many are looked at, whenever so many logs have come. */
const quiet = { sample: 4, logs: 16 }

/** So many logs after another process was seen, it may still be there. */
const company = 16

/** How many may go for one that comes, where there are too many: more than one, so that they become fewer. */
const mostForOne = 2

export interface Logs {
  /** When it was used last, in milliseconds of the wall clock; undefined where it is not there any more. */
  readonly usedAt: (entry: Keys.Entry) => Effect.Effect<number | undefined, PlatformError>
  /** Removes all of it but its entry; tells whether it did, as it may be in use by now. */
  readonly forget: (entry: Keys.Entry) => Effect.Effect<boolean, PlatformError>
}

interface Found {
  readonly slot: number
  readonly entry: Keys.Entry | undefined
  /** When it began or, where that is known, was used last. */
  readonly at: number
}

export interface Catalogue {
  /** Enters a log, and makes room for it. */
  readonly add: (entry: Keys.Entry) => Effect.Effect<number, PlatformError>
  /** Whether it is still there where it was just entered; not asked of the store where nobody else enters logs. */
  readonly keeps: (slot: number, life: Keys.Life) => Effect.Effect<boolean, PlatformError>
  /** Takes a log out, if it is there. */
  readonly drop: (slot: number, life: Keys.Life) => Effect.Effect<void, PlatformError>
}

export const make = (texts: Keys.Texts, { maxAgeMillis, maxLogs }: Limits, logs: Logs): Catalogue => {
  /** As far as this process knows: others add and remove entries, too. */
  let size: number | undefined
  let isAnyTooOld = false
  /** How many this process has entered since it last looked, and since another was seen to enter one. */
  let added = quiet.logs
  let alone = 0
  const turn = Effect.unsafeMakeSemaphore(1)

  const isTaken = (slot: number) => texts.has(Keys.slot(slot))

  const read = (slot: number) => Effect.map(texts.get(Keys.slot(slot)), Option.flatMap(Keys.Entry.decode))

  const find = Effect.gen(function* () {
    if (!(yield* isTaken(0))) return 0
    let [taken, free] = [0, 1]
    while (yield* isTaken(free)) [taken, free] = [free, free * 2]
    while (free - taken > 1) {
      const middle = Math.floor((taken + free) / 2)
      if (yield* isTaken(middle)) taken = middle
      else free = middle
    }
    return free
  })

  /** Others have added entries, maybe. */
  const end = Effect.gen(function* () {
    let end = size ?? (yield* find)
    while (yield* isTaken(end)) {
      end++
      alone = 0
    }
    return (size = end)
  })

  /** The last entry moves to where another has gone. */
  const vacate = (slot: number) =>
    Effect.gen(function* () {
      for (let last = (yield* end) - 1; last >= slot; last--) {
        const moved = yield* texts.get(Keys.slot(last))
        if (slot < last && Option.isSome(moved)) yield* texts.set(Keys.slot(slot), moved.value)
        yield* texts.remove(Keys.slot(last))
        size = last
        // Others have removed it, otherwise.
        if (Option.isSome(moved)) return
      }
    })

  const someOf = (size: number, count: number): Effect.Effect<ReadonlyArray<number>> =>
    size <= sample
      ? Effect.succeed(Array.from({ length: size }, (_, slot) => slot))
      : Effect.map(Effect.replicateEffect(Random.nextIntBetween(0, size), count), Arr.dedupe)

  const look = (slot: number) =>
    Effect.map(read(slot), (found): Found => {
      const entry = Option.getOrUndefined(found)
      return { slot, entry, at: entry?.at ?? Number.NEGATIVE_INFINITY }
    })

  /** Those that are too old, or of which nothing is left, and `excess` of those that were not used for longest. */
  const chosen = (found: ReadonlyArray<Found>, time: number, excess: number) =>
    Effect.gen(function* () {
      const over: Array<Found> = []
      const live: Array<Found> = []
      for (const one of Arr.sortWith(found, ({ at }) => at, Order.number)) {
        // None of the rest was used before it began.
        const isEnough = over.length + live.filter(({ at }) => at <= one.at).length >= excess
        if (isEnough && time - one.at <= maxAgeMillis) break
        const usedAt = one.entry === undefined ? undefined : yield* logs.usedAt(one.entry)
        if (usedAt === undefined || time - usedAt > maxAgeMillis) over.push(one)
        else if (usedAt !== Number.POSITIVE_INFINITY) live.push({ ...one, at: usedAt })
      }
      const oldest = Arr.sortWith(live, ({ at }) => at, Order.number).slice(0, Math.max(0, excess - over.length))
      return { over, oldest }
    })

  const makeRoom = (time: number) =>
    Effect.gen(function* () {
      const size = yield* end
      const excess = Math.min(size + 1 - maxLogs, mostForOne)
      const isQuiet = excess <= 0 && !isAnyTooOld
      if (isQuiet && ++added < quiet.logs) return
      added = 0
      const slots = yield* someOf(size, isQuiet ? quiet.sample : sample)
      const found = yield* Effect.forEach(slots, look, { concurrency: "unbounded" })
      const { oldest, over } = yield* chosen(found, time, excess)
      isAnyTooOld = over.length > 0
      // From the end, so that none is moved that is to go as well.
      for (const { entry, slot } of Arr.sortWith([...over, ...oldest], ({ slot }) => -slot, Order.number)) {
        if (entry === undefined || (yield* logs.forget(entry))) yield* vacate(slot)
      }
    })

  const holds = (slot: number, { id, token }: Keys.Life) =>
    Effect.map(
      read(slot),
      Option.exists((entry) => entry.id === id && entry.token === token)
    )

  return {
    add: (entry) =>
      Effect.gen(function* () {
        yield* Effect.catchAll(makeRoom(entry.at), (error) =>
          Effect.logWarning(`The journal could not let go of old logs: ${error.message}`)
        )
        const slot = size ?? (yield* end)
        yield* texts.set(Keys.slot(slot), Keys.Entry.encode(entry))
        size = slot + 1
        alone++
        return slot
      }).pipe(turn.withPermits(1)),
    keeps: (slot, life) => Effect.suspend(() => (alone > company ? Effect.succeed(true) : holds(slot, life))),
    drop: (slot, life) => Effect.whenEffect(vacate(slot), holds(slot, life)).pipe(turn.withPermits(1), Effect.asVoid)
  }
}
