/** One breaker over Redis: what is asked of the server, what is answered without it, and what is sent behind the caller. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as AtOnce from "../../internal/atOnce.ts"
import type { Notify, Stored } from "../../internal/breaker/handle.ts"
import type { Restore } from "../../internal/job.ts"
import * as Look from "../../internal/breaker/look.ts"
import * as Machine from "../../internal/breaker/machine.ts"
import type { Settings } from "../../internal/breaker/settings.ts"
import * as Window from "../../internal/breaker/window.ts"
import { now } from "../../policies/Timeout.ts"
import type { Line } from "./line.ts"
import * as Link from "./link.ts"
import { Mirror, rejected, Ticket } from "./mirror.ts"
import { detail, Outbox } from "./outbox.ts"
import type { Store } from "./store.ts"

export interface Made {
  readonly stored: Stored
  /** Sends what is still gathered. */
  readonly drain: Effect.Effect<void>
}

const ignored = { _tag: "Ignored" } as const

/** Of a call that Redis knows nothing of. */
const noEra = -1

const admitted = (permit: Machine.Permit): Machine.Verdict => ({ _tag: "Admitted", permit })

export const make = (store: Store, line: Line, breaker: string, first: Settings, notify: Notify): Made => {
  const { behind, health, later, nextToken, options } = store
  let settings = first
  const mirror = new Mirror(settings, {
    alone: health.isDown,
    quorum: options.quorum,
    maxStaleness: options.maxStaleness
  })
  const { ask, deliver, tell, told } = Link.make(mirror, line, store, notify)

  /** An answer, after what has to be told of first. */
  const answered = <A>(answer: A): Effect.Effect<A> => {
    const telling = told()
    return AtOnce.isExit(telling) ? Effect.succeed(answer) : Effect.as(telling, answer)
  }

  /** What is done to the own machine and has to be told of. */
  const step = (f: (time: number) => void) =>
    Effect.uninterruptible(
      Effect.flatMap(now, (time) =>
        Effect.zipRight(
          Effect.sync(() => f(time)),
          tell
        )
      )
    )

  const outbox = new Outbox({
    breaker,
    max: options.maxPending,
    onlyStreak: () => settings.failureRate > 1 && settings.slowRate > 1,
    isDown: health.isDown,
    deliver
  })
  const flush = Effect.uninterruptible(Effect.flatMap(now, (time) => outbox.flush(time)))
  const flushLater = later(Effect.delay(flush, Duration.millis(options.flush)))

  /** Calls this process turned away. */
  let refused = 0
  const turnAway = (verdict: Machine.Rejected): Machine.Rejected => {
    refused += 1
    return verdict
  }

  /** Frees the slot that the own machine gave to a call that does not run. */
  const giveBack = (time: number, local: Machine.Permit | undefined) => {
    if (local !== undefined) mirror.record(time, local, ignored)
  }

  const locally = (verdict: Machine.Verdict): Machine.Verdict =>
    verdict._tag === "Rejected"
      ? turnAway(verdict)
      : admitted(new Ticket(noEra, undefined, verdict.permit.startedAt, verdict.permit))

  const askToAdmit = (
    time: number,
    restore: Restore,
    token: string,
    own: Machine.Verdict | undefined,
    isTrial: boolean
  ) => {
    const local = own?._tag === "Admitted" ? own.permit : undefined
    const asking = isTrial
      ? ask(["admit", token, 1], time, "trial", restore)
      : ask(["admit", token, 0], time, "question", restore)
    return Effect.flatMap(asking, (exit) =>
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
          Either.isRight(failure) || failure.left.sent
            ? behind(Effect.asVoid(deliver(["free", token, ""], time)))
            : Effect.void
        if (Either.isRight(failure)) {
          if (isTrial) health.gaveUp()
          giveBack(time, local)
          return Effect.zipRight(free, Effect.failCause(failure.right))
        }
        const verdict = own ?? mirror.admitLocally(time, token)
        return Effect.zipRight(free, Effect.as(tell, locally(verdict)))
      })
    )
  }

  const admitAt = (time: number, restore: Restore): Effect.Effect<Machine.Verdict> => {
    const isAlone = health.isDown()
    if (!isAlone && !mirror.decides) {
      const refusal = mirror.refusal(time)
      if (refusal !== undefined) return answered(turnAway(refusal))
      const era = mirror.closedEra(time)
      return era === undefined
        ? askToAdmit(time, restore, nextToken(), undefined, false)
        : Effect.succeed(admitted(new Ticket(era, undefined, time, mirror.localPermit(time))))
    }
    const token = nextToken()
    const own = mirror.admitLocally(time, token)
    if (own._tag === "Rejected") return answered(turnAway(own))
    if (isAlone) return health.mayTry(time) ? askToAdmit(time, restore, token, own, true) : answered(locally(own))
    const refusal = mirror.refusal(time)
    if (refusal !== undefined) {
      giveBack(time, own.permit)
      return answered(turnAway(refusal))
    }
    const era = mirror.closedEra(time)
    return era === undefined
      ? askToAdmit(time, restore, token, own, false)
      : answered(admitted(new Ticket(era, undefined, time, own.permit)))
  }

  const admit: Stored["admit"] = (restore, time) =>
    time === undefined ? Effect.flatMap(now, (time) => admitAt(time, restore)) : admitAt(time(), restore)

  /** Tells Redis of an outcome. What has to be there before the next call is written at once. */
  const share = (time: number, { era, startedAt, token }: Ticket, outcome: Machine.Outcome): Effect.Effect<void> => {
    if (era === noEra) return Effect.void
    if (outcome._tag === "Ignored") {
      return token === undefined ? Effect.void : behind(Effect.asVoid(deliver(["free", token, era], time)))
    }
    const slow = Machine.isSlow({ era, token, startedAt }, settings, time)
    const code = Window.codeOf(outcome._tag === "Failure", slow)
    if (token !== undefined) {
      const delivered = deliver(["probe", era, token, code, JSON.stringify(detail(outcome))], time)
      return behind(Effect.flatMap(delivered, (told) => (told ? Effect.void : outbox.lose(1))))
    }
    const isFirst = outbox.isEmpty
    if (!outbox.add(era, code, outcome)) return outbox.lose(1)
    if (outcome._tag === "Failure" || options.clientClock) return behind(outbox.flush(time))
    return isFirst ? flushLater : Effect.void
  }

  const recordAt = (time: number, ticket: Ticket, outcome: Machine.Outcome): Effect.Effect<void> => {
    if (ticket.local !== undefined) mirror.record(time, ticket.local, outcome)
    const shared = share(time, ticket, outcome)
    const telling = told()
    return AtOnce.isExit(telling) ? shared : Effect.zipRight(telling, shared)
  }

  const record: Stored["record"] = (permit, outcome, time) => {
    if (!(permit instanceof Ticket)) return Effect.void
    return time === undefined
      ? Effect.uninterruptible(Effect.flatMap(now, (time) => recordAt(time, permit, outcome)))
      : recordAt(time(), permit, outcome)
  }

  const look = Effect.flatMap(now, (time) => line.ask(["look"], options.clientClock ? time : undefined)).pipe(
    Effect.tapError((error) => Effect.flatMap(now, (time) => health.failed(time, error.cause)))
  )

  /** Without the server; but under a test's clock exactly. */
  const check = options.clientClock
    ? Effect.match(look, {
        onFailure: () => undefined,
        onSuccess: ({ lastFailure, mode, verdict, waitMillis }) =>
          verdict === "rejected" && mode !== "Closed" ? rejected(mode, waitMillis, lastFailure) : undefined
      })
    : Effect.map(now, (time) => mirror.check(time))

  const ownStatus = Effect.map(now, (time) => mirror.status(time))

  // Asked behind what was gathered, so that it is in the answer.
  const flushAhead = Effect.uninterruptible(Effect.flatMap(now, (time) => behind(outbox.flush(time))))
  const status = Effect.suspend(() => (outbox.isEmpty ? Effect.void : flushAhead)).pipe(
    Effect.flatMap(() =>
      health.isDown()
        ? ownStatus
        : Effect.matchEffect(look, {
            onFailure: () => ownStatus,
            onSuccess: (reply) => Effect.map(now, (time) => mirror.merged(time, reply))
          })
    ),
    Effect.map((status) => ({ ...status, rejected: refused }))
  )

  const reset = Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(now, (time) => {
      mirror.reset()
      outbox.forget()
      const done = deliver(["reset"], time, restore)
      return Effect.zipRight(tell, Effect.asVoid(done))
    })
  )

  const isolate: Stored["isolate"] = Effect.suspend(() => {
    const holder = nextToken()
    const hold = (restore: Restore) =>
      Effect.flatMap(now, (time) => deliver(["isolate", holder, options.isolationLease], time, restore))
    // Who dies without a word does not hold it for ever.
    const renew = Effect.forever(
      Effect.zipRight(
        Effect.sleep(Duration.millis(options.isolationLease / 3)),
        Effect.uninterruptibleMask((restore) => hold(restore))
      )
    )
    const letGo = Effect.flatMap(now, (time) => {
      mirror.release(holder)
      const released = deliver(["release", holder], time)
      return Effect.zipRight(tell, behind(Effect.asVoid(released)))
    })
    return Effect.uninterruptibleMask((restore) =>
      step(() => mirror.isolate(holder)).pipe(
        Effect.zipRight(Effect.addFinalizer(() => letGo)),
        Effect.zipRight(hold(restore)),
        Effect.zipRight(Effect.forkScoped(Effect.interruptible(renew))),
        Effect.asVoid
      )
    )
  })

  return {
    stored: {
      obey: (others) => {
        settings = others
        mirror.obey(others)
        line.obey(others)
      },
      check,
      admit,
      record,
      status,
      isolate,
      reset,
      snapshot: Effect.map(now, (time) => Look.exported(mirror.local, settings, time)),
      restore: (snapshot) => step((time) => mirror.restore(time, snapshot))
    },
    drain: flush
  }
}
