/** The line to the script in Redis: what is asked, and what comes back. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import type { Settings } from "../../internal/breaker/settings.ts"
import type { Service } from "../Redis.ts"
import * as Command from "./command.ts"
import { numberOfKeys, script } from "./luaStore.ts"

const Counted = Schema.transform(
  Schema.String,
  Schema.Struct({ calls: Schema.Number, failures: Schema.Number, slow: Schema.Number }),
  {
    strict: true,
    decode: (text) => {
      const [calls = 0, failures = 0, slow = 0] = text.split(",").map(Number)
      return { calls, failures, slow }
    },
    encode: ({ calls, failures, slow }) => [calls, failures, slow].join(",")
  }
)

const Optional = Schema.transform(Schema.String, Schema.UndefinedOr(Schema.String), {
  strict: true,
  decode: (text) => (text === "" ? undefined : text.slice(1)),
  encode: (text) => (text === undefined ? "" : `=${text}`)
})

const Wait = Schema.transform(Schema.String, Schema.UndefinedOr(Schema.Number), {
  strict: true,
  decode: (text) => (text === "" ? undefined : Number(text)),
  encode: (millis) => (millis === undefined ? "" : String(millis))
})

/** A breaker's state as the server tells of it, in the order of its answer. */
const Reply = Schema.Struct({
  verdict: Schema.Literal("admitted", "probe", "rejected", "taken", "stale", "none"),
  mode: Schema.Literal("Closed", "Open", "HalfOpen", "Isolated"),
  era: Schema.NumberFromString,
  /** How long an open circuit stays so, or until the first slot of a half-open one that has none. */
  waitMillis: Wait,
  reason: Schema.Literal(
    "consecutive",
    "failure rate",
    "slow rate",
    "probe failed",
    "probes succeeded",
    "time is up",
    "no probe came",
    "isolated",
    "released",
    "reset"
  ),
  decidedBy: Counted,
  lastFailure: Optional,
  counts: Counted,
  streak: Schema.NumberFromString,
  openings: Schema.NumberFromString,
  probing: Schema.NumberFromString,
  /** How many hold it isolated. */
  isolations: Schema.NumberFromString
})

export type Reply = typeof Reply.Type

const decode = Schema.decodeUnknown(Reply)

const names = Struct.keys(Reply.fields)

const toReply = (answer: unknown): Effect.Effect<Reply, Command.Unreachable> =>
  Effect.mapError(
    decode(Array.isArray(answer) ? Object.fromEntries(names.map((name, i) => [name, answer[i]])) : answer),
    (error) => new Command.Unreachable({ cause: error.message, sent: true })
  )

export type Operation =
  | readonly [name: "admit", token: string, isTrying: 0 | 1]
  | readonly [name: "look"]
  | readonly [name: "record", era: number, codes: string, details: string]
  | readonly [name: "probe", era: number, token: string, code: string, detail: string]
  | readonly [name: "free", token: string, era: number | ""]
  | readonly [name: "isolate", holder: string, millis: number]
  | readonly [name: "release", holder: string]
  | readonly [name: "reset"]

/** Fixed for all steps of one breaker. */
export interface Context {
  readonly settings: Settings
  readonly idleMillis: number
  readonly quorum: number
  readonly quorumMillis: number
  readonly instance: string
}

export interface Line {
  /** From the next step on. */
  readonly obey: (settings: Settings) => void
  /**
   * Writes to the connection at once, so that what is asked later is answered later too. The effect waits for the reply,
   * and not longer than the store may take; it can be interrupted wherever it is run.
   */
  readonly ask: (operation: Operation, clock?: number) => Effect.Effect<Reply, Command.Unreachable>
}

/** A name that every cluster keeps on one node, and that cannot be taken for another one's. */
export const keysOf = (prefix: string, name: string): ReadonlyArray<string> => {
  const tag = `${prefix}{breaker:${encodeURIComponent(name.toWellFormed())}}`
  return [tag, `${tag}:probes`, `${tag}:votes`, `${tag}:isolations`]
}

const command: Command.Script = { name: "salvoCircuitBreaker", numberOfKeys, lua: script }

export const make = (redis: Service, name: string, context: Context, timeout: Duration.Duration): Line => {
  const run = Command.make(redis, command, timeout)
  const keys = keysOf(redis.prefix, name)
  let fixed = JSON.stringify(context)
  return {
    obey: (settings) => {
      fixed = JSON.stringify({ ...context, settings })
    },
    ask: ([operation, ...args], clock) =>
      Effect.flatMap(run([...keys, operation, fixed, clock ?? "", ...args]), toReply)
  }
}
