/**
 * Hedging: a second execution of a `read` that is slower than usual. Whichever succeeds first wins; a failure of one
 * does not end the other; the loser is interrupted and nobody waits for it (Dean and Barroso, "The Tail at Scale",
 * 2013). Never while the circuit is not closed or the bulkhead has no free slot, and no more often than its budget
 * allows.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Failed } from "../internal/failed.ts"
import type { Answer, Job } from "../internal/job.ts"

type Run = (source: "executed" | "hedge") => Effect.Effect<Answer, Failed>

/**
 * Remembers how long a good execution took.
 *
 * @internal
 */
export const observe = (job: Job, exit: Exit.Exit<unknown, unknown>, millis: number): void => {
  if (Exit.isSuccess(exit)) job.guards.hedge?.latencies.record(millis)
}

/** When the second execution is due; never, while too little is known. */
const dueAfter = (job: Job): number | undefined => {
  const { hedge } = job.policy
  return hedge?.delay === "p95" ? job.guards.hedge?.latencies.p95() : hedge?.delay
}

/**
 * Room for one more execution, without waiting and without probing a dependency that is ill. A first one that still
 * waits in line is not slow.
 */
const hasRoom = ({ guards, policy, progress }: Job): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    if (progress.running.isEmpty) return false
    if (guards.breaker !== undefined && (yield* guards.breaker.state).mode !== "Closed") return false
    const { bulkhead } = guards
    if (bulkhead !== undefined && (yield* bulkhead.free) < (policy.bulkhead?.weight ?? 1)) return false
    return guards.hedge === undefined ? false : yield* guards.hedge.budget.withdraw
  })

const isTurnedAway = (exit: Exit.Exit<Answer, Failed>): boolean =>
  Exit.isFailure(exit) && Option.exists(Cause.failureOption(exit.cause), ({ fault }) => fault.owner === "runner")

/**
 * Runs `run`, and once more where it takes too long.
 *
 * @internal
 */
export const around = (job: Job, run: Run): Effect.Effect<Answer, Failed> => {
  const { hedge } = job.guards
  if (hedge === undefined) return run("executed")
  return Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      hedge.budget.deposit()
      const due = dueAfter(job)
      if (due === undefined) return yield* restore(run("executed"))
      const winner = yield* Deferred.make<Answer, Failed>()
      const running: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
      const failures: Array<Exit.Exit<Answer, Failed>> = []
      // The first success decides; a failure does once no execution is left that might still succeed.
      const start = (source: "executed" | "hedge") =>
        Effect.map(
          Effect.forkDaemon(
            Effect.interruptible(run(source)).pipe(
              Effect.onExit((exit) => {
                if (Exit.isSuccess(exit)) return Deferred.done(winner, exit)
                failures.push(exit)
                if (failures.length < running.length) return Effect.void
                // One that was turned away here has nothing to say beside one that was executed.
                return Deferred.done(winner, failures.find((failure) => !isTurnedAway(failure)) ?? exit)
              })
            )
          ),
          (fiber) => running.push(fiber)
        )
      yield* start("executed")
      const waited = Effect.timeoutOption(Deferred.await(winner), Duration.millis(due)).pipe(
        Effect.flatMap((answer) =>
          answer._tag === "Some"
            ? Effect.succeed(answer.value)
            : Effect.flatMap(hasRoom(job), (room) =>
                Effect.zipRight(room ? Effect.uninterruptible(start("hedge")) : Effect.void, Deferred.await(winner))
              )
        )
      )
      return yield* Effect.ensuring(
        restore(waited),
        Effect.forEach(running, (fiber) => Fiber.interruptFork(fiber), { discard: true })
      )
    })
  )
}
