/** Validation by JSON Schema, through `ajv`: an optional peer, so it is loaded when the first dynamic tool is made. */
import type { ErrorObject } from "ajv"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Issue } from "../ToolError.ts"
import { InvalidDefinition, kindOf } from "./definition.ts"
import type { JsonSchema } from "./jsonSchema.ts"

// One instance of a dialect for all tools: it takes 20 ms to make. It keeps nothing of the schemas it compiles.
const settings = {
  allErrors: true,
  strict: false,
  validateFormats: false,
  logger: false,
  addUsedSchema: false
} as const

const invalid = (subject: string, actual: string, accepts: string) =>
  new InvalidDefinition({ subject, field: "inputSchema", actual, accepts })

/** Made when it is first asked for, and again where that failed. */
const lazily = <A>(make: () => Promise<A>): (() => Promise<A>) => {
  let made: Promise<A> | undefined
  return () =>
    (made ??= make().catch((error: unknown) => {
      made = undefined
      throw error
    }))
}

const dialects = {
  draft07: lazily(async () => new (await import("ajv")).Ajv(settings)),
  draft2020: lazily(async () => new (await import("ajv/dist/2020.js")).Ajv2020(settings))
}

const loadAjv = (subject: string, draft07: boolean) =>
  Effect.tryPromise({
    try: draft07 ? dialects.draft07 : dialects.draft2020,
    catch: () =>
      invalid(subject, "JSON Schema, but the package ajv is not installed", "JSON Schema once `ajv` 8 is installed")
  })

const unescape = (segment: string) => segment.replaceAll("~1", "/").replaceAll("~0", "~")

const toIssue = (error: ErrorObject): Issue => {
  const extra: unknown = error.params["additionalProperty"]
  const allowed: unknown = error.params["allowedValues"]
  return {
    path: error.instancePath.split("/").slice(1).map(unescape),
    message:
      `${error.message ?? "is not valid"}` +
      (typeof extra === "string" ? ` (${JSON.stringify(extra)})` : "") +
      (Array.isArray(allowed) ? `: ${allowed.map((value) => JSON.stringify(value)).join(", ")}` : "")
  }
}

/** Compiles a JSON Schema into a check of inputs. */
export const validator = Effect.fnUntraced(function* (schema: JsonSchema, subject: string) {
  if (typeof schema !== "object" || schema === null || schema["type"] !== "object") {
    const actual = typeof schema === "object" && schema !== null ? `of type ${kindOf(schema["type"])}` : kindOf(schema)
    return yield* invalid(subject, actual, 'JSON Schema with "type": "object"')
  }
  const ajv = yield* loadAjv(subject, String(schema["$schema"]).includes("draft-07"))
  const validate = yield* Effect.try({
    try: () => {
      const copy = { ...schema }
      const compiled = ajv.compile(copy)
      ajv.removeSchema(copy)
      return compiled
    },
    catch: (error) => invalid(subject, `not valid JSON Schema (${String(error)})`, "valid JSON Schema")
  })
  return (input: object): Either.Either<unknown, ReadonlyArray<Issue>> =>
    validate(input) ? Either.right(input) : Either.left((validate.errors ?? []).map(toIssue))
})
