/** What the tests of the policies share: two tools of one shape, calls to them, and what is read off a batch. */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/TestClock"
import {
  type BatchResult,
  Fault,
  type Policy,
  Tool,
  Toolbox,
  type ToolCall,
  type ToolResult,
  ToolRunner
} from "../../src/index.ts"

export class Down extends Schema.TaggedError<Down>()("Down", {
  why: Schema.String,
  owner: Schema.optionalWith(Schema.Literal("tool", "model"), { default: () => "tool" })
}) {}

export const down = (why = "down") => Effect.fail(new Down({ why }))

const Input = Schema.Struct({ n: Schema.optional(Schema.Number), key: Schema.optional(Schema.String) })

export type Input = typeof Input.Type
export type Handler = Tool.Handler<Input, unknown, Down>

export interface Setup<R = never> {
  readonly policy?: Policy.ToolPolicy<Input, unknown, R>
  readonly effects?: Tool.Effects
  readonly resource?: (input: Input) => string | undefined
  readonly runner?: ToolRunner.Options
}

/** One execution of a handler. */
export interface Start {
  readonly tool: string
  readonly id: string
  readonly attempt: number
  /** In virtual milliseconds. */
  readonly at: number
}

/** The tools `ask` and `other`, which have one handler, and a log of its executions. Nothing is tried again by itself. */
export const make = <R = never>(
  handler: Handler,
  { effects = "read", policy, resource, runner = {} }: Setup<R> = {}
) => {
  const options = {
    description: "Asks",
    input: Input,
    output: Schema.Unknown,
    failure: Down,
    effects,
    policy: { retry: false, ...policy },
    resource,
    classify: ({ owner }: Down) => (owner === "model" ? Fault.model() : Fault.transient())
  } as const
  class Ask extends Tool.Service<Ask>()("ask", options) {}
  class Other extends Tool.Service<Other>()("other", options) {}
  const starts: Array<Start> = []
  const logged =
    (tool: string): Handler =>
    (input, call) =>
      Effect.flatMap(Clock.currentTimeMillis, (at) => {
        starts.push({ tool, id: call.id, attempt: call.attempt, at })
        return handler(input, call)
      })
  return {
    toolbox: Toolbox.make(Ask, Other),
    layer: Layer.mergeAll(Ask.layer(logged("ask")), Other.layer(logged("other")), ToolRunner.layerWith(runner)),
    starts,
    times: () => starts.map(({ at }) => at),
    ids: () => starts.map(({ id }) => id)
  }
}

export const call = (
  id: string,
  { dependsOn, name = "ask", ...input }: { name?: string; dependsOn?: ReadonlyArray<string> } & Input = {}
): ToolCall.ToolCall => ({ id, name, input, ...(dependsOn === undefined ? {} : { dependsOn }) })

/** So many calls whose inputs differ. */
export const calls = (count: number, prefix = "c"): ReadonlyArray<ToolCall.ToolCall> =>
  Array.from({ length: count }, (_, n) => call(`${prefix}${n + 1}`, { n }))

/** The source of a success, the error of a failure. */
export const outcome = (result: ToolResult.ToolResult | undefined): string | undefined =>
  result?._tag === "Failure" ? result.error._tag : result?.source

export const outcomes = (batch: BatchResult.BatchResult) => batch.results.map(outcome)

/** Why the tool said it failed. */
export const why = (result: ToolResult.ToolResult | undefined): string | undefined =>
  result?._tag === "Failure" && result.error._tag === "ToolFailure" && result.error.failure instanceof Down
    ? result.error.failure.why
    : undefined

/** Lets time pass, by the end of which `effect` has to be done. */
export const within =
  (duration: Duration.DurationInput) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.gen(function* () {
      const fiber = yield* Effect.fork(effect)
      yield* TestClock.adjust(duration)
      yield* isDone(fiber)
      return yield* Fiber.join(fiber)
    })

/** Fails the test instead of waiting for what will not come. */
export const isDone = <A, E>(fiber: Fiber.RuntimeFiber<A, E>): Effect.Effect<void> =>
  Effect.flatMap(Fiber.poll(fiber), (exit) =>
    Option.isSome(exit)
      ? Effect.void
      : Effect.zipRight(
          Fiber.interruptFork(fiber),
          Effect.sync(() => assert.fail("It is still running"))
        )
  )

export const stillRuns = <A, E>(fiber: Fiber.RuntimeFiber<A, E>): Effect.Effect<void> =>
  Effect.map(Fiber.poll(fiber), (exit) => assert.isTrue(Option.isNone(exit), "It has ended"))
