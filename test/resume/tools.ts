/** The tools of the tests of resuming, an outside world that they change, and what that has seen of them. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { type BatchResult, Fault, Tool, Toolbox, type ToolCall } from "../../src/index.ts"

export class Failed extends Schema.TaggedError<Failed>()("Failed", {
  tookEffect: Schema.Literal("no", "maybe"),
  transient: Schema.Boolean
}) {}

/**
 * What an execution comes to. `refused`: it fails for good, and changes nothing. `unsure`: it takes effect, and fails all
 * the same. `flaky`: the first one of a call fails, and changes nothing.
 */
const How = Schema.Literal("well", "refused", "unsure", "flaky")
const Input = Schema.Struct({ n: Schema.Number, how: Schema.optional(How) })
const Output = Schema.Struct({ got: Schema.Number })

export type Input = typeof Input.Type
export type Output = typeof Output.Type

const options = {
  description: "Does something",
  input: Input,
  output: Output,
  failure: Failed,
  classify: (failure: Failed) => (failure.transient ? Fault.transient(failure) : Fault.permanent(failure))
}

/** Without a delay, so that no time has to pass. */
const policy = { retry: { times: 2, schedule: Schedule.recurs(9) }, circuitBreaker: false } as const

export class Look extends Tool.Service<Look>()("look", { ...options, effects: "read", policy }) {}
export class Put extends Tool.Service<Put>()("put", { ...options, effects: "idempotent", policy }) {}
export class Pay extends Tool.Service<Pay>()("pay", { ...options, effects: "write", policy }) {}

/** A write that can find out. */
export class Send extends Tool.Service<Send>()("send", { ...options, effects: "write", policy }) {}

/** A write of one account at a time. */
export class Book extends Tool.Service<Book>()("book", {
  ...options,
  effects: "write",
  policy,
  resource: ({ n }) => `account ${n % 2}`
}) {}

/** Turned away, it is paid instead. */
export class Order extends Tool.Service<Order>()("order", {
  ...options,
  effects: "write",
  policy: { ...policy, fallback: { tool: Pay, input: ({ n }) => ({ n }) } }
}) {}

export const toolbox = Toolbox.withReferences(Toolbox.make(Look, Put, Pay, Send, Book, Order))

export type Tools = (typeof toolbox)["tools"][number]

export type Name = Tools["definition"]["name"]

export type Batch = BatchResult.BatchResult<Tools>

export const call = (id: string, name: Name, input: object, dependsOn?: ReadonlyArray<string>): ToolCall.ToolCall => ({
  id,
  name,
  input,
  ...(dependsOn === undefined ? {} : { dependsOn })
})

/** What the outside world has seen of an execution; `asked` is a question what became of it. */
export const Entry = Schema.Struct({
  what: Schema.Literal("begun", "done", "asked"),
  tool: Schema.String,
  id: Schema.String,
  n: Schema.Number,
  key: Schema.String,
  attempt: Schema.Number,
  /** Which process that was, counted from 1. */
  process: Schema.Number
})

export type Entry = typeof Entry.Type

export interface Outside {
  readonly entries: () => ReadonlyArray<Entry>
  readonly note: (entry: Entry) => void
}

/** What one process is to its tools. */
export interface Surroundings {
  readonly outside: Outside
  /** Which process it is, counted from 1. */
  readonly number: number
  /** Passes a point of that name. */
  readonly point: (name: string) => Effect.Effect<void>
  /** What an execution takes. */
  readonly pause: Effect.Effect<void>
  /** What an execution does besides. */
  readonly meanwhile?: (tool: string, input: Input, call: Tool.Call) => Effect.Effect<unknown, Failed>
  /** How `send` finds out; by the ledger where nothing is said. */
  readonly reconcile?: Tool.Reconcile<Input, Output> | undefined
  /** Whether `look` finds something else in every process. */
  readonly changes?: boolean | undefined
}

/** What an execution comes to by its input. */
const outcome = (entries: ReadonlyArray<Entry>, { how = "well" }: Input, key: string, got: number) => {
  const begun = entries.filter((entry) => entry.what === "begun" && entry.key === key).length
  const fails = how === "flaky" ? begun === 1 : how !== "well"
  return {
    takesEffect: how === "unsure" || !fails,
    answer: fails
      ? Effect.fail(new Failed({ tookEffect: how === "unsure" ? "maybe" : "no", transient: how !== "refused" }))
      : Effect.succeed({ got })
  }
}

/** The handlers of one process. */
export const implement = (process: Surroundings): Context.Context<Tool.Requirements<Tools>> => {
  const { number, outside, pause, point } = process

  const note = (what: Entry["what"], tool: string, { n }: Input, { attempt, id, idempotencyKey: key }: Tool.Call) =>
    outside.note({ what, tool, id, n, key, attempt, process: number })

  const handler =
    (tool: Name): Tool.Handler<Input, Output, Failed> =>
    (input, call) =>
      Effect.gen(function* () {
        yield* point(`before ${tool} ${call.id}`)
        note("begun", tool, input, call)
        const got = tool === "look" && process.changes === true ? input.n + 100 * number : input.n
        const { answer, takesEffect } = outcome(outside.entries(), input, call.idempotencyKey, got)
        yield* process.meanwhile?.(tool, input, call) ?? Effect.void
        yield* pause
        yield* point(`in ${tool} ${call.id}`)
        if (takesEffect) note("done", tool, input, call)
        yield* point(`after ${tool} ${call.id}`)
        return yield* answer
      })

  const find: Tool.Reconcile<Input, Output> = (input, call) =>
    Effect.gen(function* () {
      yield* point(`asking for ${call.id}`)
      note("asked", "send", input, call)
      const isDone = outside.entries().some(({ key, what }) => what === "done" && key === call.idempotencyKey)
      return isDone ? Option.some({ got: input.n }) : Option.none()
    })

  return Context.make(Look, handler("look")).pipe(
    Context.add(Put, handler("put")),
    Context.add(Pay, handler("pay")),
    Context.add(Send, Tool.withReconcile(handler("send"), process.reconcile ?? find)),
    Context.add(Book, handler("book")),
    Context.add(Order, handler("order"))
  )
}

/** Every kind of call, and every way in which one may wait for another. */
export const mixed: ReadonlyArray<ToolCall.ToolCall> = [
  call("c1", "look", { n: 1 }),
  call("c2", "look", { n: 1 }),
  call("c3", "put", { n: 3, how: "flaky" }),
  call("c4", "pay", { n: 4 }),
  call("c5", "pay", { n: { $ref: "#1/got" } }),
  call("c6", "send", { n: 6, how: "flaky" }, ["c3"]),
  call("c7", "book", { n: 7 }),
  call("c8", "book", { n: 9, how: "unsure" }),
  call("c9", "order", { n: 9, how: "refused" }),
  call("c10", "send", { n: { $ref: "#6/got" } }),
  call("c11", "look", { n: 11, how: "refused" }),
  call("c12", "put", { n: 12 }, ["c11"])
]
