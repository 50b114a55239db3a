/** The log of a conversation: its messages, and the turn whose calls are not answered yet. */
import * as Effect from "effect/Effect"
import type { Stop } from "../../services/Agent.ts"
import type { Journal, Log } from "../../services/Journal.ts"
import type * as Model from "../../services/Model.ts"
import type * as Record from "./record.ts"

type Usage = Model.Turn["usage"]

/** What the log says. */
export interface Known {
  readonly messages: ReadonlyArray<Model.Message>
  /** Complete, but its calls are not answered. */
  readonly open: Model.Turn | undefined
  /** Turns of the model. */
  readonly turns: number
  readonly usage: Usage
  readonly ended: Stop | undefined
}

export interface Conversation {
  readonly known: Known
  /** Names the batch of the turn at hand: the same for every process that works on it. */
  readonly batchId: () => string
  readonly received: (turn: Model.Turn) => Effect.Effect<void>
  /** `usage` is that of the turn which the messages come from. */
  readonly said: (messages: ReadonlyArray<Model.Message>, usage?: Usage) => Effect.Effect<void>
  readonly ended: (stop: Stop) => Effect.Effect<void>
}

const nothing: Known = {
  messages: [],
  open: undefined,
  turns: 0,
  usage: { inputTokens: 0, outputTokens: 0 },
  ended: undefined
}

const plus = (one: Usage, other: Usage): Usage => ({
  inputTokens: one.inputTokens + other.inputTokens,
  outputTokens: one.outputTokens + other.outputTokens
})

const isTurn = ({ role }: Model.Message): boolean => role === "assistant"

const read = (known: Known, record: Record.Record): Known => {
  switch (record._tag) {
    case "TurnReceived":
      return { ...known, open: record.turn }
    case "Said":
      return {
        messages: [...known.messages, ...record.messages],
        open: undefined,
        turns: known.turns + record.messages.filter(isTurn).length,
        usage: plus(known.usage, record.usage),
        ended: undefined
      }
    case "Ended":
      // The agent wrote it, which knows no other words.
      return { ...known, ended: record.stop as Stop }
    default:
      return known
  }
}

export const logOf = (id: string): string => `conversation/${id}`

/** A journal that fails has said so, and stops writes where it is told to: the conversation goes on. */
export const make = (id: string, log: Log, journal: Journal["Type"]): Conversation => {
  let exchanges = log.records.filter((record) => record._tag === "Said").length
  const batchId = () => `${id}/${exchanges}`
  return {
    known: log.records.reduce(read, nothing),
    batchId,
    received: (turn) => Effect.ignore(log.append({ _tag: "TurnReceived", turn })),
    said: (messages, usage = nothing.usage) =>
      Effect.suspend(() => {
        const answered = batchId()
        exchanges++
        // What the batch found out stands in the messages now.
        return log
          .append({ _tag: "Said", messages, usage })
          .pipe(Effect.zipRight(journal.remove(`batch/${answered}`)), Effect.ignore)
      }),
    ended: (stop) => Effect.ignore(log.append({ _tag: "Ended", stop }))
  }
}
