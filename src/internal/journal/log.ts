/** One log, open to be continued: records go to its store in order, those that come meanwhile together. */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type { Log } from "../../services/Journal.ts"
import { JournalError, type JournalStore, type StoredLog } from "../../services/JournalStore.ts"
import * as Record from "./record.ts"

const failures = Metric.counter("salvo_journal_failures_total", {
  description: "Reads and writes of the journal that failed",
  incremental: true
})

/** In a fiber of its own, so that a store that cannot be interrupted holds nobody up. Whatever is wrong is told. */
export const bounded = <A>(
  log: string,
  timeout: Duration.Duration,
  what: string,
  ask: () => Effect.Effect<A, JournalError>
): Effect.Effect<A, JournalError> =>
  Effect.interruptible(Effect.suspend(ask)).pipe(
    Effect.disconnect,
    Effect.timeoutFail({
      duration: timeout,
      onTimeout: () => new JournalError({ log, reason: `${what} took longer than ${Duration.format(timeout)}` })
    }),
    Effect.catchAllCause((cause) =>
      Option.match(Cause.failureOption(cause), {
        onNone: () => Effect.fail(new JournalError({ log, reason: `${what} died: ${String(Cause.squash(cause))}` })),
        onSome: Effect.fail
      })
    ),
    Effect.tapError((error) =>
      Effect.zipRight(
        Metric.increment(failures),
        Effect.logWarning(`The journal failed: ${error.message}`).pipe(Effect.annotateLogs({ log }))
      )
    )
  )

export interface Open {
  readonly log: Log
  /** Waits until nothing is being written any more, and lets go of it. */
  readonly close: Effect.Effect<void>
}

export const make = (store: JournalStore["Type"], name: string, timeout: Duration.Duration): Effect.Effect<Open> =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const open = bounded(name, timeout, "opening", () => Scope.extend(store.open(name), scope))
    const opened = yield* Effect.either(open)
    let stored: StoredLog | undefined = Either.isRight(opened) ? opened.right : undefined
    const lines = stored?.records ?? []
    const records = lines.flatMap((line) => Option.toArray(Record.decode(name, line)))
    if (records.length < lines.length) {
      yield* Effect.logWarning(
        `The journal holds ${lines.length - records.length} records that cannot be trusted`
      ).pipe(Effect.annotateLogs({ log: name }))
    }

    const write = (lines: ReadonlyArray<string>) =>
      Effect.gen(function* () {
        // What could not be opened before may be there again.
        const log = (stored ??= yield* open)
        yield* bounded(name, timeout, "writing", () => log.append(lines))
      })

    interface Group {
      readonly records: Array<Record.Record>
      readonly lines: Array<string>
      readonly written: Deferred.Deferred<void, JournalError>
    }
    let next: Group | undefined
    let writing = Deferred.unsafeMake<void>(FiberId.none)
    let isWriting = false

    const flush = Effect.gen(function* () {
      while (next !== undefined) {
        const group = next
        next = undefined
        const exit = yield* Effect.exit(write(group.lines))
        if (exit._tag === "Success") records.push(...group.records)
        yield* Deferred.done(group.written, exit)
      }
      isWriting = false
      yield* Deferred.succeed(writing, undefined)
    })

    const append: Log["append"] = (record) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          const line = Record.encode(name, record)
          if (Option.isNone(line)) {
            return yield* new JournalError({ log: name, reason: "JSON cannot say what is to be recorded" })
          }
          next ??= { records: [], lines: [], written: Deferred.unsafeMake<void, JournalError>(FiberId.none) }
          const group = next
          group.records.push(record)
          group.lines.push(line.value)
          if (!isWriting) {
            isWriting = true
            writing = Deferred.unsafeMake<void>(FiberId.none)
            yield* Effect.forkDaemon(Effect.interruptible(flush))
          }
          return yield* restore(Deferred.await(group.written))
        })
      )

    return {
      log: { name, records, isKnown: Either.isRight(opened), append },
      close: Effect.zipRight(
        Effect.suspend(() => (isWriting ? Deferred.await(writing) : Effect.void)),
        Effect.ignore(bounded(name, timeout, "closing", () => Scope.close(scope, Exit.void)))
      )
    }
  })
