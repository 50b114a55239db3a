/**
 * The fiber-based scheduler of a batch: every call counts what it waits for, and whatever takes the last of that away
 * forks it. No levels, no polling, no fiber that only waits.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRefs from "effect/FiberRefs"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as BatchResult from "../BatchResult.ts"
import * as Reference from "../Reference.ts"
import type * as Journal from "../services/Journal.ts"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import * as ToolError from "../ToolError.ts"
import type * as ToolResult from "../ToolResult.ts"
import * as AtOnce from "./atOnce.ts"
import { canonical } from "./canonical.ts"
import * as CallRun from "./callRun.ts"
import * as CallRuntime from "./callRuntime.ts"
import * as Coalesce from "./coalesce.ts"
import * as Failed from "./failed.ts"
import { fingerprint } from "./fingerprint.ts"
import * as Deadlines from "./deadlines.ts"
import type { Answer, Fork, Job, Shared } from "./job.ts"
import * as Jobs from "./jobs.ts"
import * as Entry from "./journal/entry.ts"
import * as Monotonic from "./monotonic.ts"
import * as Needs from "./needs.ts"
import type { Node } from "./node.ts"
import * as Outcome from "./outcome.ts"
import { resourceOf } from "./prepare.ts"
import { readyWith } from "./references.ts"
import * as Roster from "./roster.ts"
import { since } from "./since.ts"
import * as Targets from "./targets.ts"
import * as Telemetry from "./telemetry.ts"
import * as Waits from "./waits.ts"
import * as Witness from "./witness.ts"

export interface Batch<Tools extends Tool.Tool> extends Jobs.Batch<Tools> {
  readonly concurrency: number
  readonly maxExecutions: number
  /** Where the batch is written down; missing where it is not. */
  readonly journal: Journal.Journal["Type"] | undefined
  readonly timeoutMillis: number
  readonly onInterrupt: ((batch: BatchResult.BatchResult<Tools>) => Effect.Effect<void>) | undefined
  /** An answer to a call that is known from before. */
  readonly recall: ((call: ToolCall, input: object) => ToolResult.Success | undefined) | undefined
  /** Whether the batch may hold several calls of that tool, which may then be identical. */
  readonly mayRepeat: (name: string) => boolean
  /** Told of every result when it lands. */
  readonly onLand: (result: ToolResult.ToolResult) => void
}

/** A batch to which calls can be added. */
export interface Opened<Tools extends Tool.Tool> {
  /** Adds calls, in call order; starts nothing. With `hold` they wait until the batch is sealed. To be run at once. */
  readonly add: (calls: ReadonlyArray<ToolCall>, hold: boolean) => Effect.Effect<void>
  /** No call comes any more. Starts nothing. */
  readonly seal: Effect.Effect<void>
  /** Reads what is known of the batch from before, where it is written down. To be run before `go`. */
  readonly recall: Effect.Effect<void>
  /** How many of the calls that were added have not landed. */
  readonly left: () => number
  /** Starts what is ready. */
  readonly go: Effect.Effect<void>
  /** Waits until all calls that were added have landed. */
  readonly join: Effect.Effect<void>
  readonly finish: Effect.Effect<BatchResult.BatchResult<Tools>>
  /** Nobody waits any more: says what became of each call, and gives handlers a moment to clean up. */
  readonly stop: Effect.Effect<void>
  /** Lets go of what the batch holds. To be run when it is over. */
  readonly close: Effect.Effect<void>
}

/** How long an interrupted batch lets its handlers clean up. */
const cleanUp = Duration.seconds(1)

const canonicalOf = (ready: Either.Either<Jobs.Ready, Failed.Failed> | undefined): string | undefined =>
  ready !== undefined && Either.isRight(ready) ? canonical(ready.right.written) : undefined

const faultOf = (either: Either.Either<unknown, Failed.Failed> | undefined): Failed.Failed | undefined =>
  either !== undefined && Either.isLeft(either) ? either.left : undefined

/** Waits until a call has its result. */
const landed = (node: Node): Effect.Effect<void> =>
  Effect.async((resume) => {
    if (node.result !== undefined) return resume(Effect.void)
    const before = node.onLand
    node.onLand = () => {
      before?.()
      resume(Effect.void)
    }
  })

/** `runtime` is that of the fiber that opens it. */
export const open = <Tools extends Tool.Tool>(
  batch: Batch<Tools>,
  runtime: Runtime.Runtime<Tool.Requirements<Tools>>
): Opened<Tools> => {
  const clock = Context.get(FiberRefs.getOrDefault(runtime.fiberRefs, DefaultServices.currentServices), Clock.Clock)
  const time = Monotonic.reader(clock)
  const { toolbox } = batch
  const syntax = toolbox.references ? Context.get(runtime.context, Reference.Syntax) : undefined
  const startedAt = time()
  const telemetry = Telemetry.make(runtime, clock)
  const ofCalls = CallRuntime.make(runtime)
  const fork = Runtime.runFork(ofCalls)
  const deadlines = Deadlines.make(clock, time, fork)
  const witness = Witness.make({ batchId: batch.id, toolbox, context: runtime.context, telemetry, time, fork })
  const shared: Shared = {
    batchId: batch.id,
    batchDeadline: startedAt + batch.timeoutMillis,
    time,
    deadlines,
    executions: { left: batch.maxExecutions },
    resources: batch.runner.resources,
    outputStore: batch.runner.outputStore,
    telemetry,
    outputsFor: (index) => Needs.outputs(index, nodes),
    fork,
    lead: (job, call) => lead(job, call),
    publish: witness.publish
  }
  const { journal } = batch
  /** Whether anything may be known of calls from before. */
  const remembers = journal !== undefined || batch.recall !== undefined
  let entries: Entry.Entries | undefined
  let scope: Scope.CloseableScope | undefined
  const jobs = Jobs.make(batch, ofCalls, shared, journal === undefined ? undefined : () => entries)
  const queue: Array<Node> = []
  const roster = Roster.make((node) => {
    if (!node.queued) {
      node.queued = true
      queue.push(node)
    }
  })
  const { nodes } = roster
  const waits = witness.tell && Waits.make(nodes, witness.tell)
  const flights = Coalesce.flights((i) => nodes[i]?.result)
  let nextInQueue = 0
  let toldInQueue = 0
  let isDraining = false
  let stopped = false
  let left = 0
  /** How many calls have a fiber. */
  let active = 0

  const outputOf = (name: string): ToolResult.ToolResult | undefined => nodes[roster.find(name) ?? -1]?.result

  /** What stands in the way of a call, or what it runs with. */
  const admitted = (node: Node): Either.Either<Jobs.Ready, Failed.Failed> => {
    if (node.refused !== undefined) return Either.left(node.refused)
    const failed = Needs.failed(node, nodes)
    if (failed !== undefined) return Either.left(Failed.of(failed))
    return node.ready ?? Either.flatMap(node.looked, (looked) => readyWith(node.parsed, looked, outputOf, jobs.prepare))
  }

  /** Two reads are identical where they also wait for the same calls. */
  const shareKeyOf = (i: number): string | undefined => {
    const node = nodes[i]
    const input = node?.job?.canonical ?? canonicalOf(node?.ready)
    return node === undefined || input === undefined
      ? undefined
      : `${node.call.name} ${input} ${node.needs.toSorted((a, b) => a - b).join()}`
  }

  /** Whether another call may be the same. */
  const isShareable = ({ definition, policy }: Job): boolean =>
    definition.effects === "read" && policy.coalesce && batch.mayRepeat(definition.name)

  const land = (node: Node, result: ToolResult.ToolResult): void => {
    if (node.result !== undefined) return
    node.result = result
    left--
    witness.finished(node, result)
    if (!remembers && node.ready !== undefined) node.job = undefined
    node.onLand?.()
    batch.onLand(result)
    roster.landed(node)
  }

  /** Lands a call that was not run. */
  const landUnrun = (node: Node, result: ToolResult.ToolResult): void => {
    witness.unrun(node, result)
    land(node, result)
  }

  const landShared = (node: Node, result: ToolResult.ToolResult): void => {
    node.job?.metrics.coalesced()
    landUnrun(node, Coalesce.share(result, node.call, time() - (node.job?.progress.startedAt ?? time())))
  }

  /** Those who followed this call take its result, or, where that was its own affair, start afresh. */
  const landFollowers = (node: Node, result: ToolResult.ToolResult): void => {
    for (const i of flights.landed(node.index)) {
      const follower = nodes[i]
      if (follower === undefined) continue
      if (Coalesce.isShared(result)) landShared(follower, result)
      else queue.push(follower)
    }
  }

  const forkOf = ({ looked }: Node): Fork => (Either.isRight(looked) ? looked.right.fork : fork)

  const lead = (job: Job, call: Effect.Effect<Answer, Failed.Failed>): void => {
    const node = nodes[job.index]
    if (node === undefined) return
    const fiber = forkOf(node)(call)
    if (node.fiber === undefined) active++
    node.fiber = fiber
    fiber.addObserver((exit) => {
      // One that was left to a handler says nothing any more.
      if (stopped || node.fiber !== fiber) return
      node.fiber = undefined
      active--
      const result = Outcome.ended(job, exit)
      land(node, result)
      landFollowers(node, result)
      drain()
    })
  }

  /** What is known of a call from before. It stands only where nothing the call waited for may have changed it. */
  const recalled = (node: Node, { written }: Job): ToolResult.Success | undefined => {
    const known = node.since < 0 ? batch.recall?.(node.call, written) : undefined
    return known && { ...known, call: node.call, attempts: 0, duration: Duration.zero, source: "journal" }
  }

  const start = (node: Node): void => {
    const ready = admitted(node)
    if (Either.isLeft(ready)) return landUnrun(node, Outcome.unstarted(node.call, ready.left))
    if (remembers) node.since = since(node, nodes)
    const job = (node.job ??= jobs.job(node, ready.right))
    const part = isShareable(job)
      ? flights.join(fingerprint(node.call.name, job.written), node.index, shareKeyOf)
      : "lead"
    if (part === "lead") {
      const known = recalled(node, job)
      return known === undefined ? lead(job, CallRun.run(job)) : landUnrun(node, known)
    }
    job.progress.startedAt ??= time()
    if ("follows" in part) waits?.forCalls(node, "identical", [part.follows])
    else landShared(node, part)
  }

  /** Of calls that are ready, while as many are in progress as the batch allows. */
  const tellQueued = (): void => {
    for (; toldInQueue < queue.length; toldInQueue++) {
      const node = queue[toldInQueue]
      if (node !== undefined && toldInQueue >= nextInQueue)
        witness.tell?.(node, { _tag: "Waiting", for: { _tag: "Batch" } })
    }
  }

  /**
   * Starts what is ready, as far as the limit allows. A loop, so that long chains need no stack: calls that end at once
   * come back here while it runs.
   */
  const drain = (): void => {
    if (isDraining) return
    isDraining = true
    while (nextInQueue < queue.length && active < batch.concurrency) {
      const node = queue[nextInQueue++]
      if (node !== undefined) start(node)
    }
    isDraining = false
    if (witness.tell !== undefined) tellQueued()
  }

  const addOne = (call: ToolCall, hold: boolean): void => {
    const written = jobs.lookUp(call)
    const parsed = syntax === undefined ? undefined : Targets.parse(syntax, written)
    const found = parsed !== undefined && Either.isRight(parsed) ? parsed.right : undefined
    if (found !== undefined && found.references.length > 0 && Either.isRight(written)) jobs.refers(written.right)
    // What is wrong with its references is the call's own fault, like anything else in what the model wrote.
    const looked = parsed !== undefined && Either.isLeft(parsed) ? Either.left(parsed.left) : written
    const targets = Targets.of(call, found)
    const ready =
      found !== undefined && found.references.length > 0
        ? undefined
        : Either.isLeft(looked)
          ? Either.left(looked.left)
          : readyWith(found, looked.right, outputOf, jobs.prepare)
    // More calls of those tools may come until the batch is sealed.
    const isLater = Either.isRight(looked) && looked.right.tool.definition.after.length > 0
    const node = roster.add(
      {
        call,
        looked,
        parsed: found,
        ready,
        targets,
        waitsForSeal: hold || isLater,
        refused: faultOf(looked) ?? faultOf(ready)
      },
      found?.label,
      ready !== undefined && Either.isRight(ready) ? resourceOf(ready.right) : undefined
    )
    left++
    witness.tell?.(node, { _tag: "Submitted" })
    waits?.added(node)
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
    const unfinished = nodes.filter((node) => node.result === undefined)
    const running = unfinished.filter(({ fiber }) => fiber !== undefined)
    const handlers = running.flatMap(({ job }) => job?.progress.running.all() ?? [])
    for (const node of unfinished) {
      node.result =
        node.job === undefined || node.fiber === undefined
          ? Outcome.unstarted(node.call, Failed.of(new ToolError.NotStarted({ reason: "interrupted" })))
          : Outcome.interrupted(node.job)
    }
    for (const { job } of running) job?.progress.here?.abandon()
    const fibers = running.flatMap(({ fiber }) => fiber ?? [])
    yield* Effect.forEach(fibers, (fiber) => Fiber.interruptFork(fiber), { discard: true })
    for (const node of unfinished) {
      const { result } = node
      if (result !== undefined) witness.finished(node, result)
    }
    if (batch.onInterrupt !== undefined) yield* batch.onInterrupt(yield* finish)
    // In a fiber of its own: in one that was interrupted nothing can be waited for and cut short.
    const ended = Effect.forEach(handlers, (fiber) => Fiber.await(fiber), { discard: true })
    const waited = yield* Effect.forkDaemon(Effect.interruptible(Effect.timeoutOption(ended, cleanUp)))
    yield* Fiber.await(waited)
  })

  return {
    add: (calls, hold) =>
      AtOnce.flatMap(jobs.learn(calls), () => {
        for (const call of calls) addOne(call, hold)
        return Effect.void
      }),
    left: () => left,
    seal: Effect.sync(() => {
      roster.seal()
      waits?.sealed()
    }),
    recall:
      journal === undefined
        ? Effect.void
        : Effect.flatMap(Scope.make(), (made) => {
            scope = made
            return Effect.map(Scope.extend(journal.open(`batch/${batch.id}`), made), (log) => {
              entries = Entry.make(log, journal.whenFailing)
            })
          }),
    go: Effect.sync(() => {
      waits?.tell()
      drain()
    }),
    join: Effect.suspend(() =>
      Effect.all(
        nodes.filter((node) => node.result === undefined).map((node) => landed(node)),
        { mode: "either", discard: true }
      )
    ),
    finish,
    stop,
    close: Effect.suspend(() => {
      deadlines.close()
      return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
    })
  }
}
