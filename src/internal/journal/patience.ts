/** Asks a store, and does not wait for ever. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import { JournalError } from "../../services/JournalStore.ts"
import * as Deadlines from "../deadlines.ts"
import * as Monotonic from "../monotonic.ts"

const failures = Metric.counter("salvo_journal_failures_total", {
  description: "Reads and writes of the journal that failed",
  incremental: true
})

export type Ask<A> = () => Effect.Effect<A, JournalError>

export type OnEnd<A> = (exit: Exit.Exit<A, JournalError>) => void

/** What a log needs to ask its store and not wait for ever. */
export interface Patience {
  /**
   * In a fiber of its own, so that a store that cannot be interrupted holds nobody up. Whatever is wrong is told. Gives what
   * gives up.
   */
  readonly ask: <A>(what: string, ask: Ask<A>, onEnd: OnEnd<A>) => () => void
  /** Nothing is asked any more. */
  readonly end: Effect.Effect<void>
}

/** `Effect.timeout` takes three fibers for each question; one sleeper keeps the time of all that a log asks. */
export const make = (log: string, timeout: Duration.Duration): Effect.Effect<Patience> =>
  Effect.zipWith(Effect.runtime<never>(), Effect.clock, (runtime, clock) => {
    const fork = Runtime.runFork(Runtime.enableRuntimeFlag(runtime, RuntimeFlags.Interruption))
    const time = Monotonic.reader(clock)
    const deadlines = Deadlines.make(clock, time, fork)
    const millis = Duration.toMillis(timeout)

    const told = (error: JournalError) =>
      Metric.increment(failures).pipe(
        Effect.zipRight(Effect.annotateLogs(Effect.logWarning(`The journal failed: ${error.message}`), { log })),
        Effect.zipRight(Effect.fail(error))
      )

    return {
      ask: (what, ask, onEnd) => {
        const asking = fork(Effect.suspend(ask))
        const fail = (reason: string) => fork(told(new JournalError({ log, reason }))).addObserver(onEnd)
        const giveUp = () => {
          isOver = true
          deadlines.disarm(deadline)
          asking.unsafeInterruptAsFork(FiberId.none)
        }
        let isOver = false
        const deadline = {
          at: time() + millis,
          onDue: () => {
            giveUp()
            fail(`${what} took longer than ${Duration.format(timeout)}`)
          }
        }
        deadlines.arm(deadline)
        asking.addObserver((exit) => {
          deadlines.disarm(deadline)
          if (isOver) return
          if (Exit.isSuccess(exit)) return onEnd(exit)
          const failure = Cause.failureOption(exit.cause)
          if (Option.isSome(failure)) fork(told(failure.value)).addObserver(onEnd)
          else fail(`${what} died: ${String(Cause.squash(exit.cause))}`)
        })
        return giveUp
      },
      end: Effect.sync(deadlines.close)
    }
  })

export const asked = <A>({ ask }: Patience, what: string, question: Ask<A>): Effect.Effect<A, JournalError> =>
  Effect.async((resume) => Effect.sync(ask(what, question, resume)))

/** Asks once. */
export const once = <A>(
  log: string,
  timeout: Duration.Duration,
  what: string,
  ask: Ask<A>
): Effect.Effect<A, JournalError> =>
  Effect.flatMap(make(log, timeout), (patience) => Effect.ensuring(asked(patience, what, ask), patience.end))
