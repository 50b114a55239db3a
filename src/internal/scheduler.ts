/**
 * The fiber-based scheduler of a batch: every call counts what it waits for, and whatever takes the last of that away
 * forks it. No levels, no polling, no fiber that only waits.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as BatchResult from "../BatchResult.ts"
import * as Reference from "../Reference.ts"
import * as BatchEvents from "../services/BatchEvents.ts"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import * as ToolError from "../ToolError.ts"
import type * as ToolResult from "../ToolResult.ts"
import * as CallRun from "./callRun.ts"
import * as Coalesce from "./coalesce.ts"
import * as Failed from "./failed.ts"
import type { CallEvent, Job } from "./job.ts"
import * as Jobs from "./jobs.ts"
import type { Node, Target } from "./node.ts"
import { resourceOf } from "./prepare.ts"
import { readyWith } from "./references.ts"
import * as Roster from "./roster.ts"

export interface Batch<Tools extends Tool.Tool> extends Jobs.Batch<Tools> {
  readonly concurrency: number
  readonly timeoutMillis: number
  readonly onInterrupt: ((batch: BatchResult.BatchResult<Tools>) => Effect.Effect<void>) | undefined
  /** An answer to a call that is known from before. */
  readonly recall: ((call: ToolCall, input: object) => ToolResult.Success | undefined) | undefined
  /** Told of every result when it lands. */
  readonly onLand: (result: ToolResult.ToolResult) => void
}

/** A batch to which calls can be added. */
export interface Opened<Tools extends Tool.Tool> {
  /** Adds calls, in call order; starts nothing. With `hold` they wait until the batch is sealed. */
  readonly add: (calls: ReadonlyArray<ToolCall>, hold: boolean) => Effect.Effect<void>
  /** No call comes any more. Starts nothing. */
  readonly seal: Effect.Effect<void>
  /** Starts what is ready. */
  readonly go: Effect.Effect<void>
  /** Waits until all calls that were added have landed. */
  readonly join: Effect.Effect<void>
  readonly finish: Effect.Effect<BatchResult.BatchResult<Tools>>
  /** Nobody waits any more: says what became of each call, and gives handlers a moment to clean up. */
  readonly stop: Effect.Effect<void>
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

const faultOf = (either: Either.Either<unknown, Failed.Failed> | undefined): Failed.Failed | undefined =>
  either !== undefined && Either.isLeft(either) ? either.left : undefined

/** Whether a call runs although that one, which it needs, did not succeed. */
const tolerates = (node: Node, { call }: ToolResult.Failure): boolean => {
  if (node.call.tolerates === true) return true
  const tolerated = Either.isRight(node.looked) ? node.looked.right.tool.definition.tolerates : false
  return typeof tolerated === "boolean" ? tolerated : tolerated.includes(call.name)
}

/** What a call has come to when the batch is interrupted. */
const interrupted = (job: Job, time: number): ToolResult.Failure => {
  const { attempts, last, running, startedAt } = job.progress
  const unknown = Failed.of(new ToolError.OutcomeUnknown(), job.definition)
  const notStarted = Failed.of(new ToolError.NotStarted({ reason: "interrupted" }), job.definition)
  // Between two attempts the last one's failure stands.
  const failed = running.size > 0 ? unknown : attempts === 0 ? notStarted : (last ?? unknown)
  return {
    _tag: "Failure",
    call: job.call,
    error: failed.error,
    fault: failed.fault,
    attempts,
    duration: Duration.millis(startedAt === undefined ? 0 : time - startedAt)
  }
}

export const open = <Tools extends Tool.Tool>(
  batch: Batch<Tools>
): Effect.Effect<Opened<Tools>, never, Tool.Requirements<Tools>> =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime<never>()
    const clock = yield* Effect.clock
    const time = () => Number(clock.unsafeCurrentTimeNanos()) / 1e6
    const events = Context.getOption(
      runtime.context as Context.Context<BatchEvents.BatchEvents>,
      BatchEvents.BatchEvents
    )
    const { toolbox } = batch
    const syntax = toolbox.references ? yield* Reference.Syntax : undefined
    const startedAt = time()
    const fork = Runtime.runFork(runtime)

    const emitter =
      (call: ToolCall) =>
      (event: CallEvent): Effect.Effect<void> =>
        Option.isNone(events) ? Effect.void : events.value.publish({ ...event, batchId: batch.id, call })

    const jobs = Jobs.make(batch, runtime.context, startedAt + batch.timeoutMillis, emitter)
    const queue: Array<Node> = []
    const roster = Roster.make((node) => {
      if (!node.queued) {
        node.queued = true
        queue.push(node)
      }
    })
    const { nodes } = roster
    const flights = Coalesce.flights((i) => nodes[i]?.result)
    const active = new Map<Node, Fiber.RuntimeFiber<ToolResult.ToolResult>>()
    let nextInQueue = 0
    let stopped = false

    const outputsFor = (node: Node): ReadonlyMap<string, unknown> => {
      const outputs = new Map<string, unknown>()
      for (const need of node.needs) {
        const result = nodes[need]?.result
        if (result?._tag === "Success") outputs.set(result.call.id, result.output)
      }
      return outputs
    }

    /** The first call this one cannot do without that did not succeed, and where that trouble began. */
    const failedNeed = (node: Node): ToolError.DependencyFailed | undefined => {
      for (const need of node.needs) {
        const result = nodes[need]?.result
        if (result?._tag === "Failure" && (node.references.has(need) || !tolerates(node, result))) {
          const root = result.error._tag === "DependencyFailed" ? result.error.root : result.call.id
          return new ToolError.DependencyFailed({ dependency: result.call.id, root })
        }
      }
      return undefined
    }

    const outputOf = (name: string): ToolResult.ToolResult | undefined => nodes[roster.find(name) ?? -1]?.result

    /** What stands in the way of a call, or what it runs with. */
    const admitted = (node: Node): Either.Either<Jobs.Ready, Failed.Failed> => {
      if (node.refused !== undefined) return Either.left(node.refused)
      const failed = failedNeed(node)
      if (failed !== undefined) return Either.left(Failed.of(failed))
      return (
        node.ready ?? Either.flatMap(node.looked, (looked) => readyWith(node.parsed, looked, outputOf, jobs.prepare))
      )
    }

    /** Two reads are identical where they also wait for the same calls. */
    const flightOf = (node: Node, { key, policy }: Job): string | undefined =>
      key === undefined || !policy.coalesce ? undefined : `${key} ${node.needs.toSorted((a, b) => a - b).join()}`

    const land = (node: Node, result: ToolResult.ToolResult): void => {
      if (node.result !== undefined) return
      node.result = result
      Deferred.unsafeDone(node.landed, Exit.succeed(result))
      batch.onLand(result)
      roster.landed(node)
    }

    /** Lands a call that was not run. */
    const landUnrun = (node: Node, result: ToolResult.ToolResult): void => {
      if (Option.isSome(events)) fork(emitter(node.call)({ _tag: "Finished", result }))
      land(node, result)
    }

    const landShared = (node: Node, result: ToolResult.ToolResult): void =>
      landUnrun(node, Coalesce.share(result, node.call, time() - (node.job?.progress.startedAt ?? time())))

    /** Those who followed this call take its result, or, where that was its own affair, start afresh. */
    const landFollowers = (node: Node, flight: string, result: ToolResult.ToolResult): void => {
      for (const i of flights.landed(flight, node.index)) {
        const follower = nodes[i]
        if (follower === undefined) continue
        if (Coalesce.isShared(result)) landShared(follower, result)
        else queue.push(follower)
      }
    }

    const lead = (node: Node, job: Job, flight: string | undefined): void => {
      // Interruptible even where the batch is not, because deadlines end waits by interruption.
      const fiber = fork(Effect.interruptible(CallRun.run(job)), { immediate: false })
      active.set(node, fiber)
      fiber.addObserver((exit) => {
        active.delete(node)
        if (stopped) return
        const result = Exit.isSuccess(exit) ? exit.value : interrupted(job, startedAt)
        land(node, result)
        if (flight !== undefined) landFollowers(node, flight, result)
        drain()
      })
    }

    /** What is known of a call from before. It stands only where nothing the call waited for may have changed it. */
    const recalled = (node: Node, { written }: Job): ToolResult.Success | undefined => {
      const before = node.after === undefined ? node.needs : [...node.needs, node.after]
      if (before.some((i) => nodes[i]?.job?.definition.effects !== "read")) return undefined
      const known = batch.recall?.(node.call, written)
      return known && { ...known, call: node.call, attempts: 0, duration: Duration.zero, source: "journal" }
    }

    const start = (node: Node): void => {
      const ready = admitted(node)
      if (Either.isLeft(ready)) return landUnrun(node, unstarted(node.call, ready.left))
      const job = (node.job ??= jobs.job(node.index, node.call, ready.right, outputsFor(node)))
      const flight = flightOf(node, job)
      const part = flight === undefined ? "lead" : flights.join(flight, node.index)
      if (part === "lead") {
        const known = recalled(node, job)
        return known === undefined ? lead(node, job, flight) : landUnrun(node, known)
      }
      job.progress.startedAt ??= time()
      if (part !== "follow") landShared(node, part)
    }

    /** Starts what is ready, as far as the limit allows. A loop, so that long chains of refusals need no stack. */
    const drain = (): void => {
      while (nextInQueue < queue.length && active.size < batch.concurrency) {
        const node = queue[nextInQueue++]
        if (node !== undefined) start(node)
      }
    }

    /** References in what the model wrote, where the toolbox allows them. */
    const parse = ({ written }: Jobs.Looked): Either.Either<Reference.Parsed | undefined, Failed.Failed> =>
      syntax === undefined
        ? Either.right(undefined)
        : Either.mapLeft(syntax.parse(written), (error) => Failed.of(error))

    const addOne = (call: ToolCall, hold: boolean): void => {
      const looked = jobs.lookUp(call)
      const parsed = Either.flatMap(looked, parse)
      const found = Either.isRight(parsed) ? parsed.right : undefined
      const references = found?.references ?? []
      const targets: ReadonlyArray<Target> = [
        ...(call.dependsOn ?? []).map((name) => ({ name, kind: "id", isReference: false }) as const),
        ...references.map(({ target, raw }) => ({ name: target, raw, kind: "any", isReference: true }) as const)
      ]
      const own = { call, looked: Either.flatMap(parsed, () => looked), parsed: found, targets }
      const ready =
        references.length > 0
          ? undefined
          : Either.flatMap(own.looked, (looked) => readyWith(found, looked, outputOf, jobs.prepare))
      // More calls of those tools may come until the batch is sealed.
      const isLater = Either.isRight(looked) && looked.right.tool.definition.after.length > 0
      roster.add(
        { ...own, ready, refused: faultOf(own.looked) ?? faultOf(ready), waitsForSeal: hold || isLater },
        found?.label,
        ready !== undefined && Either.isRight(ready) ? resourceOf(ready.right) : undefined
      )
    }

    const finish = Effect.sync((): BatchResult.BatchResult<Tools> =>
      BatchResult.make<Tools>(
        batch.id,
        // The report reads how much it may show from here, and does not know the runner's own defaults.
        { ...toolbox, policy: { ...toolbox.policy, maxOutputBytes: jobs.maxOutputBytes } },
        // Every call has landed or was given its last word, by the tool of its own name.
        nodes.map((node) => node.result) as ReadonlyArray<ToolResult.ToolResult<Tools>>,
        Duration.millis(time() - startedAt)
      )
    )

    const stop = Effect.gen(function* () {
      stopped = true
      const now = time()
      const handlers = Array.from(active.keys(), ({ job }) => Array.from(job?.progress.running ?? [])).flat()
      for (const node of nodes) {
        node.result ??=
          node.job === undefined || !active.has(node)
            ? unstarted(node.call, Failed.of(new ToolError.NotStarted({ reason: "interrupted" })))
            : interrupted(node.job, now)
      }
      yield* Effect.forEach(Array.from(active.values()), (fiber) => Fiber.interruptFork(fiber), { discard: true })
      if (batch.onInterrupt !== undefined) yield* batch.onInterrupt(yield* finish)
      // In a fiber of its own: in one that was interrupted nothing can be waited for and cut short.
      const ended = Effect.forEach(handlers, (fiber) => Fiber.await(fiber), { discard: true })
      const waited = yield* Effect.forkDaemon(Effect.interruptible(Effect.timeoutOption(ended, cleanUp)))
      yield* Fiber.await(waited)
    })

    return {
      add: (calls, hold) =>
        Effect.map(jobs.learn(calls), () => {
          for (const call of calls) addOne(call, hold)
        }),
      seal: Effect.sync(() => roster.seal()),
      go: Effect.sync(() => drain()),
      join: Effect.suspend(() =>
        Effect.asVoid(
          Effect.all(
            nodes.map(({ landed }) => Deferred.await(landed)),
            { mode: "either" }
          )
        )
      ),
      finish,
      stop
    }
  })
