/**
 * The fiber-based scheduler of a batch: every call counts the calls it waits for, and whatever lands the last of them
 * forks it. No levels, no polling, no fiber that only waits.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as BatchResult from "../BatchResult.ts"
import * as BatchEvents from "../services/BatchEvents.ts"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import * as ToolError from "../ToolError.ts"
import type { Toolbox } from "../Toolbox.ts"
import type * as ToolResult from "../ToolResult.ts"
import * as CallRun from "./callRun.ts"
import * as Coalesce from "./coalesce.ts"
import { analyse } from "./dependencies.ts"
import * as Failed from "./failed.ts"
import type { CallEvent, Job } from "./job.ts"
import * as Jobs from "./jobs.ts"
import { resourceOf } from "./prepare.ts"
import type { Runner } from "./runner.ts"

export interface Batch<Tools extends Tool.Tool> {
  readonly id: string
  readonly toolbox: Toolbox<Tools>
  readonly calls: ReadonlyArray<ToolCall>
  readonly runner: Runner
  readonly concurrency: number
  readonly maxExecutions: number
  readonly timeoutMillis: number
  readonly onInterrupt: ((batch: BatchResult.BatchResult<Tools>) => Effect.Effect<void>) | undefined
}

/** How long an interrupted batch lets its handlers clean up. */
const cleanUp = Duration.seconds(1)

const unstarted = (call: ToolCall, failed: Failed.Failed): ToolResult.Failure => ({
  _tag: "Failure",
  call,
  error: failed.error,
  fault: failed.fault,
  attempts: 0,
  duration: Duration.zero
})

/** What a call has come to when the batch is interrupted. */
const interrupted = (job: Job, time: number): ToolResult.Failure => {
  const { attempts, last, running, startedAt } = job.progress
  const failed =
    running.size === 0
      ? (last ?? Failed.of(new ToolError.NotStarted({ reason: "interrupted" }), job.definition))
      : Failed.of(new ToolError.OutcomeUnknown(), job.definition)
  return {
    _tag: "Failure",
    call: job.call,
    error: failed.error,
    fault: failed.fault,
    attempts,
    duration: Duration.millis(startedAt === undefined ? 0 : time - startedAt)
  }
}

export const run = <Tools extends Tool.Tool>(
  batch: Batch<Tools>
): Effect.Effect<BatchResult.BatchResult<Tools>, never, Tool.Requirements<Tools>> =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime<never>()
    const clock = yield* Effect.clock
    const time = () => Number(clock.unsafeCurrentTimeNanos()) / 1e6
    const events = Context.getOption(
      runtime.context as Context.Context<BatchEvents.BatchEvents>,
      BatchEvents.BatchEvents
    )
    const { calls, toolbox } = batch
    const startedAt = time()
    const fork = Runtime.runFork(runtime)

    const emitter =
      (call: ToolCall) =>
      (event: CallEvent): Effect.Effect<void> =>
        Option.isNone(events) ? Effect.void : events.value.publish({ ...event, batchId: batch.id, call })

    const jobs = yield* Jobs.make(batch, runtime.context, startedAt + batch.timeoutMillis, emitter)
    const prepared = calls.map(jobs.prepare)
    const graph = analyse(calls, prepared.map(resourceOf))
    const landed = calls.map(() => Deferred.unsafeMake<ToolResult.ToolResult>(FiberId.none))
    const results: Array<ToolResult.ToolResult | undefined> = calls.map(() => undefined)
    const flights = Coalesce.flights(results)
    const unmet = [...graph.unmet]
    const active = new Map<number, { readonly job: Job; readonly fiber: Fiber.RuntimeFiber<ToolResult.ToolResult> }>()
    const following = new Map<number, Job>()
    const ready: Array<number> = []
    let nextReady = 0
    let stopped = false

    const outputsFor = (i: number): ReadonlyMap<string, unknown> => {
      const outputs = new Map<string, unknown>()
      for (const need of graph.needs[i] ?? []) {
        const result = results[need]
        if (result?._tag === "Success") outputs.set(result.call.id, result.output)
      }
      return outputs
    }

    /** The first call this one needs that did not succeed, and where that trouble began. */
    const failedNeed = (i: number): ToolError.DependencyFailed | undefined => {
      for (const need of graph.needs[i] ?? []) {
        const result = results[need]
        if (result?._tag === "Failure") {
          const root = result.error._tag === "DependencyFailed" ? result.error.root : result.call.id
          return new ToolError.DependencyFailed({ dependency: result.call.id, root })
        }
      }
      return undefined
    }

    /** What stands in the way of a call, or what it runs with. */
    const admitted = (i: number): Either.Either<Jobs.Ready, Failed.Failed> => {
      const refused = graph.refused.get(i) ?? failedNeed(i)
      return refused === undefined
        ? (prepared[i] ?? Either.left(Failed.of(new ToolError.NotStarted({ reason: "interrupted" }))))
        : Either.left(Failed.of(refused))
    }

    /** Two reads are identical where they also wait for the same calls. */
    const flightOf = (i: number, { key, policy }: Job): string | undefined =>
      key === undefined || !policy.coalesce ? undefined : `${key} ${(graph.needs[i] ?? []).toSorted().join()}`

    const land = (i: number, result: ToolResult.ToolResult): void => {
      if (results[i] !== undefined) return
      results[i] = result
      const deferred = landed[i]
      if (deferred !== undefined) Deferred.unsafeDone(deferred, Exit.succeed(result))
      for (const waiting of graph.awaitedBy[i] ?? []) {
        const left = (unmet[waiting] ?? 0) - 1
        unmet[waiting] = left
        if (left === 0 && !graph.refused.has(waiting)) ready.push(waiting)
      }
    }

    /** Lands a call that was not run. */
    const landUnrun = (i: number, call: ToolCall, result: ToolResult.ToolResult): void => {
      if (Option.isSome(events)) fork(emitter(call)({ _tag: "Finished", result }))
      land(i, result)
    }

    const landShared = (i: number, job: Job, result: ToolResult.ToolResult): void =>
      landUnrun(i, job.call, Coalesce.share(result, job.call, time() - (job.progress.startedAt ?? time())))

    /** Those who followed this call take its result, or, where that was its own affair, start afresh. */
    const landFollowers = (i: number, flight: string, result: ToolResult.ToolResult): void => {
      for (const follower of flights.landed(flight, i)) {
        const job = following.get(follower)
        if (job === undefined) continue
        if (Coalesce.isShared(result)) landShared(follower, job, result)
        else ready.push(follower)
      }
    }

    const lead = (i: number, job: Job, flight: string | undefined): void => {
      // Interruptible even where the batch is not, because deadlines end waits by interruption.
      const fiber = fork(Effect.interruptible(CallRun.run(job)), { immediate: false })
      active.set(i, { job, fiber })
      fiber.addObserver((exit) => {
        active.delete(i)
        if (stopped) return
        const result = Exit.isSuccess(exit) ? exit.value : interrupted(job, startedAt)
        land(i, result)
        if (flight !== undefined) landFollowers(i, flight, result)
        drain()
      })
    }

    const start = (i: number, call: ToolCall): void => {
      const ready = admitted(i)
      if (Either.isLeft(ready)) return landUnrun(i, call, unstarted(call, ready.left))
      const job = following.get(i) ?? jobs.job(i, call, ready.right, outputsFor(i))
      const flight = flightOf(i, job)
      const part = flight === undefined ? "lead" : flights.join(flight, i)
      if (part === "lead") return lead(i, job, flight)
      job.progress.startedAt ??= time()
      following.set(i, job)
      if (part !== "follow") landShared(i, job, part)
    }

    /** Starts what is ready, as far as the limit allows. A loop, so that long chains of refusals need no stack. */
    const drain = (): void => {
      while (nextReady < ready.length && active.size < batch.concurrency) {
        const i = ready[nextReady++]
        const call = i === undefined ? undefined : calls[i]
        if (i !== undefined && call !== undefined) start(i, call)
      }
    }

    const finish = (): BatchResult.BatchResult<Tools> =>
      BatchResult.make<Tools>(
        batch.id,
        // The report reads how much it may show from here, and does not know the runner's own defaults.
        { ...toolbox, policy: { ...toolbox.policy, maxOutputBytes: jobs.maxOutputBytes } },
        // Every call has landed or is given its last word here, by the tool of its own name.
        results as ReadonlyArray<ToolResult.ToolResult<Tools>>,
        Duration.millis(time() - startedAt)
      )

    /** Nobody waits for the calls any more: say what became of each, and give handlers a moment to clean up. */
    const stop = Effect.gen(function* () {
      stopped = true
      const now = time()
      const handlers = Array.from(active.values(), ({ job }) => Array.from(job.progress.running)).flat()
      calls.forEach((call, i) => {
        const running = active.get(i)
        results[i] ??=
          running === undefined
            ? unstarted(call, Failed.of(new ToolError.NotStarted({ reason: "interrupted" })))
            : interrupted(running.job, now)
      })
      yield* Effect.forEach([...active.values()], ({ fiber }) => Fiber.interruptFork(fiber), { discard: true })
      if (batch.onInterrupt !== undefined) yield* batch.onInterrupt(finish())
      yield* Effect.forEach(handlers, (fiber) => Fiber.await(fiber), { discard: true }).pipe(
        // This fiber is interrupted already; what is raced runs in one of its own.
        Effect.interruptible,
        Effect.timeoutOption(cleanUp)
      )
    })

    calls.forEach((_, i) => {
      if (unmet[i] === 0 || graph.refused.has(i)) ready.push(i)
    })
    yield* Effect.uninterruptibleMask((restore) => {
      drain()
      const join = Effect.all(
        landed.map((deferred) => Deferred.await(deferred)),
        { mode: "either" }
      )
      return Effect.onInterrupt(restore(join), () => stop)
    })
    return finish()
  })
