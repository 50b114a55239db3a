/** Runs the agent as it was asked for, and tells what came of it. */
import { createServer } from "node:http"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Anthropic from "../adapters/Anthropic.ts"
import { MessagesServer } from "../testing/index.ts"
import type { Settings } from "./commandLine.ts"
import * as Failure from "./failure.ts"
import * as Kept from "./kept.ts"
import * as Live from "./live.ts"
import * as Naive from "./naive.ts"
import { held, type RunOutcome } from "./Outcome.ts"
import * as Picture from "./picture.ts"
import * as Safe from "./safe.ts"
import { prompt, script } from "./script.ts"
import * as Tools from "./tools.ts"
import * as View from "./view.ts"
import * as Refunds from "./world/Refunds.ts"
import * as World from "./world/World.ts"

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
const play = (
  mode: Mode,
  live: boolean,
  onTurn: (turn: Turn) => Effect.Effect<void>,
  kept: Kept.Kept | undefined = undefined
) =>
  Effect.gen(function* () {
    const { ledger } = yield* World.World
    const server = yield* MessagesServer.MessagesServer
    const done = yield* mode === "safe" ? Safe.run(onTurn, kept) : Naive.run(onTurn)
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
        Layer.provideMerge(
          Layer.mergeAll(World.layerWith(kept?.refunds ?? Refunds.fresh), Server, NodeHttpClient.layerUndici)
        )
      )
    )
  )

/** As it happens, a turn at a time. */
const announced = (
  mode: Mode,
  live: boolean,
  turns: Ref.Ref<number>,
  kept: Kept.Kept | undefined,
  killsItself: boolean
) =>
  Effect.scoped(
    Effect.gen(function* () {
      yield* Console.log(`${prompt}\n`)
      if (killsItself) yield* Console.log("(Kills itself once the refund is paid. Go on then with --resume.)\n")
      const clear = yield* Live.show
      const onTurn = (turn: Turn) =>
        Effect.gen(function* () {
          yield* clear
          const number = yield* Ref.updateAndGet(turns, (n) => n + 1)
          yield* Console.log(`\n${View.turn(number, turn)}\n`)
        })
      return yield* play(mode, live, onTurn, kept)
    })
  )

const titles: Readonly<Record<Mode, string>> = {
  safe: "Order 1007, on Salvo",
  naive: "Order 1007, on Promise.all with a blanket retry"
}

/** Gives the exit code, and counts the turns that were completed. */
export const run = ({ json, kept: asked, live, naive, timeline }: Settings, turns: Ref.Ref<number>) =>
  Effect.gen(function* () {
    const mode = naive ? "naive" : "safe"
    const kept = asked === undefined ? undefined : yield* Kept.open(asked)
    const running = json
      ? play(mode, live, () => Ref.update(turns, (n) => n + 1), kept)
      : announced(mode, live, turns, kept, asked?.killAfterRefund ?? false)
    const outcome = yield* timeline === undefined ? running : Picture.of(running, timeline, titles[mode])
    if (json) {
      yield* Console.log(JSON.stringify(outcome, undefined, 2))
    } else {
      yield* Console.log(`Answer: ${outcome.answer}\n`)
      if (outcome.kept !== undefined) {
        yield* Console.log(View.resumed(outcome, outcome.kept))
        return held(outcome) ? Failure.ok : Failure.broken
      }
      const other = live ? [] : [yield* play(naive ? "safe" : "naive", live, () => Effect.void)]
      yield* Console.log(View.comparison([outcome, ...other]))
    }
    return held(outcome) ? Failure.ok : Failure.broken
  })
