/** What is written down, one line of JSON each: with a version, and the log it belongs to. */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Fault } from "../../Fault.ts"
import { ToolCall } from "../../ToolCall.ts"
import { Source } from "../../ToolResult.ts"

/** Raised when an older record could be misread; records of other versions are not trusted. */
const version = 1

const Count = Schema.NonNegativeInt

/** Names one operation: a call, or the tool that answers in its place. */
const operation = {
  key: Schema.String,
  callId: Schema.String,
  tool: Schema.String,
  /** Canonical (RFC 8785); missing where JSON cannot say it. */
  input: Schema.optional(Schema.String),
  /** Of the tool that answers in a call's place, which only that call may ask for. */
  isInstead: Schema.optional(Schema.Literal(true))
}

const Failure = Schema.Struct({ error: Schema.Unknown, fault: Fault })

const Outcome = Schema.Union(
  Schema.TaggedStruct("Success", {
    /** Missing where the tool answered with nothing. */
    encoded: Schema.optional(Schema.Unknown),
    replaces: Schema.optional(Schema.Unknown)
  }),
  Schema.TaggedStruct("Failure", Failure.fields)
)

/** An execution is about to begin. */
const Started = Schema.TaggedStruct("Started", { ...operation, attempt: Count })

/** An execution of a write failed. */
const AttemptFailed = Schema.TaggedStruct("AttemptFailed", { ...operation, attempt: Count, ...Failure.fields })

/** A call has its result. */
const Landed = Schema.TaggedStruct("Landed", { ...operation, attempts: Count, source: Source, outcome: Outcome })

const Block = Schema.Struct({ type: Schema.String }, Schema.Record({ key: Schema.String, value: Schema.Unknown }))

const Message = Schema.Struct({
  role: Schema.Literal("user", "assistant", "system"),
  content: Schema.Union(Schema.String, Schema.Array(Block))
})

const Turn = Schema.Struct({
  content: Schema.Array(Block),
  calls: Schema.Array(ToolCall),
  stopReason: Schema.NullOr(Schema.String),
  usage: Schema.Struct({ inputTokens: Schema.Number, outputTokens: Schema.Number })
})

/** A conversation grew by these messages. Exchanges are numbered: one that is written twice is told once. */
const Said = Schema.TaggedStruct("Said", {
  exchange: Count,
  messages: Schema.Array(Message),
  usage: Turn.fields.usage,
  /** Why the agent is done with this. */
  stop: Schema.optional(Schema.String)
})

/** The model's turn is complete, and its calls are about to be run. */
const TurnReceived = Schema.TaggedStruct("TurnReceived", { exchange: Count, turn: Turn })

/** The agent is done, and the model has said nothing that could go back to it. */
const Ended = Schema.TaggedStruct("Ended", { stop: Schema.String })

export const Record = Schema.Union(Started, AttemptFailed, Landed, Said, TurnReceived, Ended)

export type Record = typeof Record.Type

export type Operation = Pick<typeof Started.Type, keyof typeof operation>

export type Started = typeof Started.Type
export type AttemptFailed = typeof AttemptFailed.Type
export type Landed = typeof Landed.Type

const Line = Schema.parseJson(Schema.Struct({ salvo: Schema.Literal(version), log: Schema.String, record: Record }))

const encodeLine = Schema.encodeOption(Line)
const decodeLine = Schema.decodeUnknownOption(Line)

/** None where JSON cannot say it. */
export const encode = (log: string, record: Record): Option.Option<string> =>
  encodeLine({ salvo: version, log, record })

/** None for what is torn, of another version, or of another log. */
export const decode = (log: string, line: string): Option.Option<Record> =>
  decodeLine(line).pipe(
    Option.filter((found) => found.log === log),
    Option.map(({ record }) => record)
  )
