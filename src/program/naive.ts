/**
 * The same agent the way it is usually written: `Promise.all` over the calls of a turn, and when it rejects, all of
 * them once more. What Salvo is compared with.
 */
import type * as CommandExecutor from "@effect/platform/CommandExecutor"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { Model, Toolbox, type ToolCall } from "../index.ts"
import { now } from "../policies/Timeout.ts"
import * as Actions from "./actions.ts"
import * as NaiveEvents from "./naiveEvents.ts"
import type { RunOutcome } from "./Outcome.ts"
import { prompt, system } from "./script.ts"
import { toolbox } from "./tools.ts"
import type { World } from "./world/World.ts"

type Turn = RunOutcome["turns"][number]
type Calls = ReadonlyArray<ToolCall.ToolCall>

const maxTurns = 10
const tries = 2

const argument = (input: unknown, key: string): string =>
  String(typeof input === "object" && input !== null ? Reflect.get(input, key) : undefined)

type Needs = World | FileSystem.FileSystem | HttpClient.HttpClient | CommandExecutor.CommandExecutor

/** What a hand-written agent does with a call: no schema, no deadline, no idempotency key. */
const execute = ({ input, name }: ToolCall.ToolCall): Effect.Effect<unknown, Error, Needs> => {
  switch (name) {
    case "look_up_order":
      return Actions.lookUpOrder(argument(input, "order"))
    case "search_policies":
      return Actions.searchPolicies(argument(input, "query"))
    case "track_parcel":
      return Actions.trackParcel(argument(input, "tracking_number"))
    case "exchange_rate":
      return Actions.exchangeRate(argument(input, "from"), argument(input, "to"))
    case "render_report":
      return Actions.renderReport(argument(input, "order"))
    case "refund_order":
      return Actions.refund({ order: argument(input, "order"), amount: Number(argument(input, "amount")) })
    case "list_refunds":
      return Actions.listRefunds(argument(input, "order"))
    default:
      return Effect.dieMessage(`no tool ${name}`)
  }
}

interface Ran {
  /** The results of all calls, or the one error that took their place. */
  readonly outputs: ReadonlyArray<unknown> | Error
  readonly attempts: number
}

export const run = (onTurn: (turn: Turn) => Effect.Effect<void>) =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime<Needs>()
    const tools = Toolbox.describe(toolbox)
    const messages: Array<Model.Message> = [{ role: "user", content: prompt }]
    const turns: Array<Turn> = []
    let executions = 0
    let lost = 0

    const runPromise = Runtime.runPromise(runtime)

    const all = (calls: Calls, told: NaiveEvents.Told, attempt: number): Promise<ReadonlyArray<unknown>> =>
      Promise.all(
        calls.map((call, i) => {
          executions++
          return runPromise(told.attempt(i, attempt, execute(call)))
        })
      )

    const runAll = async (calls: Calls, told: NaiveEvents.Told): Promise<Ran> => {
      let error = new Error("never tried")
      for (let attempts = 1; attempts <= tries; attempts++) {
        try {
          return { outputs: await all(calls, told, attempts), attempts }
        } catch (caught) {
          error = caught instanceof Error ? caught : new Error(String(caught))
          await runPromise(told.rejected(attempts))
          if (attempts < tries) await runPromise(told.again(attempts))
        }
      }
      return { outputs: error, attempts: tries }
    }

    for (let n = 0; n < maxTurns; n++) {
      const turn = yield* Model.turn({ system, messages, tools, maxTokens: 4096 })
      messages.push({ role: "assistant", content: turn.content })
      if (turn.calls.length === 0) {
        const answer = turn.content.map((block) => (block.type === "text" ? String(block["text"]) : "")).join("")
        return { turns, lost, executions, answer }
      }
      const startedAt = yield* now
      const told = yield* NaiveEvents.make(`naive-${n + 1}`, turn.calls)
      yield* told.submitted
      const { attempts, outputs } = yield* Effect.promise(() => runAll(turn.calls, told))
      yield* told.finished(outputs, attempts)
      const millis = Math.round((yield* now) - startedAt)
      const failed = outputs instanceof Error
      if (failed) lost += turn.calls.length
      const answers = turn.calls.map((_, i) => (failed ? `Error: ${outputs.message}` : JSON.stringify(outputs[i])))
      messages.push({
        role: "user",
        content: turn.calls.map(({ id }, i) => ({
          type: "tool_result",
          tool_use_id: id,
          content: answers[i],
          ...(failed ? { is_error: true } : {})
        }))
      })
      const ran: Turn = {
        millis,
        calls: turn.calls.map(({ id, name }, i) => ({
          id,
          tool: name,
          outcome: failed ? "lost" : "Success",
          attempts,
          millis,
          told: answers[i] ?? ""
        }))
      }
      turns.push(ran)
      yield* onTurn(ran)
    }
    return { turns, lost, executions, answer: "(ended early)" }
  })
