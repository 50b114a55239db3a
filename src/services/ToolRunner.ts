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
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scheduler from "../internal/scheduler.ts"
import type { BatchResult } from "../BatchResult.ts"
import * as Bulkhead from "../policies/Bulkhead.ts"
import * as Policy from "../policies/Policy.ts"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import type { Toolbox } from "../Toolbox.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface RunOptions<Tools extends Tool.Tool = Tool.Tool> {
  /** Names the batch; part of the idempotency keys. Default: a random id. */
  readonly id?: string | undefined
  /** When it has passed, what is ready is returned and the rest is reported as timed out or not started. */
  readonly timeout?: Duration.DurationInput | undefined
  /** How many calls may be in progress at once, waits between attempts included. Default: unbounded. */
  readonly concurrency?: number | "unbounded" | undefined
  /**
   * Told what became of the calls when the running fiber is interrupted: finished calls keep their results, a call
   * that was running is `OutcomeUnknown`, one that was not is `NotStarted`.
   */
  readonly onInterrupt?: ((batch: BatchResult<Tools>) => Effect.Effect<void>) | undefined
}

/**
 * @since 0.1.0
 * @category tags
 */
export class ToolRunner extends Context.Tag("salvo/ToolRunner")<
  ToolRunner,
  {
    readonly run: <Tools extends Tool.Tool>(
      toolbox: Toolbox<Tools>,
      calls: ReadonlyArray<ToolCall>,
      options?: RunOptions<Tools>
    ) => Effect.Effect<BatchResult<Tools>, never, Tool.Requirements<Tools>>
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

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Context.Tag.Service<ToolRunner> => {
  Policy.check(options.policy ?? {}, "ToolRunner")
  const defaults = Policy.resolve(options.policy ?? {}, Policy.defaults)
  // One per tool name for as long as the runner lives, so that batches share it.
  const bulkheads = new Map<string, Bulkhead.Bulkhead>()
  const bulkheadOf = (name: string, capacity: number): Bulkhead.Bulkhead | undefined => {
    if (!Number.isFinite(capacity)) return undefined
    const known = bulkheads.get(name)
    if (known?.capacity === capacity) return known
    const made = Bulkhead.make(capacity)
    bulkheads.set(name, made)
    return made
  }
  return {
    run: (toolbox, calls, run = {}) =>
      Effect.flatMap(run.id === undefined ? batchId : Effect.succeed(run.id), (id) =>
        Scheduler.run({
          id,
          toolbox,
          calls,
          defaults,
          bulkheadOf,
          concurrency: positive(run.concurrency ?? options.concurrency),
          timeoutMillis: Duration.toMillis(run.timeout ?? options.timeout ?? Duration.infinity),
          onInterrupt: run.onInterrupt
        })
      )
  }
}

/**
 * A runner with Salvo's defaults.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ToolRunner> = Layer.sync(ToolRunner, () => make())

/**
 * A runner with defaults of your own. Throws `InvalidDefinition` where the policy is wrong.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: Options): Layer.Layer<ToolRunner> => Layer.sync(ToolRunner, () => make(options))

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
