/**
 * Logs in a key-value store that can do no more than get, set and remove, and whose `set` a crash may tear: a file that is
 * written anew. So nothing that was acknowledged is ever written over.
 */
import type { PlatformError } from "@effect/platform/Error"
import type * as KeyValueStore from "@effect/platform/KeyValueStore"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import { JournalError, type JournalStore, type StoredLog } from "../../services/JournalStore.ts"
import { sha256 } from "../sha256.ts"
import * as Catalogue from "./catalogue.ts"
import * as Chunks from "./chunks.ts"
import * as Keys from "./keys.ts"
import type { Limits } from "./options.ts"
import * as Tail from "./tail.ts"

/** A log that this process has open, or is still writing to. */
interface Handle {
  users: number
  tail: Tail.Tail | undefined
}

/** How often a log that is written to says that it is in use; at least so many times in the time it is kept for. */
const renewal = { everyMillis: 60_000, times: 8 }

const newToken = Effect.map(Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER), (n) => n.toString(36))

export const make = (store: KeyValueStore.KeyValueStore, limits: Limits): JournalStore["Type"] => {
  const texts = Keys.texts(store)
  const handles = new Map<string, Handle>()
  const removals = new Map<string, Deferred.Deferred<void, PlatformError>>()
  /** Logs whose beginning was interrupted and may still take effect. Begun again as they were, they do no harm. */
  const begun = new Map<string, Keys.Entry>()

  /** What is there under a log's name. Torn, it was just being begun, and nothing is lost; anything else is not ours. */
  const present = (id: string) =>
    Effect.map(texts.get(Keys.head(id)), (text) => {
      const head = Option.getOrUndefined(Option.flatMap(text, Keys.Head.decode))
      return { head, isForeign: head === undefined && Option.exists(text, Predicate.not(Keys.isTorn)) }
    })

  const use = (life: Keys.Life) =>
    Effect.tap(Clock.currentTimeMillis, (at) => texts.set(Keys.used(life), Keys.Used.encode({ at })))

  const usedAt = (life: Keys.Life, begunAt: number) =>
    Effect.flatMap(texts.get(Keys.used(life)), (text) =>
      Option.match(text, {
        onNone: () => Effect.succeed(begunAt),
        // Torn by a crash, it does not tell when that was.
        onSome: (text) =>
          Option.match(Keys.Used.decode(text), { onNone: () => use(life), onSome: ({ at }) => Effect.succeed(at) })
      })
    )

  /** In a fiber of its own, to the end: whoever opens the log next waits for it. */
  const forget = (life: Keys.Life): Effect.Effect<void, PlatformError> =>
    Effect.suspend(() => {
      const { id } = life
      const done = Deferred.unsafeMake<void, PlatformError>(FiberId.none)
      removals.set(id, done)
      const all = Effect.gen(function* () {
        const { head } = yield* present(id)
        // Without its head it is gone, whatever else is left when the process dies.
        if (head?.token === life.token) yield* texts.remove(Keys.head(id))
        yield* Chunks.remove(texts, life)
        yield* texts.remove(Keys.used(life))
      }).pipe(Effect.ensuring(Effect.sync(() => removals.get(id) === done && removals.delete(id))))
      return Effect.zipRight(Effect.forkDaemon(Effect.intoDeferred(all, done)), Deferred.await(done))
    })

  const catalogue = Catalogue.make(texts, limits, {
    usedAt: (entry) =>
      Effect.gen(function* () {
        const { head, isForeign } = yield* present(entry.id)
        if (isForeign || handles.has(entry.id)) return Number.POSITIVE_INFINITY
        return head?.token === entry.token ? yield* usedAt(entry, head.at) : undefined
      }),
    forget: (entry) =>
      Effect.suspend(() =>
        handles.has(entry.id) || removals.has(entry.id) ? Effect.succeed(false) : Effect.as(forget(entry), true)
      )
  })

  const begin = (id: string, time: number) =>
    Effect.gen(function* () {
      const entry = begun.get(id) ?? { id, token: yield* newToken, at: time }
      begun.set(id, entry)
      const beginning = Effect.gen(function* () {
        const slot = yield* catalogue.add(entry)
        const head = Keys.Head.encode({ salvo: 1, token: entry.token, at: entry.at, slot })
        yield* texts.set(Keys.head(id), head)
        // Another process may have taken the same slot.
        if (!(yield* catalogue.keeps(slot, entry))) yield* catalogue.add(entry)
      })
      yield* Effect.onExit(beginning, (exit) => Effect.sync(() => Exit.isInterrupted(exit) || begun.delete(id)))
      return Tail.make(entry, time, -1)
    })

  const leave = (id: string, handle: Handle) => {
    if (handle.users === 0 && !(handle.tail !== undefined && handle.tail.writing > 0) && handles.get(id) === handle) {
      handles.delete(id)
    }
  }

  /** Once this is done, no other fiber of this process removes it on its own. */
  const hold = (id: string) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        for (let removal = removals.get(id); removal !== undefined; removal = removals.get(id)) {
          yield* restore(Effect.exit(Deferred.await(removal)))
        }
        const handle = handles.get(id) ?? { users: 0, tail: undefined }
        handles.set(id, handle)
        handle.users++
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            handle.users--
            leave(id, handle)
          })
        )
        return handle
      })
    )

  const isPresent = (life: Keys.Life) => Effect.map(present(life.id), ({ head }) => head?.token === life.token)

  const renewMillis = Math.min(renewal.everyMillis, limits.maxAgeMillis / renewal.times)

  /** Now and then: another process may have removed what was not used for long. */
  const renew = (tail: Tail.Tail, time: number) =>
    Effect.gen(function* () {
      tail.usedAt = time
      tail.isRemoved ||= !(yield* isPresent(tail.life))
      if (!tail.isRemoved) yield* Effect.ignore(use(tail.life))
    })

  const append = (name: string, handle: Handle, tail: Tail.Tail, records: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      const time = yield* Clock.currentTimeMillis
      if (time - tail.usedAt > renewMillis) yield* renew(tail, time)
      if (tail.isRemoved) return yield* new JournalError({ log: name, reason: "it was removed" })
      if (Tail.isStuck(tail)) {
        return yield* new JournalError({ log: name, reason: `${tail.writing} writes in a row have not ended` })
      }
      return yield* Tail.append(texts, tail, records, () => leave(tail.life.id, handle))
    })

  const open = (name: string) =>
    Effect.gen(function* () {
      const id = yield* sha256(name)
      const handle = yield* hold(id)
      const time = yield* Clock.currentTimeMillis
      const { head, isForeign } = yield* present(id)
      if (isForeign) {
        return yield* new JournalError({ log: name, reason: "what is stored under its name is no log of this version" })
      }
      if (head !== undefined) {
        begun.delete(id)
        const life = { id, token: head.token }
        const known = handle.tail?.life.token === head.token ? handle.tail : undefined
        if (known !== undefined || time - (yield* usedAt(life, head.at)) <= limits.maxAgeMillis) {
          const [{ last, records }] = yield* Effect.all([Chunks.read(texts, life), Effect.ignore(use(life))], {
            concurrency: 2
          })
          const tail = known ?? Tail.make(life, time, last)
          handle.tail = tail
          return { tail, handle, records }
        }
        yield* forget(life)
        yield* catalogue.drop(head.slot, life)
      }
      const tail = yield* begin(id, time)
      handle.tail = tail
      return { tail, handle, records: [] }
    })

  const remove = (name: string) =>
    Effect.gen(function* () {
      const id = yield* sha256(name)
      const handle = handles.get(id)
      if (handle?.tail !== undefined) {
        handle.tail.isRemoved = true
        handle.tail = undefined
      }
      const { head, isForeign } = yield* present(id)
      if (isForeign) return yield* texts.remove(Keys.head(id))
      if (head === undefined) return
      const life = { id, token: head.token }
      yield* forget(life)
      yield* catalogue.drop(head.slot, life)
    })

  const orJournalError =
    (log: string) =>
    <A, R>(effect: Effect.Effect<A, PlatformError | JournalError, R>): Effect.Effect<A, JournalError, R> =>
      Effect.mapError(effect, (error) =>
        error._tag === "JournalError" ? error : new JournalError({ log, reason: error.message })
      )

  return {
    open: (name) =>
      open(name).pipe(
        Effect.map(({ handle, records, tail }): StoredLog => ({
          records,
          append: (records) => orJournalError(name)(append(name, handle, tail, records))
        })),
        orJournalError(name)
      ),
    remove: (name) => orJournalError(name)(remove(name))
  }
}
