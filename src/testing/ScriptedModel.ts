/**
 * A model that says what a script tells it, without any network.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as Model from "../services/Model.ts"
import type { ToolCall } from "../ToolCall.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface ScriptedTurn {
  readonly text?: string | undefined
  readonly calls?: ReadonlyArray<ToolCall> | undefined
  /** Default: `tool_use` with calls, `end_turn` without. */
  readonly stopReason?: string | null | undefined
}

const toTurn = ({ calls = [], stopReason, text }: ScriptedTurn): Model.Turn => ({
  content: [
    ...(text === undefined ? [] : [{ type: "text", text }]),
    ...calls.map(({ id, input, name }) => ({
      type: "tool_use",
      id,
      name,
      input: typeof input === "object" && input !== null ? input : { INVALID_JSON: input }
    }))
  ],
  calls,
  stopReason: stopReason === undefined ? (calls.length > 0 ? "tool_use" : "end_turn") : stopReason,
  usage: { inputTokens: 0, outputTokens: 0 }
})

const toEvents = (turn: Model.Turn): ReadonlyArray<Model.TurnEvent> => {
  let calls = 0
  return [
    ...turn.content.flatMap((block, index): ReadonlyArray<Model.TurnEvent> => [
      { _tag: "BlockStarted", index, type: block.type },
      { _tag: "BlockCompleted", index, block, call: block.type === "tool_use" ? turn.calls[calls++] : undefined }
    ]),
    { _tag: "TurnCompleted", turn }
  ]
}

/**
 * Plays `script`: a function of the request and of how many turns were asked for before, counted from 0. It may fail
 * with a `ModelError`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  script: (request: Model.TurnRequest, turn: number) => Effect.Effect<ScriptedTurn, Model.ModelError>
): Layer.Layer<Model.Model> =>
  Layer.effect(
    Model.Model,
    Effect.map(Ref.make(0), (asked) => ({
      streamTurn: (request) =>
        Stream.unwrap(
          Ref.getAndUpdate(asked, (n) => n + 1).pipe(
            Effect.flatMap((n) => script(request, n)),
            Effect.map((turn) => Stream.fromIterable(toEvents(toTurn(turn))))
          )
        )
    }))
  )

/**
 * Plays these turns one after the other; asked for more, it ends its turn without a word.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTurns = (...turns: ReadonlyArray<ScriptedTurn>): Layer.Layer<Model.Model> =>
  layer((_, n) => Effect.succeed(turns[n] ?? { text: "(the script has ended)" }))
