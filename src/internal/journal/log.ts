/** One log, open to be continued: records go to its store in order, those that come meanwhile together. */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Log } from "../../services/Journal.ts"
import { JournalError, type JournalStore, type StoredLog } from "../../services/JournalStore.ts"
import * as Patience from "./patience.ts"
import * as Record from "./record.ts"

export interface Open {
  readonly log: Log
  /** Waits until nothing is being written any more, and lets go of it. */
  readonly close: Effect.Effect<void>
}

export const make = (store: JournalStore["Type"], name: string, timeout: Duration.Duration): Effect.Effect<Open> =>
  Effect.gen(function* () {
    const patient = yield* Patience.make(name, timeout)
    const scope = yield* Scope.make()
    const open = () => Scope.extend(store.open(name), scope)
    const opened = yield* Effect.either(Patience.asked(patient, "opening", open))
    let stored: StoredLog | undefined = Either.isRight(opened) ? opened.right : undefined
    const lines = stored?.records ?? []
    const records = lines.flatMap((line) => Option.toArray(Record.decode(name, line)))
    if (records.length < lines.length) {
      yield* Effect.logWarning(
        `The journal holds ${lines.length - records.length} records that cannot be trusted`
      ).pipe(Effect.annotateLogs({ log: name }))
    }

    interface Group {
      readonly records: Array<Record.Record>
      readonly lines: Array<string>
      readonly written: Deferred.Deferred<void, JournalError>
    }
    const emptyGroup = (): Group => ({ records: [], lines: [], written: Deferred.unsafeMake(FiberId.none) })
    let next: Group | undefined
    let writing = Deferred.unsafeMake<void>(FiberId.none)
    let isWriting = false

    const ended = (group: Group, exit: Exit.Exit<void, JournalError>): void => {
      if (Exit.isSuccess(exit)) records.push(...group.records)
      Deferred.unsafeDone(group.written, exit)
      if (next !== undefined) return write()
      isWriting = false
      Deferred.unsafeDone(writing, Exit.void)
    }

    /** What others record in this moment goes with it. */
    const soon = <A>(what: string, question: Patience.Ask<A>, onEnd: Patience.OnEnd<A>) =>
      patient.ask(what, () => Effect.zipRight(Effect.yieldNow(), Effect.suspend(question)), onEnd)

    const write = (): void => {
      if (stored === undefined) return reopen()
      const log = stored
      let group = emptyGroup()
      const append = () => {
        if (next !== undefined) group = next
        next = undefined
        return log.append(group.lines)
      }
      soon("writing", append, (exit) => ended(group, exit))
    }

    /** What could not be opened before may be there again. */
    const reopen = (): void => {
      soon("opening", open, (exit) => {
        if (Exit.isSuccess(exit)) {
          stored = exit.value
          return write()
        }
        const group = next ?? emptyGroup()
        next = undefined
        ended(group, exit)
      })
    }

    const written: Log["append"] = (record) =>
      Effect.suspend(() => {
        const line = Record.encode(name, record)
        if (Option.isNone(line)) {
          return Effect.fail(new JournalError({ log: name, reason: "JSON cannot say what is to be recorded" }))
        }
        next ??= emptyGroup()
        next.records.push(record)
        next.lines.push(line.value)
        const { written } = next
        if (!isWriting) {
          isWriting = true
          writing = Deferred.unsafeMake<void>(FiberId.none)
          write()
        }
        return Deferred.await(written)
      })

    return {
      log: { name, records, isKnown: Either.isRight(opened), append: written },
      close: Effect.suspend(() => (isWriting ? Deferred.await(writing) : Effect.void)).pipe(
        Effect.zipRight(Effect.ignore(Patience.asked(patient, "closing", () => Scope.close(scope, Exit.void)))),
        Effect.zipRight(patient.end)
      )
    }
  })
