/** Handlers that bring an environment of their own: that of the layer they were made in. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Tool from "../Tool.ts"

type AnyHandler = Tool.Handler<never, unknown, unknown>

interface Given {
  /** The handler as it was written. */
  readonly handler: Tool.Handler<never, unknown, unknown, unknown>
  readonly environment: Context.Context<never>
}

const given = new WeakMap<object, Given>()

/** Gives a handler what it needs, over what there is in the environment it is called in. */
export const provide = <Input, Output, Failure, R>(
  handler: Tool.Handler<Input, Output, Failure, R>,
  environment: Context.Context<R>
): Tool.Handler<Input, Output, Failure> => {
  const { reconcile } = handler
  const call = (input: Input, call: Tool.Call) => Effect.provide(handler(input, call), environment)
  const provided: Tool.Handler<Input, Output, Failure> =
    reconcile === undefined
      ? call
      : Object.assign(call, {
          reconcile: (input: Input, call: Tool.Call) => Effect.provide(reconcile(input, call), environment)
        })
  // Which types they have is told by the function they are kept for.
  given.set(provided, { handler, environment } as unknown as Given)
  return provided
}

/**
 * The handler as it was written, and the environment it is to be run in. To run a whole fiber in it is cheaper than to
 * provide it to every call.
 */
export const unprovided = (
  handler: AnyHandler,
  environment: Context.Context<never>
): { readonly handler: AnyHandler; readonly environment: Context.Context<never> } => {
  const found = given.get(handler)
  return found === undefined
    ? { handler, environment }
    : // What it needs is in its own environment.
      { handler: found.handler as AnyHandler, environment: Context.merge(environment, found.environment) }
}
