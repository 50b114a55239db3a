/** What a run of the program came to, whichever way its tools were run. */
import * as Schema from "effect/Schema"

export const CallOutcome = Schema.Struct({
  id: Schema.String,
  tool: Schema.String,
  outcome: Schema.String,
  attempts: Schema.Number,
  millis: Schema.Number,
  told: Schema.String
})

export interface CallOutcome extends Schema.Schema.Type<typeof CallOutcome> {}

export const RunOutcome = Schema.Struct({
  mode: Schema.Literal("safe", "naive"),
  model: Schema.Literal("embedded", "live"),
  turns: Schema.Array(Schema.Struct({ millis: Schema.Number, calls: Schema.Array(CallOutcome) })),
  /** Calls the model got no result of their own for. */
  lost: Schema.Number,
  /** How often a tool was executed; by this process, where it goes on with a run that was killed. */
  executions: Schema.Number,
  ledger: Schema.Struct({ refunds: Schema.Number }),
  /** Where it goes on with a run that was killed: how many calls were answered from the journal. */
  kept: Schema.optional(Schema.Number),
  /** Requests the strict server refused. */
  refused: Schema.Number,
  answer: Schema.String
})

export interface RunOutcome extends Schema.Schema.Type<typeof RunOutcome> {}

/** One result of its own for every call, all of it accepted by the server, and no money paid twice. */
export const held = (outcome: RunOutcome): boolean =>
  outcome.lost === 0 && outcome.refused === 0 && outcome.ledger.refunds <= 1
