/**
 * The agent loop: model turn -> batch -> report -> model turn, until the model is done or a bound is reached.
 *
 * The conversation is only ever extended by whole exchanges (a turn together with the answers to all its calls), so
 * it stays acceptable to the API whatever happens: a failure of the model, a limit, an interruption.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type { BatchResult } from "../BatchResult.ts"
import * as AgentLoop from "../internal/agentLoop.ts"
import * as Journaled from "../internal/journal/conversation.ts"
import { textIn } from "../internal/turnEnd.ts"
import type * as Tool from "../Tool.ts"
import type * as Toolbox from "../Toolbox.ts"
import * as Journal from "./Journal.ts"
import type * as Model from "./Model.ts"
import type * as ToolRunner from "./ToolRunner.ts"

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
 * No conversation of that id can be gone on with: the journal holds none, or cannot be read.
 *
 * @since 0.1.0
 * @category errors
 */
export class NoSuchConversation extends Schema.TaggedError<NoSuchConversation>("salvo/NoSuchConversation")(
  "NoSuchConversation",
  { id: Schema.String, reason: Schema.Literal("unknown", "unreadable") }
) {
  override get message() {
    const why = this.reason === "unknown" ? "holds nothing of it" : "cannot be read"
    return `Conversation ${JSON.stringify(this.id)} cannot be resumed: the journal ${why}`
  }
}

/**
 * What is the same whether a conversation begins or is resumed.
 *
 * @since 0.1.0
 * @category models
 */
export interface LoopOptions<Tools extends Tool.Tool> {
  readonly toolbox: Toolbox.Toolbox<Tools>
  /** Goes before Salvo's own guidance on tool results. */
  readonly system?: string | undefined
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
  /** Told of everything the model says, as it comes. */
  readonly onEvent?: ((event: Model.TurnEvent) => Effect.Effect<void>) | undefined
  /** Told of every turn when its calls are answered. */
  readonly onExchange?: ((exchange: Exchange<Tools>) => Effect.Effect<void>) | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<Tools extends Tool.Tool> extends LoopOptions<Tools> {
  readonly prompt: string
  /** Goes on with an earlier conversation, and can be read while the agent runs. Default: a new one. */
  readonly conversation?: Conversation | undefined
  /**
   * Names the conversation in the `Journal` of the environment, if there is one: every message is written down, and
   * every call under its turn, so that `resume` goes on where a process has died. With an id that is known already, the
   * prompt goes on with that conversation. Default: nothing is written down.
   */
  readonly id?: string | undefined
}

/** The text that the model ended with. */
const lastWords = (messages: ReadonlyArray<Model.Message>): string => {
  const content = messages.findLast(({ role }) => role === "assistant")?.content ?? ""
  return typeof content === "string" ? content : textIn(content)
}

const opened = (journal: Journal.Journal["Type"], id: string) =>
  Effect.flatMap(journal.open(Journaled.logOf(id)), (log) =>
    Effect.map(Journaled.make(id, log, journal), (conversation) => ({ log, conversation }))
  )

/**
 * Runs the loop. Fails only if the model cannot be had; the conversation then holds all that was done.
 *
 * @since 0.1.0
 * @category running
 */
export const run = <Tools extends Tool.Tool>({
  conversation,
  id,
  prompt,
  ...options
}: Options<Tools>): Effect.Effect<
  AgentResult<Tools>,
  Model.ModelError,
  Model.Model | ToolRunner.ToolRunner | Tool.Requirements<Tools>
> =>
  Effect.scopedWith((scope) =>
    Effect.gen(function* () {
      const journal = yield* Effect.serviceOption(Journal.Journal)
      const log =
        id === undefined || Option.isNone(journal)
          ? undefined
          : (yield* Scope.extend(opened(journal.value, id), scope)).conversation
      return yield* AgentLoop.run(options, { prompt, conversation, log }, scope)
    })
  )

/**
 * Goes on with a conversation that was begun with this `id`, after its process has died as a rule. The calls of a turn
 * that was not answered are: those that had finished from the journal, `read` and `idempotent` ones by running them
 * again, a `write` that was running as its handler can tell, or with `OutcomeUnknown`. Then the loop goes on. A
 * conversation that had ended gives its end again. One process at a time may work on a conversation.
 *
 * @since 0.1.0
 * @category running
 */
export const resume = <Tools extends Tool.Tool>(
  id: string,
  options: LoopOptions<Tools>
): Effect.Effect<
  AgentResult<Tools>,
  Model.ModelError | NoSuchConversation,
  Model.Model | ToolRunner.ToolRunner | Journal.Journal | Tool.Requirements<Tools>
> =>
  Effect.scopedWith((scope) =>
    Effect.gen(function* () {
      const { conversation, log } = yield* Scope.extend(
        Effect.flatMap(Journal.Journal, (journal) => opened(journal, id)),
        scope
      )
      if (!log.isKnown) return yield* new NoSuchConversation({ id, reason: "unreadable" })
      const { ended, messages, usage } = conversation.known
      if (messages.length === 0) return yield* new NoSuchConversation({ id, reason: "unknown" })
      if (ended !== undefined) {
        return { stop: ended, answer: lastWords(messages), exchanges: [], messages, usage } satisfies AgentResult<Tools>
      }
      return yield* AgentLoop.run(options, { prompt: undefined, conversation: undefined, log: conversation }, scope)
    })
  )
