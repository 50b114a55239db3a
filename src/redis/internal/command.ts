/** One script as a command of the client: written at once, waited for no longer than the store may take. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import * as Schema from "effect/Schema"
import type { Service } from "../Redis.ts"

/** Redis did not answer in time, or not what was asked for. */
export class Unreachable extends Schema.TaggedError<Unreachable>("salvo/redis/Unreachable")("Unreachable", {
  cause: Schema.String,
  /** Whether the step may have been taken nevertheless. */
  sent: Schema.Boolean
}) {}

export interface Script {
  /** What the command is called on the client. */
  readonly name: string
  readonly numberOfKeys: number
  readonly lua: string
}

type Command = (...args: ReadonlyArray<string | number>) => Promise<unknown>

const commandOf = ({ client }: Service, { lua, name, numberOfKeys }: Script): Command => {
  if (!Reflect.has(client, name)) client.defineCommand(name, { numberOfKeys, lua })
  // `defineCommand` adds a method that no type tells of.
  const method = Reflect.get(client, name) as Command
  return (...args) => Reflect.apply(method, client, args)
}

/** A client that was never used connects with the first command. */
const isUsable = ({ client }: Service) => client.status === "ready" || client.status === "wait"

const firstLine = (text: string) => text.split("\n", 1)[0] ?? ""

/**
 * Writes to the connection when it is called, so that what is asked later is answered later too. The effect waits for
 * the reply, for `timeout` at most; it can be interrupted wherever it is run.
 */
export const make = (
  redis: Service,
  script: Script,
  timeout: Duration.Duration
): ((args: ReadonlyArray<string | number>) => Effect.Effect<unknown, Unreachable>) => {
  const run = commandOf(redis, script)
  return (args) => {
    if (!isUsable(redis)) return Effect.fail(new Unreachable({ cause: `it is ${redis.client.status}`, sent: false }))
    const reply = run(...args)
    // Nobody may be waiting any more when it fails.
    reply.catch(constVoid)
    return Effect.async<unknown, Unreachable>((resume) => {
      reply.then(
        (answer) => resume(Effect.succeed(answer)),
        (error: unknown) => resume(Effect.fail(new Unreachable({ cause: firstLine(String(error)), sent: true })))
      )
    }).pipe(
      Effect.interruptible,
      Effect.timeoutFail({
        duration: timeout,
        onTimeout: () => new Unreachable({ cause: "no answer in time", sent: true })
      })
    )
  }
}
