/**
 * Runs the calls of one turn: every call gets exactly one result, and no call's fate touches another's.
 *
 * Calls run as fibers, each forked the moment the last call it depends on has landed, and are made total before they
 * are joined by `Effect.all` in mode `either`. Running a batch cannot fail.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constTrue, constVoid } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { BatchResult } from "../BatchResult.ts"
import * as AtOnce from "../internal/atOnce.ts"
import * as Open from "../internal/openBatch.ts"
import * as Runner from "../internal/runner.ts"
import * as Scheduler from "../internal/scheduler.ts"
import * as Policy from "../policies/Policy.ts"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import type { Toolbox } from "../Toolbox.ts"
import type { Success, ToolResult } from "../ToolResult.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import * as Journal from "./Journal.ts"
import * as OutputStore from "./OutputStore.ts"
import * as RateLimiter from "./RateLimiter.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface RunOptions<Tools extends Tool.Tool = Tool.Tool> {
  /**
   * Names the batch; part of the idempotency keys. With a `Journal` beside, or provided to the runner, a batch that has
   * an id is written down: run again with the same id, after a crash too, it goes on where it ended. Default: a random
   * id, and no journal.
   */
  readonly id?: string | undefined
  /** When it has passed, what is ready is returned and the rest is reported as timed out or not started. */
  readonly timeout?: Duration.DurationInput | undefined
  /** How many calls may be in progress at once, waits between attempts included. Default: unbounded. */
  readonly concurrency?: number | "unbounded" | undefined
  /**
   * How many executions of handlers the batch may pay for, retries and hedges included. A call for which none is left
   * fails with `BudgetExhausted`, or with the failure of its last attempt. Default: unbounded.
   */
  readonly maxExecutions?: number | undefined
  /**
   * Told what became of the calls when the running fiber is interrupted: finished calls keep their results, a call
   * that was running is `OutcomeUnknown`, one that was not is `NotStarted`.
   */
  readonly onInterrupt?: ((batch: BatchResult<Tools>) => Effect.Effect<void>) | undefined
  /**
   * Asked when a call is about to be executed, with its arguments after references are resolved: an answer that is
   * known from before is its result, of source `journal`. Not asked for a call that had to wait for one which may have
   * changed something. Default: nothing is known.
   */
  readonly recall?: ((call: ToolCall, input: object) => Success | undefined) | undefined
}

/**
 * A batch to which calls are added while others already run: those of a turn that is still streaming.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenBatch<out Tools extends Tool.Tool = Tool.Tool> {
  /**
   * Adds a call; the order of submission is the call order. It starts as soon as what it waits for has landed, and a
   * call it names may come later. With `hold` it starts when the batch is sealed at the earliest. Dies once sealed.
   */
  readonly submit: (call: ToolCall, options?: { readonly hold?: boolean | undefined }) => Effect.Effect<void>
  /** No call comes any more: calls that wait for one that is not there fail, held ones start. */
  readonly seal: Effect.Effect<void>
  /** The results in the order in which they land. Ends when the batch is sealed and all have landed. */
  readonly results: Stream.Stream<ToolResult<Tools>>
  /** What became of all calls, once the batch is sealed and all have landed. */
  readonly await: Effect.Effect<BatchResult<Tools>>
}

/**
 * @since 0.1.0
 * @category tags
 */
export class ToolRunner extends Context.Tag("salvo/ToolRunner")<
  ToolRunner,
  {
    /** See `ToolRunner.run`. */
    readonly run: <Tools extends Tool.Tool>(
      toolbox: Toolbox<Tools>,
      calls: ReadonlyArray<ToolCall>,
      options?: RunOptions<Tools>
    ) => Effect.Effect<BatchResult<Tools>, never, Tool.Requirements<Tools>>
    /** See `ToolRunner.open`. */
    readonly open: <Tools extends Tool.Tool>(
      toolbox: Toolbox<Tools>,
      options?: RunOptions<Tools>
    ) => Effect.Effect<OpenBatch<Tools>, never, Tool.Requirements<Tools> | Scope.Scope>
    /** See `ToolRunner.unavailable`. */
    readonly unavailable: (toolbox: Toolbox) => Effect.Effect<ReadonlySet<string>>
  }
>() {}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Laid under every toolbox's and tool's policy. */
  readonly policy?: Policy.Policy | undefined
  /** The default of `RunOptions.concurrency`. */
  readonly concurrency?: number | "unbounded" | undefined
  /** The default of `RunOptions.timeout`. */
  readonly timeout?: Duration.DurationInput | undefined
}

const batchId = Effect.map(Random.nextIntBetween(0, Number.MAX_SAFE_INTEGER), (n) => `batch-${n.toString(36)}`)

const positive = (concurrency: number | "unbounded" | undefined): number =>
  concurrency === undefined || concurrency === "unbounded" || !(concurrency >= 1)
    ? Number.POSITIVE_INFINITY
    : Math.floor(concurrency)

/** Tools with more than one call here, whose calls may be identical. */
const repeated = (calls: ReadonlyArray<ToolCall>): ReadonlySet<string> => {
  const [once, more] = [new Set<string>(), new Set<string>()]
  for (const { name } of calls) (once.has(name) ? more : once).add(name)
  return more
}

/** What a runner takes from the outside where it is provided, and does on its own where it is not. */
type Swappable = CircuitBreaker.CircuitBreaker | RateLimiter.RateLimiter | OutputStore.OutputStore | Journal.Journal

/** Looks for it where the runner is used, then where it was made. A tag that is asked for need not be there. */
const provided = <Id extends Swappable, Service>(
  tag: Context.Tag<Id, Service>,
  usedIn: Context.Context<never>,
  madeIn: Context.Context<never>
): Option.Option<Service> =>
  Option.orElse(Context.getOption(usedIn as Context.Context<Id>, tag), () =>
    Context.getOption(madeIn as Context.Context<Id>, tag)
  )

/**
 * A runner, with what it stands on: the breakers, rate limits and output store of the environment it is made or used in
 * (the latter first), or else breakers and rate limits of its own, in memory.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Context.Tag.Service<ToolRunner>, never, Scope.Scope> =>
  Effect.gen(function* () {
    Policy.check(options.policy ?? {}, "ToolRunner")
    const madeIn = yield* Effect.context<never>()
    const own = yield* Layer.build(Layer.merge(CircuitBreaker.layerMemory, RateLimiter.layerMemory))
    const makeRunner = Runner.make(Policy.resolve(options.policy ?? {}, Policy.defaults))
    const runnerIn = (usedIn: Context.Context<never>) =>
      makeRunner({
        breakers: Option.getOrElse(provided(CircuitBreaker.CircuitBreaker, usedIn, madeIn), () =>
          Context.get(own, CircuitBreaker.CircuitBreaker)
        ),
        limiter: Option.getOrElse(provided(RateLimiter.RateLimiter, usedIn, madeIn), () =>
          Context.get(own, RateLimiter.RateLimiter)
        ),
        outputStore: Option.getOrUndefined(provided(OutputStore.OutputStore, usedIn, madeIn))
      })
    const journalIn = (usedIn: Context.Context<never>) =>
      Option.getOrUndefined(provided(Journal.Journal, usedIn, madeIn))
    const openWith = <Tools extends Tool.Tool>(
      toolbox: Toolbox<Tools>,
      given: RunOptions<Tools>,
      own: Pick<Scheduler.Batch<Tools>, "mayRepeat" | "onLand">
    ) =>
      Effect.flatMap(given.id === undefined ? batchId : Effect.succeed(given.id), (id) =>
        Effect.map(Effect.runtime<Tool.Requirements<Tools>>(), (runtime) => {
          const usedIn: Context.Context<never> = runtime.context
          const batch: Scheduler.Batch<Tools> = {
            id,
            toolbox,
            runner: runnerIn(usedIn),
            concurrency: positive(given.concurrency ?? options.concurrency),
            maxExecutions: given.maxExecutions ?? Number.POSITIVE_INFINITY,
            timeoutMillis: Duration.toMillis(given.timeout ?? options.timeout ?? Duration.infinity),
            onInterrupt: given.onInterrupt,
            recall: given.recall,
            journal: given.id === undefined ? undefined : journalIn(usedIn),
            ...own
          }
          return Scheduler.open(batch, runtime)
        })
      )

    return {
      run: (toolbox, calls, given = {}) =>
        Effect.uninterruptibleMask((restore) => {
          const mayRepeat = repeated(calls)
          const opened = openWith(toolbox, given, { mayRepeat: (name) => mayRepeat.has(name), onLand: constVoid })
          return Effect.flatMap(opened, (batch) =>
            AtOnce.zipRight(batch.add(calls, false), batch.seal).pipe(
              Effect.zipRight(restore(batch.recall)),
              Effect.zipRight(batch.go),
              Effect.zipRight(restore(batch.join)),
              Effect.onInterrupt(() => batch.stop),
              Effect.zipRight(batch.finish),
              Effect.ensuring(batch.close)
            )
          )
        }),
      open: (toolbox, given = {}) => Open.make((onLand) => openWith(toolbox, given, { mayRepeat: constTrue, onLand })),
      unavailable: (toolbox) =>
        Effect.flatMap(Effect.context<never>(), (usedIn) => Runner.unavailable(runnerIn(usedIn), toolbox))
    }
  })

/**
 * A runner with Salvo's defaults. Its circuit breakers are in memory, unless another `CircuitBreaker` is provided to it
 * or beside it; so with `RateLimiter` and `OutputStore`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ToolRunner> = Layer.scoped(ToolRunner, make())

/**
 * A runner with defaults of your own. Dies with `InvalidDefinition` where the policy is wrong.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: Options): Layer.Layer<ToolRunner> => Layer.scoped(ToolRunner, make(options))

/**
 * Runs `calls`, the tool calls of one turn.
 *
 * @since 0.1.0
 * @category running
 */
export const run = <Tools extends Tool.Tool>(
  toolbox: Toolbox<Tools>,
  calls: ReadonlyArray<ToolCall>,
  options?: RunOptions<Tools>
): Effect.Effect<BatchResult<Tools>, never, Tool.Requirements<Tools> | ToolRunner> =>
  Effect.flatMap(ToolRunner, (runner) => runner.run(toolbox, calls, options))

/**
 * The names of the tools whose circuit lets nothing through now: it is open, or isolated by hand.
 *
 * @since 0.1.0
 * @category running
 */
export const unavailable = (toolbox: Toolbox): Effect.Effect<ReadonlySet<string>, never, ToolRunner> =>
  Effect.flatMap(ToolRunner, (runner) => runner.unavailable(toolbox))

/**
 * Opens a batch for calls that come one by one. Where its scope is closed before all have landed, those that run are
 * interrupted, as by an interruption of `run`. `run` is the same with all calls submitted at once.
 *
 * @since 0.1.0
 * @category running
 */
export const open = <Tools extends Tool.Tool>(
  toolbox: Toolbox<Tools>,
  options?: RunOptions<Tools>
): Effect.Effect<OpenBatch<Tools>, never, Tool.Requirements<Tools> | ToolRunner | Scope.Scope> =>
  Effect.flatMap(ToolRunner, (runner) => runner.open(toolbox, options))
