/** A failed attempt: what went wrong, and whose fault it is. The error channel inside the runner. */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Fault from "../Fault.ts"
import type * as Tool from "../Tool.ts"
import * as ToolError from "../ToolError.ts"
import * as Effects from "./effects.ts"

export interface Failed {
  readonly error: ToolError.ToolError
  readonly fault: Fault.Fault
}

const noEffect = (owner: Fault.Owner, transient = false, retryAfter?: Duration.Duration): Fault.Fault => ({
  owner,
  transient,
  tookEffect: "no",
  retryAfter
})

/** A read changes nothing, however it ends. */
const ofWork = (definition: Tool.Definition | undefined, tookEffect: Fault.TookEffect): Fault.TookEffect =>
  definition?.effects === "read" ? "no" : tookEffect

/** Whether nothing that runs for a call can change anything. */
const isRead = (definition: Tool.Definition | undefined): boolean =>
  definition !== undefined && Effects.ofCall(definition) === "read"

/** The fault of an error that is not the tool's own. `definition` is missing where the tool is unknown. */
export const of = (error: ToolError.CallError, definition?: Tool.Definition): Failed => {
  switch (error._tag) {
    case "UnknownTool":
    case "MalformedInput":
    case "InvalidInput":
    case "UnresolvedReference":
    case "DependencyCycle":
      return { error, fault: noEffect("model") }
    case "DependencyFailed":
      return { error, fault: noEffect("dependency") }
    case "NotStarted":
      return { error, fault: noEffect("run") }
    case "OutcomeUnknown":
      return { error, fault: { ...noEffect("run"), tookEffect: isRead(definition) ? "no" : "maybe" } }
    case "CircuitOpen":
    case "RateLimited":
      return { error, fault: noEffect("runner", false, error.retryAfter) }
    case "BulkheadFull":
    case "BudgetExhausted":
      return { error, fault: noEffect("runner") }
    case "Timeout": {
      const transient = error.kind === "attempt" || error.kind === "idle"
      return { error, fault: { ...noEffect("tool", transient), tookEffect: ofWork(definition, "maybe") } }
    }
    case "ToolDefect":
      return { error, fault: { ...noEffect("tool"), tookEffect: ofWork(definition, "maybe") } }
    case "InvalidOutput":
      return { error, fault: { ...noEffect("tool"), tookEffect: ofWork(definition, "yes") } }
  }
}

const classified = (definition: Tool.Definition, failure: unknown): Fault.Fault => {
  const fault = definition.classify(failure) ?? Option.getOrElse(Fault.fromNetwork(failure), () => Fault.transient())
  return { ...fault, tookEffect: ofWork(definition, fault.tookEffect) }
}

/** A short name to find the details in the log by. */
export const correlationId: Effect.Effect<string> = Effect.map(
  Random.nextIntBetween(0, 2 ** 40),
  (n) => `e-${n.toString(36).padStart(8, "0")}`
)

const field = (u: unknown, key: string): unknown =>
  typeof u === "object" && u !== null ? Reflect.get(u, key) : undefined

/** Reads what a thrown value says of itself; a hostile one may throw here too. */
const describe = (
  thrown: unknown
): { readonly name: string; readonly code: string | undefined; readonly detail: string } => {
  const code = field(thrown, "code") ?? field(field(thrown, "cause"), "code")
  return {
    name: thrown instanceof Error ? thrown.name : typeof thrown,
    code: typeof code === "string" && /^[A-Z][A-Z0-9_]{1,40}$/.test(code) ? code : undefined,
    detail: Cause.pretty(Cause.die(thrown))
  }
}

const unreadable = { name: "unreadable", code: undefined, detail: "The thrown value throws when it is read" }

/** What a handler, or a function of a tool's definition, threw. It is logged and named. */
export const fromThrown = (definition: Tool.Definition, thrown: unknown): Effect.Effect<Failed> =>
  Effect.gen(function* () {
    const id = yield* correlationId
    const described = yield* Effect.try({ try: () => describe(thrown), catch: () => unreadable }).pipe(Effect.merge)
    const network = yield* Effect.try({
      try: () => Fault.fromNetwork(thrown),
      catch: () => Option.none<Fault.Fault>()
    }).pipe(Effect.merge)
    const error = new ToolError.ToolDefect({ correlationId: id, ...described })
    yield* Effect.logError(`Tool ${definition.name} crashed`, described.detail).pipe(
      Effect.annotateLogs({ tool: definition.name, correlationId: id })
    )
    const failed = of(error, definition)
    return Option.match(network, {
      onNone: () => failed,
      onSome: (fault) => ({ error, fault: { ...fault, tookEffect: ofWork(definition, fault.tookEffect) } })
    })
  })

/**
 * Turns whatever a handler ended with into one failed attempt. A typed failure stays what it is; a defect is logged
 * and named; an interruption that nobody asked for is the handler's own and counts as a defect.
 */
export const fromCause = (definition: Tool.Definition, cause: Cause.Cause<unknown>): Effect.Effect<Failed> => {
  const died = Cause.dieOption(cause)
  if (Option.isSome(died)) return fromThrown(definition, died.value)
  const failure = Cause.failureOption(cause)
  if (Option.isSome(failure)) {
    return Effect.sync((): Failed => ({
      error: ToolError.toolFailure(failure.value),
      fault: classified(definition, failure.value)
    })).pipe(Effect.catchAllDefect((thrown) => fromThrown(definition, thrown)))
  }
  return fromThrown(definition, new Error("The handler interrupted itself"))
}

/** What there is to be said of an exit: nothing where it was interrupted or died. */
export const settled = <A>(exit: Exit.Exit<A, Failed>): A | Failed | undefined =>
  Exit.isSuccess(exit) ? exit.value : Option.getOrUndefined(Cause.failureOption(exit.cause))

/** An output that cannot be used, with its details in the log. */
export const invalidOutput = (
  definition: Tool.Definition,
  issues: ReadonlyArray<ToolError.Issue>
): Effect.Effect<Failed> =>
  Effect.gen(function* () {
    const id = yield* correlationId
    const error = new ToolError.InvalidOutput({ correlationId: id, issues })
    yield* Effect.logError(`Tool ${definition.name} gave an unusable output`, error.message).pipe(
      Effect.annotateLogs({ tool: definition.name, correlationId: id })
    )
    return of(error, definition)
  })
