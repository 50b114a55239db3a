/**
 * What the tests of resuming share: an outside world with a ledger that outlives processes, tools that change it, and
 * processes that can be cut off at any point. A process that was cut off does nothing any more: whatever of it goes on
 * waits at its next point for ever.
 */
import { assert } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as HashSet from "effect/HashSet"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Scope from "effect/Scope"
import { Journal, type Tool, type ToolCall, type ToolResult, ToolRunner } from "../../src/index.ts"
import * as FaultyJournal from "../../src/testing/FaultyJournal.ts"
import * as Points from "./points.ts"
import * as Tools from "./tools.ts"

export { type Batch, call, Failed, mixed, toolbox, type Tools } from "./tools.ts"

export interface Setup {
  readonly journal?: Journal.Options | undefined
  /** Asked at every point, which are counted from 0: whether the process is cut off there. */
  readonly crash?: ((point: string, index: number) => boolean) | undefined
  /** What goes wrong with the store below. */
  readonly plan?: FaultyJournal.Plan | undefined
  /** What its tools do besides. */
  readonly handlers?:
    | Partial<Record<string, (input: Tools.Input, call: Tool.Call) => Effect.Effect<unknown, Tools.Failed>>>
    | undefined
  /** How `send` finds out; by the ledger where nothing is said. */
  readonly reconcile?: Tool.Reconcile<Tools.Input, Tools.Output> | undefined
  /** Whether `look` finds something else in every process. */
  readonly changes?: boolean | undefined
  readonly runner?: ToolRunner.Options | undefined
}

export interface Process {
  /** Passes a point of that name. */
  readonly point: (name: string) => Effect.Effect<void>
  /** Those that were passed. */
  readonly points: ReadonlyArray<string>
  /** What it logged, from warnings on. */
  readonly warnings: ReadonlyArray<string>
  readonly provide: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, Exclude<R, Services>>
  /** Gives what came of it; nothing where the process was cut off. */
  readonly live: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A | undefined, E>
  readonly run: (
    calls: ReadonlyArray<ToolCall.ToolCall>,
    options?: ToolRunner.RunOptions<Tools.Tools>
  ) => Effect.Effect<Tools.Batch | undefined>
  /** Where nothing is written down. */
  readonly withoutJournal: (
    calls: ReadonlyArray<ToolCall.ToolCall>,
    options?: ToolRunner.RunOptions<Tools.Tools>
  ) => Effect.Effect<Tools.Batch>
  /** In the caller's fiber, to be interrupted with it. */
  readonly runHere: (
    calls: ReadonlyArray<ToolCall.ToolCall>,
    options?: ToolRunner.RunOptions<Tools.Tools>
  ) => Effect.Effect<Tools.Batch>
}

export type Services = Tool.Requirements<Tools.Tools> | ToolRunner.ToolRunner | Journal.Journal

export const batchId = "batch"

/** The points of one process. */
const makeLife = ({ crash }: Setup) => {
  const points: Array<string> = []
  const warnings: Array<string> = []
  const end = Deferred.unsafeMake<void>(FiberId.none)
  let isCut = false
  /** Whether the process is cut off here, or was before. */
  const isCutAt = (name: string): boolean => {
    if (isCut) return true
    const index = points.push(name) - 1
    isCut = crash?.(name, index) ?? false
    return isCut
  }
  const cut = Effect.zipRight(Deferred.succeed(end, undefined), Effect.never)
  return { points, warnings, end, isCutAt, cut }
}

/** Lets the test runner hear that a long test is alive. */
const breathe = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

export const make = Effect.gen(function* () {
  yield* breathe
  const ledger: Array<Tools.Entry> = []
  const outside: Tools.Outside = { entries: () => ledger, note: (entry) => void ledger.push(entry) }
  const scope = yield* Effect.scope
  const store = yield* Effect.map(Layer.build(Journal.layerStoreMemory()), Context.get(Journal.JournalStore))
  let processes = 0

  const process = (setup: Setup = {}): Process => {
    const number = ++processes
    const life = makeLife(setup)
    const { end, points, warnings } = life
    const point = Points.point(life)

    const tools = Tools.implement({
      ...setup,
      outside,
      number,
      point,
      // Others get their turn.
      pause: Effect.yieldNow(),
      meanwhile: (tool, input, call) => setup.handlers?.[tool]?.(input, call) ?? Effect.void
    })
    const logger = Logger.make(({ logLevel, message }) => {
      if (LogLevel.greaterThanEqual(logLevel, LogLevel.Warning)) warnings.push([message].flat().join(" "))
    })

    /** Put together by hand: layers would take most of the time. */
    const unjournaled = Effect.map(Scope.extend(ToolRunner.make(setup.runner), scope), (runner) =>
      Context.add(tools, ToolRunner.ToolRunner, runner)
    )
    const faulty =
      setup.plan === undefined
        ? Effect.succeed(store)
        : Effect.map(
            Scope.extend(Layer.build(FaultyJournal.layer(setup.plan)), scope),
            Context.get(Journal.JournalStore)
          ).pipe(Effect.provideService(Journal.JournalStore, store))
    const journal = Effect.flatMap(faulty, (store) =>
      Effect.provideService(Journal.make(setup.journal), Journal.JournalStore, Points.withPoints(store, life))
    )
    const once = <A>(effect: Effect.Effect<A>) => Effect.runSync(Effect.cached(effect))
    const withoutIt = once(unjournaled)
    const context = once(
      Effect.zipWith(withoutIt, journal, (context, journal) => Context.add(context, Journal.Journal, journal))
    )

    const loggers = HashSet.make(logger)
    const logged = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.locally(effect, FiberRef.currentLoggers, loggers)
    const provide: Process["provide"] = (effect) =>
      Effect.flatMap(context, (context) => logged(Effect.provide(effect, context)))

    const live: Process["live"] = (effect) =>
      Effect.flatMap(Effect.forkDaemon(effect), (fiber) =>
        Effect.raceFirst(Fiber.join(fiber), Effect.as(Deferred.await(end), undefined))
      )

    const running = (calls: ReadonlyArray<ToolCall.ToolCall>, options: ToolRunner.RunOptions<Tools.Tools> = {}) =>
      ToolRunner.run(Tools.toolbox, calls, { id: batchId, ...options })

    return {
      point,
      points,
      warnings,
      provide,
      live,
      run: (calls, options) => live(provide(running(calls, options))),
      runHere: (calls, options) => provide(running(calls, options)),
      withoutJournal: (calls, options) =>
        Effect.flatMap(withoutIt, (context) => logged(Effect.provide(running(calls, options), context)))
    }
  }

  const count = (what: Tools.Entry["what"], tool: string) =>
    ledger.filter((entry) => entry.what === what && entry.tool === tool).length

  return {
    ledger: ledger as ReadonlyArray<Tools.Entry>,
    store,
    process,
    /** What was executed: `pay c1`, in order. */
    executed: (number?: number) =>
      ledger
        .filter(({ process, what }) => what === "begun" && (number === undefined || process === number))
        .map(({ id, tool }) => `${tool} ${id}`),
    /** How often a tool took effect. */
    effects: (tool: string) => count("done", tool),
    keys: (id: string) => new Set(ledger.filter((entry) => entry.id === id).map(({ key }) => key))
  }
})

export type World = Effect.Effect.Success<typeof make>

/** Runs the calls in a process that is cut off at a point, and again in another. */
export const cutAndResumed = (
  calls: ReadonlyArray<ToolCall.ToolCall>,
  crash: (point: string) => boolean,
  setup: Setup = {}
) =>
  Effect.gen(function* () {
    const world = yield* make
    const first = world.process({ ...setup, crash })
    assert.isUndefined(yield* first.run(calls), `was not cut off: ${first.points.join(", ")}`)
    const batch = yield* world.process(setup).run(calls)
    assert(batch !== undefined)
    return { ...world, batch, told: told(batch) }
  })

/** Where a success comes from, and what a failure is called. */
export const told = (batch: { readonly results: ReadonlyArray<ToolResult.ToolResult> } | undefined) =>
  batch?.results.map((result) => (result._tag === "Success" ? result.source : result.error._tag))

export const at =
  (...names: ReadonlyArray<string>) =>
  (name: string) =>
    names.includes(name)
