/** The agent loop: model turn -> batch -> report -> model turn. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { BatchResult } from "../BatchResult.ts"
import { now } from "../policies/Timeout.ts"
import * as Reference from "../Reference.ts"
import * as Report from "../Report.ts"
import type { Conversation, Exchange, LoopOptions, Stop } from "../services/Agent.ts"
import * as Journal from "../services/Journal.ts"
import * as Model from "../services/Model.ts"
import * as ToolRunner from "../services/ToolRunner.ts"
import type * as Tool from "../Tool.ts"
import * as Toolbox from "../Toolbox.ts"
import * as AtOnce from "./atOnce.ts"
import * as EarlyStart from "./earlyStart.ts"
import type * as Journaled from "./journal/conversation.ts"
import { retryFrom } from "./retryFrom.ts"
import * as Telemetry from "./telemetry.ts"
import { nextStep, sendable, textOf, withoutCalls } from "./turnEnd.ts"

/** How the loop begins: with a prompt, or where the conversation ended. */
export interface Begin {
  readonly prompt: string | undefined
  readonly conversation: Conversation | undefined
  readonly log: Journaled.Conversation | undefined
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

const ranOut = (stop: Stop): boolean => stop === "out_of_turns" || stop === "out_of_time" || stop === "out_of_tokens"

/** The tokens of earlier processes are not this run's. */
const spentHere = (usage: Model.Turn["usage"], { log, prompt }: Begin): Model.Turn["usage"] => {
  const before = prompt === undefined ? [log?.known.usage, log?.known.open?.usage] : []
  return {
    inputTokens: before.reduce((left, spent) => left - (spent?.inputTokens ?? 0), usage.inputTokens),
    outputTokens: before.reduce((left, spent) => left - (spent?.outputTokens ?? 0), usage.outputTokens)
  }
}

/** The calls of a conversation that is written down are so in its order. */
const journaled = <A, E, R>(all: Effect.Effect<A, E, R>, { log }: Begin): Effect.Effect<A, E, R> =>
  log === undefined ? all : Effect.provideService(all, Journal.Journal, log.journal)

/** `scope` is that of the calls, should the loop end in the middle of them. */
export const run = <Tools extends Tool.Tool>(options: LoopOptions<Tools>, begin: Begin, scope: Scope.Scope) =>
  Effect.flatMap(Model.Model, (model) =>
    Telemetry.span(journaled(loop(options, begin, scope), begin), {
      name: "invoke_agent",
      kind: "internal",
      attributes: {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.conversation.id": begin.log?.id,
        ...Telemetry.ofModel(model)
      },
      onSuccess: ({ stop, usage }) => ({ "salvo.stop": stop, ...Telemetry.ofUsage(spentHere(usage, begin)) }),
      errorType: ({ reason }: Model.ModelError) => reason
    })
  )

/** One request to the model, answered to its end. */
const chat = (
  request: Model.TurnRequest,
  conversation: string | undefined,
  onEvent: (event: Model.TurnEvent) => Effect.Effect<void>
) =>
  Effect.flatMap(Model.Model, (model) =>
    Telemetry.span(Model.turn(request, onEvent), {
      name: model.model === undefined ? "chat" : `chat ${model.model}`,
      kind: "client",
      attributes: {
        "gen_ai.operation.name": "chat",
        "gen_ai.conversation.id": conversation,
        "gen_ai.request.max_tokens": request.maxTokens,
        "gen_ai.request.stream": true,
        ...Telemetry.ofModel(model)
      },
      onSuccess: ({ stopReason, usage }) => ({
        "gen_ai.response.finish_reasons": stopReason === null ? undefined : [stopReason],
        ...Telemetry.ofUsage(usage)
      }),
      errorType: ({ reason }) => reason
    })
  )

const loop = <Tools extends Tool.Tool>(
  options: LoopOptions<Tools>,
  { conversation: given, log, prompt }: Begin,
  scope: Scope.Scope
) =>
  Effect.gen(function* () {
    const { toolbox } = options
    const known = log?.known
    const history = given ?? (yield* Ref.make(known?.messages ?? []))
    const deadline = (yield* now) + Duration.toMillis(options.timeout ?? "10 minutes")
    const grammar = yield* Reference.Syntax
    const guidance = Report.guidance(toolbox, grammar)
    const system = options.system === undefined ? guidance : `${options.system}\n\n${guidance}`
    const allTools = Toolbox.describe(toolbox, grammar)
    const maxTurns = options.maxTurns ?? 20
    const exchanges: Array<Exchange<Tools>> = []
    let maxTokens = options.maxTokens ?? 4096
    // A prompt begins anew.
    const begun = prompt === undefined ? known : undefined
    let usage = begun?.usage ?? { inputTokens: 0, outputTokens: 0 }
    let turns = begun?.turns ?? 0
    let answer = ""

    /** Written down first: what is in the conversation is never lost. */
    const append = (messages: ReadonlyArray<Model.Message>, about?: Journaled.About) =>
      Effect.zipRight(
        log?.said(messages, about) ?? Effect.void,
        Ref.update(history, (all) => [...all, ...messages])
      )

    const answered = (turn: Model.Turn, batch: BatchResult) =>
      append(
        [
          { role: "assistant", content: sendable(turn) },
          { role: "user", content: Report.toolResults(batch) }
        ],
        turn
      )

    /** A conversation with calls in it has to be sent with some tools. */
    const offered =
      options.withholdOpen === true
        ? Effect.map(ToolRunner.unavailable(toolbox), (unavailable) => {
            const tools = allTools.filter(({ name }) => !unavailable.has(name))
            return tools.length === 0 ? allTools : tools
          })
        : Effect.succeed(allTools)

    const schedule = Schedule.whileInput(options.modelRetry ?? defaultRetry, (error) => error.retryable)

    const early = yield* EarlyStart.make({
      toolbox,
      enabled: options.earlyStart ?? true,
      runOptions: Effect.map(now, (time) => ({
        timeout: Duration.millis(deadline - time),
        concurrency: options.concurrency,
        id: log?.batchId()
      })),
      scope
    })

    const askOnce = (request: Model.TurnRequest) =>
      Effect.suspend(() => {
        const calls = early.listen(request.messages)
        const onEvent = (event: Model.TurnEvent) => {
          const heard = calls.hear(event)
          return options.onEvent === undefined ? heard : AtOnce.zipRight(heard, options.onEvent(event))
        }
        return chat(request, log?.id, onEvent).pipe(
          Effect.map((turn) => ({ turn: calls.named(turn), calls })),
          Effect.onError(() => calls.drop)
        )
      })

    const ask = Effect.gen(function* () {
      const messages = yield* Ref.get(history)
      const tools = yield* offered
      const once = askOnce({ system, messages, tools, maxTokens })
      return yield* Effect.catchAll(once, (error) => retryFrom(error, once, schedule))
    })

    const exchange = (turn: Model.Turn, batch: BatchResult<Tools> | undefined) => {
      const made = { turn, batch }
      exchanges.push(made)
      return options.onExchange?.(made) ?? Effect.void
    }

    // Once the batch has ended nothing comes between its results and the conversation.
    const runCalls = (turn: Model.Turn, calls: EarlyStart.Listener<Tools>) => {
      answer = textOf(turn)
      return Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          const batch = yield* calls.run(turn, restore, (batch) =>
            Effect.zipRight(answered(turn, batch), exchange(turn, batch))
          )
          yield* answered(turn, batch)
          yield* restore(exchange(turn, batch))
        })
      )
    }

    const spend = (turn: Model.Turn) => {
      usage = {
        inputTokens: usage.inputTokens + turn.usage.inputTokens,
        outputTokens: usage.outputTokens + turn.usage.outputTokens
      }
    }

    const goOn = Effect.gen(function* () {
      for (; turns < maxTurns; turns++) {
        const left = Duration.millis(deadline - (yield* now))
        if (Duration.toMillis(left) <= 0) return "out_of_time"
        if (usage.inputTokens + usage.outputTokens >= (options.tokenBudget ?? Number.POSITIVE_INFINITY)) {
          return "out_of_tokens"
        }
        const asked = yield* Effect.timeoutOption(ask, left)
        if (asked._tag === "None") return "out_of_time"
        const { calls, turn } = asked.value
        spend(turn)
        const next = nextStep(turn)
        if (next !== "run") yield* calls.drop
        switch (next) {
          case "run":
            yield* log?.received(turn) ?? Effect.void
            yield* runCalls(turn, calls)
            break
          case "send back":
            yield* append([{ role: "assistant", content: sendable(turn) }], turn)
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
            if (ended(next) && content.length > 0) {
              yield* append([{ role: "assistant", content }], { usage: turn.usage, stop: next })
            }
            if (ended(next)) answer = textOf(turn)
            return next
          }
        }
        if (next !== "ask for more") early.forget()
      }
      return "out_of_turns"
    })

    if (known?.open !== undefined) {
      yield* runCalls(known.open, early.listen(known.messages))
      if (begun !== undefined) {
        spend(known.open)
        turns++
      }
    }
    if (prompt !== undefined) yield* append([{ role: "user", content: prompt }])
    const stop: Stop = yield* goOn
    // What ran out may be given more of.
    if (log !== undefined && !ranOut(stop)) yield* log.ended(stop)
    return { stop, answer, exchanges, messages: yield* Ref.get(history), usage }
  })
