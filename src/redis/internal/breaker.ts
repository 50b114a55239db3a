/** One breaker over Redis: what is asked of the server, what is answered without it, and what is sent behind the caller. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { Notify, Stored } from "../../internal/breaker/handle.ts"
import * as Machine from "../../internal/breaker/machine.ts"
import type { Settings } from "../../internal/breaker/settings.ts"
import * as Window from "../../internal/breaker/window.ts"
import { now } from "../../policies/Timeout.ts"
import type { Unreachable } from "./command.ts"
import type { Line, Operation, Reply } from "./line.ts"
import { Mirror, rejected, Ticket } from "./mirror.ts"
import { detail, Outbox } from "./outbox.ts"
import type { Store } from "./store.ts"

export interface Made {
  readonly stored: Stored
  /** Sends what is still gathered. */
  readonly drain: Effect.Effect<void>
}

/** A step is not seen before its answer; a trial finds out whether Redis is back. */
type Kind = "question" | "step" | "trial"

const ignored = { _tag: "Ignored" } as const

/** Of a call that Redis knows nothing of. */
const noEra = -1

export const make = (store: Store, line: Line, breaker: string, settings: Settings, notify: Notify): Made => {
  const { behind, health, later, nextToken, options } = store
  const mirror = new Mirror(settings, {
    alone: health.isDown,
    quorum: options.quorum,
    maxStaleness: options.maxStaleness
  })
  /** Calls this process turned away. */
  let refused = 0

  /** Tells of the change of mode that what has just happened has brought, if it has. */
  const tell = Effect.suspend(() => {
    const change = mirror.change()
    return change === undefined ? Effect.void : notify(change)
  })

  /** Called, it writes to the connection at once; the effect waits for the answer and takes note of it. */
  const ask = (operation: Operation, time: number, kind: Kind): Effect.Effect<Reply, Unreachable> => {
    const isStep = kind === "step"
    if (isStep) mirror.sent()
    const failed = (exit: Exit.Failure<Reply, Unreachable>, time: number) => {
      mirror.lost(isStep)
      return Option.match(Cause.failureOption(exit.cause), {
        onNone: () => Effect.void,
        onSome: (error) => health.failed(time, error.cause)
      })
    }
    return Effect.onExit(line.ask(operation, options.clientClock ? time : undefined), (exit) =>
      Effect.flatMap(now, (time) => {
        if (Exit.isFailure(exit)) return failed(exit, time)
        mirror.answered(exit.value, time, isStep)
        return kind === "trial" ? Effect.zipRight(health.answered, tell) : tell
      })
    )
  }

  const deliver = (operation: Operation, time: number) =>
    Effect.match(ask(operation, time, "step"), { onFailure: () => false, onSuccess: () => true })

  const outbox = new Outbox({
    breaker,
    max: options.maxPending,
    onlyStreak: settings.failureRate > 1 && settings.slowRate > 1,
    isDown: health.isDown,
    deliver
  })

  const flush = Effect.flatMap(now, (time) => outbox.flush(time))
  const flushLater = later(Effect.delay(flush, Duration.millis(options.flush)))

  const turnAway = (verdict: Machine.Rejected): Machine.Rejected => {
    refused += 1
    return verdict
  }

  const admitted = (permit: Machine.Permit): Machine.Verdict => ({ _tag: "Admitted", permit })

  /** Frees the slot that the own machine gave to a call that does not run. */
  const giveBack = (time: number, local: Machine.Permit | undefined) => {
    if (local !== undefined) mirror.record(time, local, ignored)
  }

  const askToAdmit = (
    restore: Parameters<Stored["admit"]>[0],
    token: string,
    local: Machine.Permit | undefined,
    isTrying: boolean
  ): Effect.Effect<Machine.Verdict> => {
    let isSent = false
    const asking = Effect.flatMap(now, (time) => {
      isSent = true
      return isTrying ? ask(["admit", token, 1], time, "trial") : ask(["admit", token, 0], time, "question")
    })
    return Effect.flatMap(Effect.exit(restore(asking)), (exit) =>
      Effect.flatMap(now, (time): Effect.Effect<Machine.Verdict> => {
        if (Exit.isSuccess(exit)) {
          const { era, lastFailure, mode, verdict, waitMillis } = exit.value
          if (verdict !== "rejected" || mode === "Closed") {
            const probe = verdict === "probe" ? token : undefined
            return Effect.succeed(admitted(new Ticket(era, probe, time, local ?? mirror.localPermit(time))))
          }
          giveBack(time, local)
          return Effect.succeed(turnAway(rejected(mode, waitMillis, lastFailure)))
        }
        const failure = Cause.failureOrCause(exit.cause)
        // It may have been let through without hearing of it.
        const free =
          isSent && (Either.isRight(failure) || failure.left.sent)
            ? behind(Effect.asVoid(deliver(["free", token, ""], time)))
            : Effect.void
        if (Either.isRight(failure)) {
          if (isTrying) health.gaveUp()
          giveBack(time, local)
          return Effect.zipRight(free, Effect.failCause(failure.right))
        }
        const verdict = local === undefined ? mirror.admitLocally(time, token) : admitted(local)
        return Effect.zipRight(free, Effect.as(tell, locally(verdict)))
      })
    )
  }

  const locally = (verdict: Machine.Verdict): Machine.Verdict =>
    verdict._tag === "Rejected"
      ? turnAway(verdict)
      : admitted(new Ticket(noEra, undefined, verdict.permit.startedAt, verdict.permit))

  const admit: Stored["admit"] = (restore) =>
    Effect.flatMap(now, (time) => {
      const token = nextToken()
      const own = mirror.decides ? mirror.admitLocally(time, token) : undefined
      if (own?._tag === "Rejected") return Effect.as(tell, turnAway(own))
      const isAlone = health.isDown()
      if (own !== undefined && isAlone && !health.mayTry(time)) return Effect.as(tell, locally(own))
      if (!isAlone) {
        const refusal = mirror.refusal(time)
        if (refusal !== undefined) {
          giveBack(time, own?.permit)
          return Effect.as(tell, turnAway(refusal))
        }
        if (mirror.view?.mode === "Closed" && mirror.isFresh(time)) {
          const ticket = new Ticket(mirror.view.era, undefined, time, own?.permit ?? mirror.localPermit(time))
          return own === undefined ? Effect.succeed(admitted(ticket)) : Effect.as(tell, admitted(ticket))
        }
      }
      return askToAdmit(restore, token, own?.permit, isAlone)
    })

  /** Tells Redis of an outcome. What has to be there before the next call is written at once. */
  const share = (time: number, permit: Ticket, outcome: Machine.Outcome): Effect.Effect<void> => {
    const { era, token } = permit
    if (era === noEra) return Effect.void
    if (outcome._tag === "Ignored") {
      return token === undefined ? Effect.void : behind(Effect.asVoid(deliver(["free", token, era], time)))
    }
    const code = Window.codeOf(outcome._tag === "Failure", Machine.isSlow(permit, settings, time))
    if (token !== undefined) {
      const delivered = deliver(["probe", era, token, code, JSON.stringify(detail(outcome))], time)
      return behind(Effect.flatMap(delivered, (told) => (told ? Effect.void : outbox.lose(1))))
    }
    const isFirst = outbox.isEmpty
    if (!outbox.add(era, code, outcome)) return outbox.lose(1)
    if (outcome._tag === "Failure" || options.clientClock) return behind(outbox.flush(time))
    return isFirst ? flushLater : Effect.void
  }

  const record: Stored["record"] = (permit, outcome) =>
    permit instanceof Ticket
      ? Effect.flatMap(now, (time) => {
          if (permit.local !== undefined) mirror.record(time, permit.local, outcome)
          return Effect.zipRight(tell, share(time, permit, outcome))
        })
      : Effect.void

  const look = Effect.flatMap(now, (time) => line.ask(["look"], options.clientClock ? time : undefined)).pipe(
    Effect.tapError((error) => Effect.flatMap(now, (time) => health.failed(time, error.cause)))
  )

  const check = options.clientClock
    ? Effect.match(look, {
        onFailure: () => undefined,
        onSuccess: ({ lastFailure, mode, verdict, waitMillis }) =>
          verdict === "rejected" && mode !== "Closed" ? rejected(mode, waitMillis, lastFailure) : undefined
      })
    : Effect.map(now, (time) => mirror.check(time))

  const status = Effect.flatMap(now, (time) =>
    Effect.flatMap(outbox.isEmpty ? Effect.void : behind(outbox.flush(time)), () =>
      health.isDown()
        ? Effect.succeed(mirror.status(time))
        : Effect.flatMap(Effect.either(look), (answer) =>
            Effect.map(now, (time) =>
              answer._tag === "Right" ? mirror.merged(time, answer.right) : mirror.status(time)
            )
          )
    )
  ).pipe(Effect.map((status) => ({ ...status, rejected: refused })))

  const reset = Effect.flatMap(now, (time) => {
    mirror.reset()
    outbox.forget()
    const done = deliver(["reset"], time)
    return Effect.zipRight(tell, Effect.asVoid(done))
  })

  const isolate: Stored["isolate"] = Effect.suspend(() => {
    const holder = nextToken()
    const hold = Effect.flatMap(now, (time) =>
      Effect.asVoid(deliver(["isolate", holder, options.isolationLease], time))
    )
    // Who dies without a word does not hold it for ever.
    const renew = Effect.forever(Effect.delay(hold, Duration.millis(options.isolationLease / 3)))
    const letGo = Effect.flatMap(now, (time) => {
      mirror.release(holder)
      const released = deliver(["release", holder], time)
      return Effect.zipRight(tell, behind(Effect.asVoid(released)))
    })
    return Effect.uninterruptibleMask((restore) =>
      Effect.sync(() => mirror.isolate(holder)).pipe(
        Effect.zipRight(tell),
        Effect.zipRight(Effect.addFinalizer(() => letGo)),
        Effect.zipRight(restore(hold)),
        Effect.zipRight(Effect.forkScoped(Effect.interruptible(renew))),
        Effect.asVoid
      )
    )
  })

  return {
    stored: {
      check,
      admit,
      record,
      status,
      isolate,
      reset,
      snapshot: Effect.map(now, (time) => Machine.exported(mirror.local, settings, time)),
      restore: (snapshot) =>
        Effect.flatMap(now, (time) => {
          mirror.restore(time, snapshot)
          return tell
        })
    },
    drain: flush
  }
}
