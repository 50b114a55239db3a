/** The tools of the corpus with simulated handlers: seeded latencies and faults, in a time that passes at once. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Hash from "effect/Hash"
import * as Random from "effect/Random"
import { type BatchResult, Fault as ToolFault, Reference, Tool, Toolbox, ToolRunner } from "../../src/index.ts"
import { inNoTime } from "../breaker/handClock.ts"
import { corpusSyntax } from "../reference/corpusSyntax.ts"
import { outputsOf } from "./outputs.ts"
import { type Call, links, type Row } from "./rows.ts"

/** `flaky` fails once, for a passing reason; `fails` fails for good. */
export type Fault = "none" | "flaky" | "fails" | "crashes" | "hangs"

/** An execution of a handler. `end` is missing where it never ended by itself. */
export interface Execution {
  readonly id: string
  readonly attempt: number
  readonly input: unknown
  readonly start: number
  end: number | undefined
}

export interface Played {
  readonly row: Row
  readonly outputs: ReadonlyMap<string, unknown>
  readonly faultOf: (call: Call) => Fault
  readonly batch: BatchResult.BatchResult
  readonly executions: ReadonlyArray<Execution>
}

type Handler = Tool.Handler<Readonly<Record<string, unknown>>, unknown, "passing" | "lasting">

/** What the tools of the row that is being played do. */
class World extends Context.Tag("test/corpus/World")<World, Handler>() {}

const seeded = (seed: string, { id }: Row, call: { readonly id: string }): number =>
  Math.abs(Hash.string(`${seed} ${id} ${call.id}`))

const faults = ["flaky", "fails", "crashes", "hangs"] as const

/** No faults, or one for about every fifth call. */
export const faultsBy =
  (seed: string | undefined, row: Row) =>
  (call: { readonly id: string }): Fault =>
    seed === undefined ? "none" : (faults[seeded(`${seed} fault`, row, call) % 20] ?? "none")

const policy = {
  // By default the failures of one tool, and identical calls, have to do with each other; here each call is on its own.
  circuitBreaker: false,
  coalesce: false
} as const

const tools = new Map<string, Tool.Tool<string, unknown, unknown, unknown, World>>()

/** Many rows have the same tools, and to compile a schema takes some time. */
const toolOf = Effect.fnUntraced(function* (row: Row, { description = "", input_schema, name }: Row["tools"][number]) {
  const resource = row.calls.find((call) => call.name === name)?.resource
  const key = JSON.stringify([name, resource, input_schema])
  const known = tools.get(key)
  if (known !== undefined) return known
  const tool = yield* Tool.dynamic({
    name,
    description,
    inputSchema: input_schema,
    effects: row.dependency === "order" ? "write" : "read",
    policy,
    resource: () => resource,
    classify: (failure) => (failure === "passing" ? ToolFault.transient() : ToolFault.permanent()),
    handler: (input, call) => Effect.flatMap(World, (handler) => handler(input, call))
  })
  tools.set(key, tool)
  return tool
})

/** An input that could not be parsed goes to the runner as what the model wrote. */
const toCall = (row: Row, call: Call) => ({
  id: call.id,
  name: call.name,
  input: call.malformed === true ? (call.raw ?? "") : call.input,
  dependsOn: links(row, call)
})

/** Plays one row; with faults where there is a seed for them. */
export const play = Effect.fnUntraced(function* (row: Row, seed?: string) {
  const outputs = outputsOf(row)
  const faultOf = faultsBy(seed, row)
  const executions: Array<Execution> = []

  const handler: Handler = (input, call) =>
    Effect.gen(function* () {
      const fault = faultOf(call)
      const start = yield* Clock.currentTimeMillis
      const execution: Execution = { id: call.id, attempt: call.attempt, input, start, end: undefined }
      executions.push(execution)
      if (fault === "hangs") return yield* Effect.never
      yield* Effect.sleep(seeded("latency", row, call) % 1000)
      execution.end = yield* Clock.currentTimeMillis
      if (fault === "crashes") return yield* Effect.dieMessage("the tool crashed")
      if (fault === "fails") return yield* Effect.fail("lasting" as const)
      if (fault === "flaky" && call.attempt === 1) return yield* Effect.fail("passing" as const)
      return outputs.get(call.id)
    })

  const made = Toolbox.make(...(yield* Effect.forEach(row.tools, (tool) => toolOf(row, tool))))
  const hasReferences = row.calls.some(({ refs }) => refs.length > 0)
  const batch = yield* ToolRunner.run(
    hasReferences ? Toolbox.withReferences(made) : made,
    row.calls.map((call) => toCall(row, call))
  ).pipe(
    Effect.provideService(World, handler),
    Effect.provideService(Reference.Syntax, corpusSyntax),
    Effect.withRandom(Random.make(row.id)),
    inNoTime
  )
  const played: Played = { row, outputs, faultOf, batch, executions }
  return played
})
