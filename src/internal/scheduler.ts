/**
 * The fiber-based scheduler of a batch: every call counts the dependencies it waits for, and whatever lands the last
 * of them forks it. No levels, no polling, no fiber that only waits.
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
import type * as Bulkhead from "../policies/Bulkhead.ts"
import * as Policy from "../policies/Policy.ts"
import * as Timeout from "../policies/Timeout.ts"
import * as BatchEvents from "../services/BatchEvents.ts"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import * as ToolError from "../ToolError.ts"
import type { Toolbox } from "../Toolbox.ts"
import type * as ToolResult from "../ToolResult.ts"
import { type CallEvent, type Job, notBegun } from "./attempt.ts"
import * as CallRun from "./callRun.ts"
import { analyse } from "./dependencies.ts"
import * as Failed from "./failed.ts"
import * as Input from "./input.ts"
import { nearest } from "./nearest.ts"

export interface Batch<Tools extends Tool.Tool> {
  readonly id: string
  readonly toolbox: Toolbox<Tools>
  readonly calls: ReadonlyArray<ToolCall>
  readonly defaults: Policy.Resolved
  readonly bulkheadOf: (name: string, capacity: number) => Bulkhead.Bulkhead | undefined
  readonly concurrency: number
  readonly timeoutMillis: number
  readonly onInterrupt: ((batch: BatchResult.BatchResult<Tools>) => Effect.Effect<void>) | undefined
}

const isDecodable = (decoded: Input.Decoded) => !(Either.isEither(decoded) && Either.isLeft(decoded))

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
    running === undefined
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
    const events = Context.getOption(
      runtime.context as Context.Context<BatchEvents.BatchEvents>,
      BatchEvents.BatchEvents
    )
    const { calls, toolbox } = batch
    const startedAt = yield* Timeout.now
    const fork = Runtime.runFork(runtime)
    const graph = analyse(calls)
    const landed = calls.map(() => Deferred.unsafeMake<ToolResult.ToolResult>(FiberId.none))
    const results: Array<ToolResult.ToolResult | undefined> = calls.map(() => undefined)
    const unmet = graph.needs.map((needs) => needs.length)
    const active = new Map<number, { readonly job: Job; readonly fiber: Fiber.RuntimeFiber<ToolResult.ToolResult> }>()
    const ready: Array<number> = []
    let nextReady = 0
    let stopped = false

    const emitter =
      (call: ToolCall) =>
      (event: CallEvent): Effect.Effect<void> =>
        Option.isNone(events) ? Effect.void : events.value.publish({ ...event, batchId: batch.id, call })

    const policies = new Map<string, Policy.Resolved>()
    const underTools = Policy.resolve(toolbox.policy, batch.defaults)
    const policyOf = (definition: Tool.Definition): Policy.Resolved => {
      const known = policies.get(definition.name)
      if (known !== undefined) return known
      const resolved = Policy.resolve(definition.policy, underTools)
      policies.set(definition.name, resolved)
      return resolved
    }

    const outputsFor = (i: number): ReadonlyMap<string, unknown> => {
      const outputs = new Map<string, unknown>()
      for (const need of graph.needs[i] ?? []) {
        const result = results[need]
        if (result?._tag === "Success") outputs.set(result.call.id, result.output)
      }
      return outputs
    }

    /** Look up, decode: a job, or why there is none. */
    const prepare = (i: number, call: ToolCall): Either.Either<Job, Failed.Failed> => {
      const refused = graph.refused.get(i)
      if (refused !== undefined) return Either.left(Failed.of(refused))
      // A member of one of Anthropic's own toolsets is not one of ours, whatever its name.
      const tool = typeof call.toolset_name !== "string" ? toolbox.byName.get(call.name) : undefined
      if (tool === undefined) {
        const error = new ToolError.UnknownTool({ name: call.name, nearest: nearest(call.name, toolbox.byName.keys()) })
        return Either.left(Failed.of(error))
      }
      const { definition } = tool
      const handler = tool.handler(runtime.context)
      const input = Input.decode(definition, call.input)
      if (!isDecodable(input) || Option.isNone(handler)) {
        const missing = new ToolError.ToolDefect({
          correlationId: batch.id,
          name: "MissingImplementation",
          code: undefined,
          detail: `No layer provides the tool ${definition.name}`
        })
        return Either.left(Failed.of(Either.isEither(input) && Either.isLeft(input) ? input.left : missing, definition))
      }
      const policy = policyOf(definition)
      return Either.right({
        call,
        definition,
        handler: handler.value,
        input,
        policy,
        bulkhead: batch.bulkheadOf(definition.name, policy.concurrency),
        idempotencyKey: `${batch.id}/${i}/${call.id}`,
        dependencies: outputsFor(i),
        batchDeadline: startedAt + batch.timeoutMillis,
        emit: emitter(call),
        progress: notBegun()
      })
    }

    /** The first call this one waits for that did not succeed, and where that trouble began. */
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

    const land = (i: number, result: ToolResult.ToolResult): void => {
      if (results[i] !== undefined) return
      results[i] = result
      const deferred = landed[i]
      if (deferred !== undefined) Deferred.unsafeDone(deferred, Exit.succeed(result))
      for (const dependent of graph.neededBy[i] ?? []) {
        const left = (unmet[dependent] ?? 0) - 1
        unmet[dependent] = left
        if (left === 0) ready.push(dependent)
      }
    }

    const start = (i: number, call: ToolCall): void => {
      const failedDependency = graph.refused.has(i) ? undefined : failedNeed(i)
      const job = failedDependency === undefined ? prepare(i, call) : Either.left(Failed.of(failedDependency))
      if (Either.isLeft(job)) {
        const result = unstarted(call, job.left)
        if (Option.isSome(events)) fork(emitter(call)({ _tag: "Finished", result }))
        return land(i, result)
      }
      // Interruptible even where the batch is not, because deadlines end waits by interruption.
      const fiber = fork(Effect.interruptible(CallRun.run(job.right)), { immediate: false })
      active.set(i, { job: job.right, fiber })
      fiber.addObserver((exit) => {
        active.delete(i)
        if (stopped) return
        land(i, Exit.isSuccess(exit) ? exit.value : interrupted(job.right, startedAt))
        drain()
      })
    }

    /** Starts what is ready, as far as the limit allows. A loop, so that long chains of refusals need no stack. */
    const drain = (): void => {
      while (nextReady < ready.length && active.size < batch.concurrency) {
        const i = ready[nextReady++]
        const call = i === undefined ? undefined : calls[i]
        if (i !== undefined && call !== undefined) start(i, call)
      }
    }

    const finish = (time: number): BatchResult.BatchResult<Tools> =>
      BatchResult.make<Tools>(
        batch.id,
        // The report reads how much it may show from here, and does not know the runner's own defaults.
        { ...toolbox, policy: { ...toolbox.policy, maxOutputBytes: underTools.maxOutputBytes } },
        // Every call has landed or is given its last word here, by the tool of its own name.
        results as ReadonlyArray<ToolResult.ToolResult<Tools>>,
        Duration.millis(time - startedAt)
      )

    /** Nobody waits for the calls any more: say what became of each, and give handlers a moment to clean up. */
    const stop = Effect.gen(function* () {
      stopped = true
      const time = yield* Timeout.now
      const handlers: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
      calls.forEach((call, i) => {
        const running = active.get(i)
        if (running?.job.progress.running !== undefined) handlers.push(running.job.progress.running)
        results[i] ??=
          running === undefined
            ? unstarted(call, Failed.of(new ToolError.NotStarted({ reason: "interrupted" })))
            : interrupted(running.job, time)
      })
      yield* Effect.forEach([...active.values()], ({ fiber }) => Fiber.interruptFork(fiber), { discard: true })
      if (batch.onInterrupt !== undefined) yield* batch.onInterrupt(finish(time))
      yield* Effect.forEach(handlers, (fiber) => Fiber.await(fiber), { discard: true }).pipe(
        Effect.timeoutOption(Timeout.grace),
        Effect.interruptible
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
    return finish(yield* Timeout.now)
  })
