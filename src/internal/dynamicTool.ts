/** Tools that are known only at run time. `Tool` exports and documents them. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Fault from "../Fault.ts"
import type * as Policy from "../policies/Policy.ts"
import type * as Tool from "../Tool.ts"
import type { InvalidDefinition } from "./definition.ts"
import * as Dynamic from "./dynamic.ts"
import type { JsonSchema } from "./jsonSchema.ts"
import { checkBasics, common, symbol, variance } from "./toolBasics.ts"

type Input = Readonly<Record<string, unknown>>

/**
 * @since 0.1.0
 * @category models
 */
export interface DynamicOptions<out Name extends string, out Failure, out R> extends Tool.CommonOptions<Input> {
  readonly name: Name
  /** JSON Schema of one object: 2020-12, or draft-07 where its `$schema` says so. */
  readonly inputSchema: JsonSchema
  /** Answers with any JSON value, or with `Tool.content`. */
  readonly handler: Tool.Handler<Input, unknown, Failure, R>
  readonly policy?: Policy.ToolPolicy<Input, unknown> | undefined
  /** As for any tool: who is to blame for a failure, and whether it may be tried again. */
  readonly classify?: ((failure: unknown) => Fault.Fault) | undefined
  /** What the model reads of a failure. */
  readonly describe?: ((failure: unknown) => string) | undefined
}

/**
 * Makes a tool that is known only at run time (MCP, a database of tools). Its inputs are validated by `ajv`, an
 * optional peer that is loaded on first use. Fails with `InvalidDefinition` where the definition or its JSON Schema
 * is wrong.
 *
 * @since 0.1.0
 * @category constructors
 */
export const dynamic = <const Name extends string, Failure = never, R = never>(
  options: DynamicOptions<Name, Failure, R>
): Effect.Effect<Tool.Tool<Name, Input, unknown, Failure, R>, InvalidDefinition> =>
  Effect.gen(function* () {
    const subject = yield* Effect.try({
      try: () => checkBasics(options),
      // `checkBasics` throws nothing else.
      catch: (error) => error as InvalidDefinition
    })
    const validate = yield* Dynamic.validator(options.inputSchema, subject)
    const { $schema: _, ...shown } = options.inputSchema
    const definition: Tool.Definition<Name> = {
      ...common(options),
      name: options.name,
      inputSchema: shown,
      policy: options.policy ?? {},
      failure: Schema.Unknown,
      output: Schema.Unknown,
      decode: validate,
      encode: Either.right,
      classify: (failure) => options.classify?.(failure),
      describe: (failure) => options.describe?.(failure)
    }
    return {
      [symbol]: variance,
      definition,
      handler: () => Option.some(options.handler)
      // `variance` carries types, no values.
    } as unknown as Tool.Tool<Name, Input, unknown, Failure, R>
  })
