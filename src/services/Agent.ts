/**
 * The agent loop: model turn -> batch -> report -> model turn, until the model is done or a bound is reached.
 *
 * The conversation is only ever extended by whole exchanges (a turn together with the answers to all its calls), so
 * it stays acceptable to the API whatever happens: a failure of the model, a limit, an interruption.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { BatchResult } from "../BatchResult.ts"
import * as EarlyStart from "../internal/earlyStart.ts"
import { nextStep, sendable, textOf, withoutCalls } from "../internal/turnEnd.ts"
import { now } from "../policies/Timeout.ts"
import * as Reference from "../Reference.ts"
import * as Report from "../Report.ts"
import type * as Tool from "../Tool.ts"
import * as Toolbox from "../Toolbox.ts"
import * as Model from "./Model.ts"
import * as ToolRunner from "./ToolRunner.ts"

/**
 * The messages so far. Valid to send at any moment once the next user message is added.
 *
 * @since 0.1.0
 * @category models
 */
export type Conversation = Ref.Ref<ReadonlyArray<Model.Message>>

/**
 * @since 0.1.0
 * @category constructors
 */
export const conversation = (messages: ReadonlyArray<Model.Message> = []): Effect.Effect<Conversation> =>
  Ref.make(messages)

/**
 * Why the loop ended: the model was done (`end_turn`), its reply was cut (`max_tokens`, `context_window`) or refused,
 * it gave no word on why it stopped (`incomplete`), or a bound of the run was reached.
 *
 * @since 0.1.0
 * @category models
 */
export type Stop =
  | "end_turn"
  | "max_tokens"
  | "context_window"
  | "refusal"
  | "incomplete"
  | "out_of_turns"
  | "out_of_time"
  | "out_of_tokens"

/**
 * @since 0.1.0
 * @category models
 */
export interface Exchange<out Tools extends Tool.Tool = Tool.Tool> {
  readonly turn: Model.Turn
  /** What became of the turn's calls; none where it had none, or where they must not be run. */
  readonly batch: BatchResult<Tools> | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface AgentResult<out Tools extends Tool.Tool = Tool.Tool> {
  readonly stop: Stop
  /** The text of the last turn. */
  readonly answer: string
  readonly exchanges: ReadonlyArray<Exchange<Tools>>
  readonly messages: ReadonlyArray<Model.Message>
  readonly usage: Model.Turn["usage"]
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<Tools extends Tool.Tool> {
  readonly prompt: string
  readonly toolbox: Toolbox.Toolbox<Tools>
  /** Goes before Salvo's own guidance on tool results. */
  readonly system?: string | undefined
  /** Goes on with an earlier conversation, and can be read while the agent runs. Default: a new one. */
  readonly conversation?: Conversation | undefined
  /** Default: 20. */
  readonly maxTurns?: number | undefined
  /** For one reply. A reply that is cut off while calling tools is asked again with twice as much. Default: 4,096. */
  readonly maxTokens?: number | undefined
  /** How far `maxTokens` may be doubled. Default: 16,384. */
  readonly maxTokensLimit?: number | undefined
  /** Input and output tokens of all turns, after which no further turn is begun. Default: unbounded. */
  readonly tokenBudget?: number | undefined
  /** For the whole run. Default: 10 minutes. */
  readonly timeout?: Duration.DurationInput | undefined
  /** When a turn that failed is asked for again, if that can help. Default: 3 times from 500 millis, jittered. */
  readonly modelRetry?: Schedule.Schedule<unknown, Model.ModelError> | undefined
  readonly concurrency?: number | "unbounded" | undefined
  /**
   * Whether a tool is left out of a request while its circuit is open, so that the model plans without it. Never all of
   * them. Default: false, since a changed list of tools is a miss in the API's prompt cache.
   */
  readonly withholdOpen?: boolean | undefined
  /**
   * Whether calls of `read` tools start while the model's turn is still streaming: each as soon as the model has gone on
   * to its next block. A tool may opt out (`Tool.Options.earlyStart`); all other calls start when the turn is complete.
   *
   * Where the stream dies, or the reply is cut by `max_tokens`, calls that still run are interrupted, and those that
   * have succeeded answer the same calls (tool and input) of the turn that is asked instead. Default: true.
   */
  readonly earlyStart?: boolean | undefined
  readonly onEvent?: ((event: Model.TurnEvent) => Effect.Effect<void>) | undefined
  readonly onExchange?: ((exchange: Exchange<Tools>) => Effect.Effect<void>) | undefined
}

const retryAfterCap = Duration.seconds(60)

const defaultRetry: Schedule.Schedule<unknown, Model.ModelError> = Schedule.exponential("500 millis").pipe(
  Schedule.jittered,
  Schedule.intersect(Schedule.recurs(3)),
  Schedule.intersect(Schedule.identity<Model.ModelError>()),
  Schedule.modifyDelay(([_, { retryAfter }], delay) =>
    retryAfter === undefined ? delay : Duration.max(delay, Duration.min(retryAfter, retryAfterCap))
  )
)

const ended = (stop: Stop): boolean => stop === "end_turn" || stop === "max_tokens"

/**
 * Runs the loop. Fails only if the model cannot be had; the conversation then holds all that was done.
 *
 * @since 0.1.0
 * @category running
 */
export const run = <Tools extends Tool.Tool>(
  options: Options<Tools>
): Effect.Effect<
  AgentResult<Tools>,
  Model.ModelError,
  Model.Model | ToolRunner.ToolRunner | Tool.Requirements<Tools>
> => Effect.scopedWith((scope) => inScope(options, scope))

/** `scope` is that of the calls, should the loop end in the middle of them. */
const inScope = <Tools extends Tool.Tool>(options: Options<Tools>, scope: Scope.Scope) =>
  Effect.gen(function* () {
    const { prompt, toolbox } = options
    const history = options.conversation ?? (yield* conversation())
    const deadline = (yield* now) + Duration.toMillis(options.timeout ?? "10 minutes")
    const grammar = yield* Reference.Syntax
    const guidance = Report.guidance(toolbox, grammar)
    const system = options.system === undefined ? guidance : `${options.system}\n\n${guidance}`
    const allTools = Toolbox.describe(toolbox, grammar)
    const maxTurns = options.maxTurns ?? 20
    const exchanges: Array<Exchange<Tools>> = []
    let maxTokens = options.maxTokens ?? 4096
    let usage = { inputTokens: 0, outputTokens: 0 }
    let answer = ""

    const append = (...messages: ReadonlyArray<Model.Message>) => Ref.update(history, (all) => [...all, ...messages])

    const answered = (turn: Model.Turn, batch: BatchResult) =>
      append({ role: "assistant", content: sendable(turn) }, { role: "user", content: Report.toolResults(batch) })

    /** A conversation with calls in it has to be sent with some tools. */
    const offered = Effect.gen(function* () {
      if (options.withholdOpen !== true) return allTools
      const unavailable = yield* ToolRunner.unavailable(toolbox)
      const tools = allTools.filter(({ name }) => !unavailable.has(name))
      return tools.length === 0 ? allTools : tools
    })

    const early = yield* EarlyStart.make({
      toolbox,
      enabled: options.earlyStart ?? true,
      runOptions: Effect.map(now, (time) => ({
        timeout: Duration.millis(deadline - time),
        concurrency: options.concurrency
      })),
      scope
    })

    const askOnce = (request: Model.TurnRequest) =>
      Effect.suspend(() => {
        const calls = early.listen(request.messages)
        const onEvent = (event: Model.TurnEvent) =>
          Effect.zipRight(calls.hear(event), options.onEvent?.(event) ?? Effect.void)
        return Model.turn(request, onEvent).pipe(
          Effect.map((turn) => ({ turn: calls.named(turn), calls })),
          Effect.onError(() => calls.drop)
        )
      })

    const ask = Effect.gen(function* () {
      const messages = yield* Ref.get(history)
      const tools = yield* offered
      return yield* Effect.retry(askOnce({ system, messages, tools, maxTokens }), {
        schedule: options.modelRetry ?? defaultRetry,
        while: (error) => error.retryable
      })
    })

    const exchange = (turn: Model.Turn, batch: BatchResult<Tools> | undefined) => {
      const made = { turn, batch }
      exchanges.push(made)
      return options.onExchange?.(made) ?? Effect.void
    }

    // Once the batch has ended nothing comes between its results and the conversation.
    const runCalls = (turn: Model.Turn, calls: EarlyStart.Listener<Tools>) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          const batch = yield* calls.run(turn, restore, (batch) =>
            Effect.zipRight(answered(turn, batch), exchange(turn, batch))
          )
          yield* answered(turn, batch)
          yield* restore(exchange(turn, batch))
        })
      )

    const loop = Effect.gen(function* () {
      for (let turns = 0; turns < maxTurns; turns++) {
        const left = Duration.millis(deadline - (yield* now))
        if (Duration.toMillis(left) <= 0) return "out_of_time"
        if (usage.inputTokens + usage.outputTokens >= (options.tokenBudget ?? Number.POSITIVE_INFINITY)) {
          return "out_of_tokens"
        }
        const asked = yield* Effect.timeoutOption(ask, left)
        if (asked._tag === "None") return "out_of_time"
        const { calls, turn } = asked.value
        usage = {
          inputTokens: usage.inputTokens + turn.usage.inputTokens,
          outputTokens: usage.outputTokens + turn.usage.outputTokens
        }
        const next = nextStep(turn)
        if (next !== "run") yield* calls.drop
        switch (next) {
          case "run":
            answer = textOf(turn)
            yield* runCalls(turn, calls)
            break
          case "send back":
            yield* append({ role: "assistant", content: sendable(turn) })
            yield* exchange(turn, undefined)
            break
          case "ask for more":
            // The last call may be cut in the middle, so none is run and the turn is dropped.
            yield* exchange(turn, undefined)
            if (maxTokens * 2 > (options.maxTokensLimit ?? 16_384)) return "max_tokens"
            maxTokens *= 2
            break
          default: {
            yield* exchange(turn, undefined)
            const content = withoutCalls(turn)
            if (ended(next) && content.length > 0) yield* append({ role: "assistant", content })
            if (ended(next)) answer = textOf(turn)
            return next
          }
        }
        if (next !== "ask for more") early.forget()
      }
      return "out_of_turns"
    })

    yield* append({ role: "user", content: prompt })
    const stop: Stop = yield* loop
    return { stop, answer, exchanges, messages: yield* Ref.get(history), usage }
  })
