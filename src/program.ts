/**
 * `npm start`: a support agent handles order 1007. Its tools meet a dropped connection, a service that never answers,
 * a process that fails and a refund whose outcome is unknown. Shows what became of each call, and what the same turn
 * costs on plain `Promise.all`.
 */
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Ref from "effect/Ref"
import { BatchEvents, ToolRunner } from "./index.ts"
import * as CommandLine from "./program/commandLine.ts"
import * as Failure from "./program/failure.ts"
import * as Output from "./program/output.ts"
import { run } from "./program/run.ts"

/** What goes wrong becomes one line on standard error, and an exit code. */
const told = ({ code, message }: { readonly code: number; readonly message: string }) =>
  Effect.as(Console.error(message), code)

/** Gives the exit code. */
const program = Effect.gen(function* () {
  const console = yield* Console.consoleWith(Effect.succeed)
  const [code, turns] = [yield* Ref.make(Failure.ok), yield* Ref.make(0)]
  const command = CommandLine.command((settings) =>
    // From here on it is the program that speaks, not its command line.
    run(settings, turns).pipe(
      Effect.flatMap((ended) => Ref.set(code, ended)),
      Effect.withConsole(console)
    )
  )
  yield* Command.run(command, { name: "salvo", version: "0.1.0" })(process.argv).pipe(
    Effect.withConsole(Output.quietly(console)),
    Output.piped,
    Effect.onInterrupt(() =>
      Effect.flatMap(Ref.get(turns), (n) => Console.error(`\nInterrupted after ${n} turn${n === 1 ? "" : "s"}.`))
    )
  )
  return yield* Ref.get(code)
}).pipe(
  Effect.catchTags({
    Failure: told,
    ModelError: ({ message }) => told({ message, code: Failure.broken }),
    NoSuchConversation: ({ message }) => told({ message: `${message}.`, code: Failure.misused }),
    ConfigError: () => told({ message: "The environment is not as it has to be. See --help.", code: Failure.misused }),
    ServeError: ({ cause }) =>
      told({ message: `A local server could not start: ${String(cause)}`, code: Failure.broken })
  }),
  Effect.catchIf(ValidationError.isValidationError, (error) =>
    told({ message: CommandLine.explain(error), code: Failure.misused })
  )
)

// Standard output is the program's own; what goes wrong inside is told beside it.
const StderrLogger = Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))

const codeOf = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isSuccess(exit)) return typeof exit.value === "number" ? exit.value : Failure.ok
  return Cause.isInterruptedOnly(exit.cause) ? Failure.interrupted : Failure.broken
}

program.pipe(
  Effect.provide(
    Layer.mergeAll(
      NodeContext.layer,
      CliConfig.layer({ showBuiltIns: false }),
      BatchEvents.layer,
      ToolRunner.layer,
      StderrLogger
    )
  ),
  NodeRuntime.runMain({
    disablePrettyLogger: true,
    teardown: (exit, onExit) => onExit(codeOf(exit))
  })
)
