/** What all kinds of tools have in common: how they are checked, and what their definitions take over. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Policy from "../policies/Policy.ts"
import type * as Tool from "../Tool.ts"
import type { Issue } from "../ToolError.ts"
import { InvalidDefinition, kindOf } from "./definition.ts"

/** Marks tools. */
export const symbol: unique symbol = Symbol.for("salvo/Tool")

/** Carries the types of a tool, no values. */
export const variance = {
  _Input: (_: never) => _,
  _Output: (_: never) => _,
  _Failure: (_: never) => _,
  _R: (_: never) => _
}

const namePattern = /^[a-zA-Z0-9_-]{1,64}$/
const effectsKinds = new Set<unknown>(["read", "idempotent", "write"])

const isTools = (u: unknown): boolean =>
  Array.isArray(u) && u.every((tool) => Predicate.hasProperty(tool, "definition"))

const refuse = (subject: string, field: string, actual: unknown, accepts: string): never => {
  throw new InvalidDefinition({ subject, field, actual: kindOf(actual), accepts })
}

/** Throws `InvalidDefinition` for the first thing that is wrong; gives the name errors call the tool by. */
export const checkBasics = (options: {
  readonly name: string
  readonly description: string
  readonly effects: Tool.Effects
  readonly policy?: Policy.ToolPolicy<never, unknown> | undefined
  readonly resource?: unknown
  readonly alternative?: unknown
  readonly earlyStart?: unknown
  readonly after?: unknown
  readonly tolerates?: unknown
}): string => {
  const subject = `Tool ${JSON.stringify(options.name)}`
  if (!namePattern.test(options.name)) {
    refuse(subject, "name", options.name, "1 to 64 letters, digits, underscores and hyphens")
  }
  if (typeof options.description !== "string") refuse(subject, "description", options.description, "a string")
  if (!effectsKinds.has(options.effects)) {
    refuse(subject, "effects", options.effects, '"read", "idempotent" or "write"')
  }
  const { after, alternative, earlyStart, effects, policy = {}, resource, tolerates } = options
  if (resource !== undefined && typeof resource !== "function") {
    refuse(subject, "resource", resource, "a function from the input to a key, or undefined")
  }
  if (alternative !== undefined && (typeof alternative !== "string" || !namePattern.test(alternative))) {
    refuse(subject, "alternative", alternative, "the name of another tool")
  }
  if (earlyStart !== undefined && typeof earlyStart !== "boolean") {
    refuse(subject, "earlyStart", earlyStart, "true, false or undefined")
  }
  if (after !== undefined && !isTools(after)) refuse(subject, "after", after, "an array of tools")
  if (tolerates !== undefined && typeof tolerates !== "boolean" && !isTools(tolerates)) {
    refuse(subject, "tolerates", tolerates, "true, false or an array of tools")
  }
  Policy.check(policy, subject)
  for (const field of ["hedge", "cache"] as const) {
    if (effects !== "read" && policy[field]) {
      refuse(
        subject,
        `policy.${field}`,
        policy[field],
        `nothing where effects is ${JSON.stringify(effects)}: only a "read" may run twice`
      )
    }
  }
  return subject
}

const namesOf = (tools: ReadonlyArray<Tool.Tool> = []): ReadonlyArray<string> =>
  tools.map((tool) => tool.definition.name)

/** What is taken over into the definition of any tool. */
export const common = <Input>(options: Tool.CommonOptions<Input>) => ({
  description: options.description,
  effects: options.effects,
  // The runner hands over only what the tool's own schema has decoded.
  resource: (input: unknown) => options.resource?.(input as Input),
  alternative: options.alternative,
  after: namesOf(options.after),
  tolerates: typeof options.tolerates === "boolean" ? options.tolerates : namesOf(options.tolerates),
  earlyStart: options.earlyStart ?? true
})

const isEither = <A, E>(u: Effect.Effect<A, E> | Either.Either<A, E>): u is Either.Either<A, E> => Either.isEither(u)

export const toIssues = (error: ParseResult.ParseIssue): ReadonlyArray<Issue> =>
  ParseResult.ArrayFormatter.formatIssueSync(error).map((issue) => ({
    path: issue.path.map((key) => (typeof key === "number" ? key : String(key))),
    message: issue.message
  }))

type Decoded<A, E> = Effect.Effect<A, E> | Either.Either<A, E>

type Parser<A> = (u: unknown) => Decoded<A, ParseResult.ParseIssue>

const options = { errors: "all" } as const

/**
 * What `decodeUnknown` and `encodeUnknown` pass on themselves, with options that they make anew for every value: that
 * takes several times as long as most values take to decode.
 */
const withEffects = { ...options, isEffectAllowed: true } as const

const takesTime = Schema.transformOrFail(Schema.String, Schema.String, {
  decode: () => Effect.never,
  encode: () => Effect.never
})

/** `isEffectAllowed` is Effect's own: whether it is still there. If not, schemas are asked as everybody asks them. */
const knowsEffects = !Either.isEither(ParseResult.decodeUnknownEither(takesTime, withEffects)(""))

export const decoder = <A, I>(schema: Schema.Schema<A, I>): Parser<A> =>
  knowsEffects ? ParseResult.decodeUnknownEither(schema, withEffects) : ParseResult.decodeUnknown(schema, options)

export const encoder = <A, I>(schema: Schema.Schema<A, I>): Parser<I> =>
  knowsEffects ? ParseResult.encodeUnknownEither(schema, withEffects) : ParseResult.encodeUnknown(schema, options)

/** With the issues as the runner tells them. Most schemas decode at once; keeping their `Either` saves a wait. */
export const withIssues = <A>(decoded: Decoded<A, ParseResult.ParseIssue>): Decoded<A, ReadonlyArray<Issue>> => {
  if (!isEither(decoded)) return Effect.mapError(decoded, toIssues)
  // A right one says nothing of issues.
  return Either.isRight(decoded) ? (decoded as Either.Either<A>) : Either.left(toIssues(decoded.left))
}
