/**
 * The calls of a turn that is still streaming, in one open batch and in model order. A `read` starts when the model has
 * gone on to its next block, since a reply that is cut closes its last block too; every other call waits until the turn
 * is complete. What the reads of a turn that came to nothing have found out answers the turn that is asked instead.
 */
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Context from "effect/Context"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { BatchResult } from "../BatchResult.ts"
import type * as Model from "../services/Model.ts"
import * as ToolRunner from "../services/ToolRunner.ts"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import type { Toolbox } from "../Toolbox.ts"
import * as AtOnce from "./atOnce.ts"
import * as Effects from "./effects.ts"
import * as Kept from "./kept.ts"
import type { Restore } from "./job.ts"
import * as WireIds from "./wireIds.ts"

export interface EarlyStart<out Tools extends Tool.Tool> {
  /** What is to be told of the reply to a request that continues these messages. */
  readonly listen: (messages: ReadonlyArray<Model.Message>) => Listener<Tools>
  /** An exchange is complete: what its reads found out may be out of date. */
  readonly forget: () => void
}

export interface Listener<out Tools extends Tool.Tool> {
  /** To be run at once. */
  readonly hear: (event: Model.TurnEvent) => Effect.Effect<void>
  /** The complete turn, with ids that the API accepts: for the calls those under which they were started. */
  readonly named: (turn: Model.Turn) => Model.Turn
  /**
   * Runs the calls of the complete, named turn to their results. To be used where nothing can be interrupted but what is
   * restored; `onInterrupt` is then told what became of the calls, once.
   */
  readonly run: (
    turn: Model.Turn,
    restore: Restore,
    onInterrupt: (batch: BatchResult<Tools>) => Effect.Effect<void>
  ) => Effect.Effect<BatchResult<Tools>>
  /** The turn came to nothing: interrupts what runs, keeps what its reads have found out. */
  readonly drop: Effect.Effect<void>
}

export interface Options<Tools extends Tool.Tool> {
  readonly toolbox: Toolbox<Tools>
  readonly enabled: boolean
  /** Asked when a batch is opened. */
  readonly runOptions: Effect.Effect<Pick<ToolRunner.RunOptions, "timeout" | "concurrency">>
  /** Closed at the end, it drops what nobody has dropped. */
  readonly scope: Scope.Scope
}

interface Opened<out Tools extends Tool.Tool> {
  readonly batch: ToolRunner.OpenBatch<Tools>
  readonly close: Effect.Effect<void>
}

const isSame = (one: ToolCall, other: ToolCall | undefined): boolean =>
  other?.id === one.id && other.name === one.name && other.input === one.input

export const make = <Tools extends Tool.Tool>(
  options: Options<Tools>
): Effect.Effect<EarlyStart<Tools>, never, ToolRunner.ToolRunner | Tool.Requirements<Tools>> =>
  Effect.gen(function* () {
    const { toolbox } = options
    const context = yield* Effect.context<ToolRunner.ToolRunner | Tool.Requirements<Tools>>()
    const kept = Kept.make()

    const open = (given: ToolRunner.RunOptions<Tools>): Effect.Effect<Opened<Tools>> =>
      Effect.uninterruptible(
        Effect.gen(function* () {
          const scope = yield* Scope.fork(options.scope, ExecutionStrategy.sequential)
          const batch = yield* Effect.mapInputContext(
            ToolRunner.open(toolbox, { ...(yield* options.runOptions), ...given }),
            (_: Context.Context<never>) => Context.add(context, Scope.Scope, scope)
          )
          return { batch, close: Scope.close(scope, Exit.void) }
        })
      )

    const startsEarly = ({ name }: ToolCall): boolean => {
      const tool = toolbox.byName.get(name)
      return tool !== undefined && tool.definition.earlyStart && Effects.ofCall(tool.definition) === "read"
    }

    const listen = (messages: ReadonlyArray<Model.Message>): Listener<Tools> => {
      const idOf = WireIds.ids(messages)
      const answers = kept.forTurn()
      const submitted: Array<ToolCall> = []
      /** Closed, but it may be the reply's last block, and cut. */
      let unproven: ReadonlyArray<ToolCall> = []
      let isTrusted = options.enabled
      let opened: Opened<Tools> | undefined
      /** What the batch has come to, where its scope is closed before all have landed. */
      let tell = ({ results }: BatchResult<Tools>) => Effect.sync(() => answers.keep(results))
      let isTold = false

      const onInterrupt = (batch: BatchResult<Tools>) =>
        Effect.suspend(() => {
          isTold = true
          return tell(batch)
        })

      /** To be run at once. */
      const batch = (): Effect.Effect<ToolRunner.OpenBatch<Tools>> =>
        opened === undefined
          ? Effect.map(open({ recall: answers.recall, onInterrupt }), (fresh) => {
              opened = fresh
              return fresh.batch
            })
          : Effect.succeed(opened.batch)

      /** To be run at once. */
      const submit = (calls: ReadonlyArray<ToolCall>, hold: (call: ToolCall) => boolean): Effect.Effect<void> => {
        if (calls.length === 0) return Effect.void
        return AtOnce.flatMap(batch(), (open) =>
          Effect.forEach(
            calls,
            (call) => {
              submitted.push(call)
              return open.submit(call, { hold: hold(call) })
            },
            { discard: true }
          )
        )
      }

      /** To be run at once. */
      const prove = (): Effect.Effect<void> => {
        const calls = unproven
        unproven = []
        return submit(calls, (call) => !startsEarly(call))
      }

      const drop = Effect.suspend(() => opened?.close ?? Effect.void)

      const hear = (event: Model.TurnEvent): Effect.Effect<void> => {
        switch (event._tag) {
          case "BlockStarted":
            // Another model takes over from one that refused, maybe in the middle of the call before.
            if (event.type === "fallback") isTrusted = false
            return isTrusted ? prove() : Effect.void
          case "BlockCompleted": {
            const { block, call } = event
            if (isTrusted && call !== undefined) unproven = [...unproven, { ...call, id: idOf(block) }]
            return Effect.void
          }
          default:
            return Effect.void
        }
      }

      const named = (turn: Model.Turn): Model.Turn => {
        const unique = WireIds.unique(turn, messages)
        return {
          ...unique,
          calls: unique.calls.map((call, i) => {
            const same = submitted[i]
            return same !== undefined && isSame(same, call) ? same : call
          })
        }
      }

      const run: Listener<Tools>["run"] = (turn, restore, onInterrupted) =>
        Effect.gen(function* () {
          // A model whose turn is not what it said before: what runs is dropped, and what it has found out is kept.
          if (submitted.some((call, i) => turn.calls[i] !== call)) {
            yield* drop
            return yield* listen(messages).run(turn, restore, onInterrupted)
          }
          const { await: ended, seal } = yield* batch()
          // All have to be there before the first of them starts, so that none misses what it has to wait for.
          yield* submit(turn.calls.slice(submitted.length), () => true)
          tell = onInterrupted
          yield* seal
          const result = yield* restore(ended).pipe(
            // Closing the batch tells, unless all had landed just before.
            Effect.onInterrupt(() =>
              Effect.zipRight(
                drop,
                Effect.suspend(() => (isTold ? Effect.void : Effect.flatMap(ended, onInterrupted)))
              )
            )
          )
          yield* drop
          return result
        })

      return { hear, named, run, drop }
    }

    return { listen, forget: kept.forget }
  })
