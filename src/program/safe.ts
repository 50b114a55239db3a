/** The support agent on Salvo. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Agent, type BatchResult, Report, type ToolResult } from "../index.ts"
import type { CallOutcome, RunOutcome } from "./Outcome.ts"
import { prompt, system } from "./script.ts"
import { toolbox, type Tools } from "./tools.ts"
import type { Kept } from "./kept.ts"

type Turn = RunOutcome["turns"][number]

const toldText = (content: Report.ToolResultBlock["content"]): string =>
  typeof content === "string"
    ? content
    : content.map((block) => (block.type === "text" ? block.text : `[${block.type}]`)).join(" ")

const toCall = (result: ToolResult.ToolResult, told: string): CallOutcome => ({
  id: result.call.id,
  tool: result.call.name,
  outcome: result._tag === "Failure" ? result.error._tag : result.source === "executed" ? "Success" : result.source,
  attempts: result.attempts,
  millis: Math.round(Duration.toMillis(result.duration)),
  told
})

export const toTurn = (batch: BatchResult.BatchResult): Turn => {
  const told = Report.toolResults(batch).map((block) => toldText(block.content))
  return {
    millis: Math.round(Duration.toMillis(batch.duration)),
    calls: batch.results.map((result, i) => toCall(result, told[i] ?? ""))
  }
}

/** Calls of a turn that the turn's answer leaves out. */
const unanswered = ({ batch, turn }: Agent.Exchange): number => {
  const answered = new Set(batch === undefined ? [] : Report.toolResults(batch).map((block) => block.tool_use_id))
  return turn.calls.filter((call) => !answered.has(call.id)).length
}

const isFromJournal = (result: ToolResult.ToolResult): boolean =>
  result._tag === "Success" && result.source === "journal"

/** The calls that were answered in the conversation before this process went on with it. */
const answeredBefore = ({ exchanges, messages }: Agent.AgentResult): number => {
  const answered = messages.flatMap(({ content }) =>
    typeof content === "string" ? [] : content.filter(({ type }) => type === "tool_result")
  )
  return answered.length - exchanges.reduce((sum, { turn }) => sum + turn.calls.length, 0)
}

/** With `kept` the run is written down, or was. */
export const run = (onTurn: (turn: Turn) => Effect.Effect<void>, kept: Kept | undefined) =>
  Effect.gen(function* () {
    const options: Agent.LoopOptions<Tools> = {
      system,
      toolbox,
      onExchange: ({ batch }) => (batch === undefined ? Effect.void : onTurn(toTurn(batch)))
    }
    const result =
      kept?.isResumed === true
        ? yield* Effect.provide(Agent.resume(kept.id, options), kept.journal)
        : kept === undefined
          ? yield* Agent.run({ ...options, prompt })
          : yield* Effect.provide(Agent.run({ ...options, prompt, id: kept.id }), kept.journal)
    const batches = result.exchanges.flatMap(({ batch }) => (batch === undefined ? [] : [batch]))
    const results = batches.flatMap((batch): ReadonlyArray<ToolResult.ToolResult> => batch.results)
    return {
      turns: batches.map(toTurn),
      lost: result.exchanges.reduce((sum, exchange) => sum + unanswered(exchange), 0),
      // What the journal tells was executed by the process before.
      executions: results.reduce((sum, result) => sum + (isFromJournal(result) ? 0 : result.attempts), 0),
      ...(kept?.isResumed === true ? { kept: answeredBefore(result) + results.filter(isFromJournal).length } : {}),
      answer: result.stop === "end_turn" ? result.answer : `(ended early: ${result.stop}) ${result.answer}`
    }
  })
