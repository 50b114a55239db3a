/** The support agent on Salvo. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Agent, type BatchResult, Report, type ToolResult } from "../index.ts"
import type { CallOutcome, RunOutcome } from "./Outcome.ts"
import { prompt, system } from "./script.ts"
import { toolbox } from "./tools.ts"

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

export const run = (onTurn: (turn: Turn) => Effect.Effect<void>) =>
  Effect.gen(function* () {
    const result = yield* Agent.run({
      prompt,
      system,
      toolbox,
      onExchange: ({ batch }) => (batch === undefined ? Effect.void : onTurn(toTurn(batch)))
    })
    const batches = result.exchanges.flatMap(({ batch }) => (batch === undefined ? [] : [batch]))
    return {
      turns: batches.map(toTurn),
      lost: result.exchanges.reduce((sum, exchange) => sum + unanswered(exchange), 0),
      executions: batches.reduce((sum, batch) => sum + batch.summary.executions, 0),
      answer: result.stop === "end_turn" ? result.answer : `(ended early: ${result.stop}) ${result.answer}`
    }
  })
