/**
 * A tool: an Effect service with input, output and failure schemas, and a word on what it does to the world.
 *
 * `Tool.Service` makes a class whose service is the handler, so a tool is called directly (`yield* GetWeather`),
 * mocked with `Layer.succeed`, and a missing implementation does not compile. `Tool.dynamic` makes one from JSON
 * Schema, for tools known only at run time.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Types from "effect/Types"
import type * as Fault from "./Fault.ts"
import { inputSchema, type JsonSchema } from "./internal/jsonSchema.ts"
import { provide } from "./internal/provided.ts"
import { checkBasics, common, decoder, encoder, symbol, variance, withIssues } from "./internal/toolBasics.ts"
import type { Issue } from "./ToolError.ts"
import type * as Policy from "./policies/Policy.ts"

export {
  /**
   * A wrong definition of a tool, toolbox or policy.
   *
   * @since 0.1.0
   * @category errors
   */
  InvalidDefinition
} from "./internal/definition.ts"
export {
  /**
   * Builds a rich answer from blocks.
   *
   * @since 0.1.0
   * @category content
   */
  content,
  /**
   * The output schema of a tool that answers with blocks.
   *
   * @since 0.1.0
   * @category content
   */
  Content,
  /**
   * An image block.
   *
   * @since 0.1.0
   * @category content
   */
  image,
  /**
   * A text block.
   *
   * @since 0.1.0
   * @category content
   */
  text
} from "./Content.ts"

/**
 * @since 0.1.0
 * @category type ids
 */
export const TypeId: typeof symbol = symbol

/**
 * @since 0.1.0
 * @category type ids
 */
export type TypeId = typeof TypeId

/**
 * What a tool does to the world, which decides when a call may be repeated:
 *
 * - `read`: nothing; it may run again at any time.
 * - `idempotent`: something, but twice is the same as once.
 * - `write`: something, every time. Repeated only after a failure that certainly did not take effect.
 *
 * @since 0.1.0
 * @category models
 */
export type Effects = "read" | "idempotent" | "write"

/**
 * What a handler is told about the call it serves.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  /** The id the model gave the call. */
  readonly id: string
  /** 1 for the first execution, 2 for the first retry, and so on. */
  readonly attempt: number
  /** The same for every attempt of this call, and different for every other call. */
  readonly idempotencyKey: string
  /** The outputs of the calls this one depends on, by call id. */
  readonly dependencies: ReadonlyMap<string, unknown>
  /** Says that work goes on: restarts the idle deadline, and is seen in the events with its note. */
  readonly progress: (note?: string) => Effect.Effect<void>
}

/**
 * Does the work of a tool. Interrupting its fiber is the cancellation; `Effect.tryPromise` hands Promise code an
 * `AbortSignal`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handler<in Input, out Output, out Failure, out R = never> {
  (input: Input, call: Call): Effect.Effect<Output, Failure, R>
  /** See `withReconcile`. */
  readonly reconcile?: Reconcile<Input, Output, R> | undefined
}

/**
 * Finds out what became of a call that may have been carried out, by its `idempotencyKey` as a rule: the output if it
 * was, none if it was not. Where it fails, nobody knows.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reconcile<in Input, out Output, out R = never> {
  (input: Input, call: Call): Effect.Effect<Option.Option<Output>, unknown, R>
}

/**
 * What is known of a tool without its implementation.
 *
 * @since 0.1.0
 * @category models
 */
export interface Definition<out Name extends string = string> {
  readonly name: Name
  readonly description: string
  /** JSON Schema 2020-12 of the input, as the model is given it. */
  readonly inputSchema: JsonSchema
  readonly effects: Effects
  readonly policy: Policy.ToolPolicy<never, unknown>
  /** What a call uses that only one call may use at a time; none where it uses no such thing. */
  readonly resource: (input: unknown) => string | undefined
  /** The name of the tool the model may use instead while this one's circuit is open. */
  readonly alternative: string | undefined
  /** The names of the tools all of whose calls in a batch have to succeed before one of this tool starts. */
  readonly after: ReadonlyArray<string>
  /** Whether, or for which tools, a call runs although one that it waits for did not succeed. */
  readonly tolerates: boolean | ReadonlyArray<string>
  /** Whether a call of a `read` tool may start before the model's turn is complete. */
  readonly earlyStart: boolean
  readonly failure: Schema.Schema<unknown, unknown>
  readonly output: Schema.Schema<unknown, unknown>
  /** From what the model wrote to what the handler takes. */
  readonly decode: (
    input: object
  ) => Either.Either<unknown, ReadonlyArray<Issue>> | Effect.Effect<unknown, ReadonlyArray<Issue>>
  /** From what the handler answered to a JSON value. */
  readonly encode: (
    output: unknown
  ) => Either.Either<unknown, ReadonlyArray<Issue>> | Effect.Effect<unknown, ReadonlyArray<Issue>>
  /** The fault of a typed failure; none where the tool does not say. */
  readonly classify: (failure: unknown) => Fault.Fault | undefined
  /** What the model reads of a typed failure; none where the tool does not say. */
  readonly describe: (failure: unknown) => string | undefined
}

/**
 * Any tool: a name, the types of its input, output and failure, and what its handler needs (`R`).
 *
 * @since 0.1.0
 * @category models
 */
export interface Tool<
  out Name extends string = string,
  out Input = unknown,
  out Output = unknown,
  out Failure = unknown,
  out R = unknown
> {
  readonly [TypeId]: {
    readonly _Input: Types.Covariant<Input>
    readonly _Output: Types.Covariant<Output>
    readonly _Failure: Types.Covariant<Failure>
    readonly _R: Types.Covariant<R>
  }
  readonly definition: Definition<Name>
  /** Finds the handler in an environment. */
  readonly handler: (context: Context.Context<never>) => Option.Option<Handler<never, unknown, unknown>>
}

/**
 * @since 0.1.0
 * @category type helpers
 */
export type Name<T extends Tool> = T["definition"]["name"]

/**
 * @since 0.1.0
 * @category type helpers
 */
export type Input<T extends Tool> = Types.Covariant.Type<T[TypeId]["_Input"]>

/**
 * @since 0.1.0
 * @category type helpers
 */
export type Output<T extends Tool> = Types.Covariant.Type<T[TypeId]["_Output"]>

/**
 * @since 0.1.0
 * @category type helpers
 */
export type Failure<T extends Tool> = Types.Covariant.Type<T[TypeId]["_Failure"]>

/**
 * What has to be provided to run the tool: its own tag, or what a dynamic tool's handler needs.
 *
 * @since 0.1.0
 * @category type helpers
 */
export type Requirements<T extends Tool> = Types.Covariant.Type<T[TypeId]["_R"]>

/**
 * The class `Tool.Service` makes: the tag of the handler, and the tool. `R` is what a tool needs that answers instead of
 * it (`fallback: { tool }`).
 *
 * @since 0.1.0
 * @category models
 */
export interface ServiceClass<Self, Name extends string, Input, Output, Failure, R = never>
  extends
    Context.TagClass<Self, `salvo/Tool/${Name}`, Handler<Input, Output, Failure>>,
    Tool<Name, Input, Output, Failure, Self | R> {
  /** Implements the tool. What the handler needs becomes the layer's requirement. */
  readonly layer: <R = never>(handler: Handler<Input, Output, Failure, R>) => Layer.Layer<Self, never, R>
  /** Implements the tool with a handler that takes some work to make, in a scope that lasts as long as the layer. */
  readonly layerEffect: <E, R, R2 = never>(
    handler: Effect.Effect<Handler<Input, Output, Failure, R2>, E, R>
  ) => Layer.Layer<Self, E, Exclude<R, Scope.Scope> | R2>
}

/**
 * What may be said of any tool.
 *
 * @since 0.1.0
 * @category models
 */
export interface CommonOptions<in Input> {
  /** What the tool does and when to use it, for the model. */
  readonly description: string
  readonly effects: Effects
  /**
   * What a call uses that only one call may use at a time (a file, an account): calls with the same key run one after
   * the other, in call order, over all tools and batches of a `ToolRunner`. Default: nothing.
   */
  readonly resource?: ((input: Input) => string | undefined) | undefined
  /** The name of the tool the model may use instead while this one's circuit is open. Default: none. */
  readonly alternative?: string | undefined
  /** Tools all of whose calls in a batch have to succeed before a call of this one starts. Default: none. */
  readonly after?: ReadonlyArray<Tool> | undefined
  /**
   * Whether a call runs although one that it waits for (by `after` or `dependsOn`) did not succeed, with what outputs
   * there are: for all tools, or for these. A value that a reference points to cannot be done without. Default: false.
   */
  readonly tolerates?: boolean | ReadonlyArray<Tool> | undefined
  /**
   * Whether an `Agent` may start a call of a `read` tool while the model's turn is still streaming; without meaning for
   * other tools. Default: true.
   */
  readonly earlyStart?: boolean | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<
  Input,
  InputEncoded,
  Output,
  OutputEncoded,
  Failure,
  FailureEncoded,
  R = unknown
> extends CommonOptions<Input> {
  /** A schema of one object: the model calls tools with named arguments. */
  readonly input: Schema.Schema<Input, InputEncoded>
  /** What the model is answered, once encoded. `Tool.Content` for images and documents. */
  readonly output: Schema.Schema<Output, OutputEncoded>
  /** The typed failure. Default: none. */
  readonly failure?: Schema.Schema<Failure, FailureEncoded> | undefined
  readonly policy?: Policy.ToolPolicy<Input, Output, R> | undefined
  /**
   * Who is to blame for a failure, whether it may be tried again and after how long. Default: network trouble by its
   * cause chain; any other failure is transient and may have taken effect, so that `read` and `idempotent` tools are
   * tried again and a `write` is not.
   */
  readonly classify?: ((failure: Failure) => Fault.Fault) | undefined
  /** What the model reads of a failure. Default: its tag and plain fields, without causes and secrets. */
  readonly describe?: ((failure: Failure) => string) | undefined
}

/**
 * A handler that can find out what became of a call whose execution was cut off by a crash. A resumed batch asks it
 * instead of telling the model `OutcomeUnknown`: with an output the call has succeeded, with none it is run. For `write`
 * tools; calls of others are simply run again. It may take as long as an attempt.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withReconcile = <Input, Output, Failure, R = never, R2 = never>(
  handler: (input: Input, call: Call) => Effect.Effect<Output, Failure, R>,
  reconcile: Reconcile<Input, Output, R2>
): Handler<Input, Output, Failure, R | R2> =>
  // Not on the given function itself, which others may use as well.
  Object.assign((input: Input, call: Call) => handler(input, call), { reconcile })

/**
 * Makes the class of a tool. Throws `InvalidDefinition` where the definition is wrong.
 *
 * @example
 * import * as Schema from "effect/Schema"
 * import { Tool } from "salvo"
 *
 * class GetWeather extends Tool.Service<GetWeather>()("get_weather", {
 *   description: "Current weather of a city",
 *   input: Schema.Struct({ city: Schema.NonEmptyString }),
 *   output: Schema.Struct({ celsius: Schema.Number }),
 *   effects: "read"
 * }) {}
 *
 * @since 0.1.0
 * @category constructors
 */
export const Service =
  <Self>() =>
  <
    const Name extends string,
    Input,
    InputEncoded,
    Output,
    OutputEncoded,
    Failure = never,
    FailureEncoded = never,
    R = never
  >(
    name: Name,
    options: Options<Input, InputEncoded, Output, OutputEncoded, Failure, FailureEncoded, R>
  ): ServiceClass<Self, Name, Input, Output, Failure, R> => {
    const subject = checkBasics({ ...options, name })
    const tag = Context.Tag(`salvo/Tool/${name}`)<Self, Handler<Input, Output, Failure>>()
    const decode = decoder(options.input)
    const encode = encoder(options.output)
    const definition: Definition<Name> = {
      name,
      inputSchema: inputSchema(options.input, subject),
      policy: options.policy ?? {},
      ...common(options),
      // The runner only ever pairs these schemas with values of this very tool.
      failure: (options.failure ?? Schema.Never) as Schema.Schema<unknown, unknown>,
      output: options.output as Schema.Schema<unknown, unknown>,
      decode: (input) => withIssues(decode(input)),
      encode: (output) => withIssues(encode(output)),
      classify: (failure) => options.classify?.(failure as Failure),
      describe: (failure) => options.describe?.(failure as Failure)
    }
    const layerEffect = <E, R, R2 = never>(make: Effect.Effect<Handler<Input, Output, Failure, R2>, E, R>) =>
      // The environment of the layer, without the scope that the handler is made in.
      Layer.flatMap(Layer.context<R2>(), (context) =>
        Layer.scoped(
          tag,
          Effect.map(make, (handler) => provide(handler, context))
        )
      )
    return Object.assign(tag, {
      [TypeId]: variance,
      definition,
      handler: (context: Context.Context<never>) => Context.getOption(context, tag),
      layerEffect,
      layer: <R = never>(handler: Handler<Input, Output, Failure, R>) =>
        layerEffect<never, never, R>(Effect.succeed(handler))
    }) as unknown as ServiceClass<Self, Name, Input, Output, Failure, R> // `variance` carries types, no values.
  }

export {
  /**
   * Makes a tool that is known only at run time (MCP, a database of tools). Its inputs are validated by `ajv`, an
   * optional peer that is loaded on first use. Fails with `InvalidDefinition` where the definition or its JSON Schema
   * is wrong.
   *
   * @since 0.1.0
   * @category constructors
   */
  dynamic,
  /**
   * @since 0.1.0
   * @category models
   */
  type DynamicOptions
} from "./internal/dynamicTool.ts"
