/** The log of a conversation: its messages, and the turn whose calls are not answered yet. */
import * as Clock from "effect/Clock"
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
  /** Turns of the model since the last prompt, and what they cost. */
  readonly turns: number
  readonly usage: Usage
  readonly ended: Stop | undefined
  /** The number of the exchange at hand. */
  readonly exchange: number
}

/** What is told of messages. */
export interface About {
  /** What the turn has cost that they come from. */
  readonly usage: Usage
  /** Why the agent is done with them. */
  readonly stop?: Stop | undefined
}

export interface Conversation {
  readonly id: string
  readonly known: Known
  /** Names the batch of the turn at hand: the same for every process that works on it. */
  readonly batchId: () => string
  /** For the calls: no intent of theirs is written down before all that was said before it. */
  readonly journal: Journal["Type"]
  readonly received: (turn: Model.Turn) => Effect.Effect<void>
  readonly said: (messages: ReadonlyArray<Model.Message>, about?: About) => Effect.Effect<void>
  readonly ended: (stop: Stop) => Effect.Effect<void>
}

const noUsage: Usage = { inputTokens: 0, outputTokens: 0 }

const nothing: Known = {
  messages: [],
  open: undefined,
  turns: 0,
  usage: noUsage,
  ended: undefined,
  exchange: 0
}

const plus = (one: Usage, other: Usage): Usage => ({
  inputTokens: one.inputTokens + other.inputTokens,
  outputTokens: one.outputTokens + other.outputTokens
})

const isTurn = ({ role }: Model.Message): boolean => role === "assistant"

const read = (known: Known, record: Record.Record): Known => {
  switch (record._tag) {
    case "TurnReceived":
      return record.exchange < known.exchange ? known : { ...known, open: record.turn, exchange: record.exchange }
    case "Said": {
      // It was written twice, because nobody knew whether it was written.
      if (record.exchange < known.exchange) return known
      const turns = record.messages.filter(isTurn).length
      return {
        messages: [...known.messages, ...record.messages],
        open: undefined,
        // A prompt begins anew.
        turns: turns === 0 ? 0 : known.turns + turns,
        usage: turns === 0 ? record.usage : plus(known.usage, record.usage),
        // The agent wrote it, which knows no other words.
        ended: record.stop as Stop | undefined,
        exchange: record.exchange + 1
      }
    }
    case "Ended":
      return { ...known, ended: record.stop as Stop }
    default:
      return known
  }
}

export const logOf = (id: string): string => `conversation/${id}`

/** A journal that fails has said so, and stops writes where it is told to: the conversation goes on. */
export const make = (id: string, log: Log, journal: Journal["Type"]): Effect.Effect<Conversation> =>
  Effect.map(Clock.currentTimeMillis, (time) => {
    const known = log.records.reduce(read, nothing)
    // Where nothing is known, a number that was never used.
    let exchange = log.isKnown ? known.exchange : time
    let isEnded = false
    const batchId = () => `${id}/${exchange}`

    /** What is to be written, in order; what could not be written before goes first. */
    const pending = new Set<Record.Record>()
    const flush = Effect.suspend(() =>
      Effect.forEach(
        pending,
        (record) =>
          Effect.map(log.append(record), () => {
            pending.delete(record)
          }),
        { discard: true }
      )
    )
    const write = (record: Record.Record) =>
      Effect.suspend(() => {
        pending.add(record)
        return flush
      })

    return {
      id,
      known,
      batchId,
      journal: {
        ...journal,
        open: (name) =>
          Effect.map(journal.open(name), (batch) => ({
            ...batch,
            append: (record) =>
              record._tag === "Started" && pending.size > 0
                ? Effect.zipRight(flush, batch.append(record))
                : batch.append(record)
          }))
      },
      received: (turn) => Effect.ignore(write({ _tag: "TurnReceived", exchange, turn })),
      said: (messages, { stop, usage } = { usage: noUsage }) =>
        Effect.suspend(() => {
          const answered = batchId()
          isEnded = stop !== undefined
          // What the batch found out stands in the messages now.
          return write({ _tag: "Said", exchange: exchange++, messages, usage, stop }).pipe(
            Effect.zipRight(journal.remove(`batch/${answered}`)),
            Effect.ignore
          )
        }),
      ended: (stop) => Effect.suspend(() => (isEnded ? Effect.void : Effect.ignore(write({ _tag: "Ended", stop }))))
    }
  })
