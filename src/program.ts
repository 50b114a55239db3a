/**
 * `npm start`: a support agent handles order 1007. Its tools meet a dropped connection, a service that never answers,
 * a process that fails and a refund whose outcome is unknown. Shows what became of each call, and what the same turn
 * costs on plain `Promise.all`.
 */
import { createServer } from "node:http"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as ConfigError from "effect/ConfigError"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Anthropic from "./adapters/Anthropic.ts"
import { BatchEvents, ToolRunner } from "./index.ts"
import * as Live from "./program/live.ts"
import * as Naive from "./program/naive.ts"
import { held, type RunOutcome } from "./program/Outcome.ts"
import * as Safe from "./program/safe.ts"
import { prompt, script } from "./program/script.ts"
import * as Tools from "./program/tools.ts"
import * as View from "./program/view.ts"
import * as World from "./program/world/World.ts"
import { MessagesServer } from "./testing/index.ts"

type Mode = RunOutcome["mode"]
type Turn = RunOutcome["turns"][number]

const Server = MessagesServer.layer(script).pipe(
  Layer.provide(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" }))
)

const EmbeddedModel = Layer.unwrapEffect(
  Effect.map(MessagesServer.MessagesServer, ({ url }) =>
    Anthropic.layer({ apiKey: Redacted.make("embedded"), baseURL: url })
  )
)

/** One way of running the tools, in a world of its own. */
const play = (mode: Mode, live: boolean, onTurn: (turn: Turn) => Effect.Effect<void>) =>
  Effect.gen(function* () {
    const { ledger } = yield* World.World
    const server = yield* MessagesServer.MessagesServer
    const done = yield* mode === "safe" ? Safe.run(onTurn) : Naive.run(onTurn)
    const refunds = (yield* ledger.entries).length
    const refused = (yield* server.rejections).length
    const outcome: RunOutcome = {
      mode,
      model: live ? "live" : "embedded",
      ...done,
      ledger: { refunds },
      refused
    }
    return outcome
  }).pipe(
    Effect.provide(
      Tools.layer.pipe(
        Layer.provideMerge(live ? Anthropic.layerConfig() : EmbeddedModel),
        Layer.provideMerge(Layer.mergeAll(World.layer, Server, NodeHttpClient.layerUndici))
      )
    )
  )

const announced = (mode: Mode, live: boolean, quiet: boolean) =>
  Effect.scoped(
    Effect.gen(function* () {
      if (quiet) return yield* play(mode, live, () => Effect.void)
      yield* Console.log(`${prompt}\n`)
      const clear = yield* Live.show
      let turns = 0
      const onTurn = (turn: Turn) =>
        Effect.zipRight(
          clear,
          Effect.suspend(() => Console.log(`\n${View.turn(++turns, turn)}\n`))
        )
      return yield* play(mode, live, onTurn).pipe(
        Effect.onInterrupt(() =>
          Effect.suspend(() => Console.error(`\nInterrupted after ${turns} turn${turns === 1 ? "" : "s"}.`))
        )
      )
    })
  )

const main = ({ json, live, naive }: { readonly json: boolean; readonly live: boolean; readonly naive: boolean }) =>
  Effect.gen(function* () {
    const mode = naive ? "naive" : "safe"
    const outcome = yield* announced(mode, live, json)
    if (json) {
      yield* Console.log(JSON.stringify(outcome, undefined, 2))
    } else {
      yield* Console.log(`Answer: ${outcome.answer}\n`)
      const other = live ? [] : [yield* announced(naive ? "safe" : "naive", live, true)]
      yield* Console.log(View.comparison([outcome, ...other]))
    }
    return held(outcome) ? 0 : 1
  })

const flag = (name: string, description: string) => Options.boolean(name).pipe(Options.withDescription(description))

const run = Command.run(
  Command.make(
    "salvo",
    {
      live: flag("live", "Ask the real API; needs ANTHROPIC_API_KEY. Otherwise an embedded server plays the model."),
      naive: flag("naive", "Run the tools on plain Promise.all with a blanket retry instead."),
      json: flag("json", "Print one JSON document at the end, and nothing else.")
    },
    (options) =>
      Effect.map(main(options), (code) => {
        process.exitCode = code
      })
  ),
  { name: "salvo", version: "0.1.0" }
)

// Standard output is the program's own; what goes wrong inside is told beside it.
const StderrLogger = Logger.replace(Logger.defaultLogger, Logger.withConsoleError(Logger.logfmtLogger))

/** What a shell expects of a program that was ended by Ctrl-C. */
const interrupted = 130

const failed = (message: string) =>
  Effect.zipRight(
    Console.error(message),
    Effect.sync(() => {
      process.exitCode = 1
    })
  )

run(process.argv).pipe(
  Effect.catchTags({
    ModelError: (error) => failed(error.message),
    ServeError: (error) => failed(`A local server could not start: ${String(error.cause)}`)
  }),
  Effect.catchIf(ConfigError.isConfigError, () =>
    failed("--live needs a key for the real API in ANTHROPIC_API_KEY. Without --live no key is needed.")
  ),
  // The command line has explained itself already.
  Effect.catchIf(ValidationError.isValidationError, () => failed("See --help.")),
  Effect.provide(Layer.mergeAll(NodeContext.layer, BatchEvents.layer, ToolRunner.layer, StderrLogger)),
  NodeRuntime.runMain({
    disablePrettyLogger: true,
    teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? 0 : Cause.isInterruptedOnly(exit.cause) ? interrupted : 1)
  })
)
