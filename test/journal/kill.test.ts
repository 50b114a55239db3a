import { describe, it } from "@effect/vitest"
import * as NodeKeyValueStore from "@effect/platform-node/NodeKeyValueStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Journal from "../../src/services/Journal.ts"
import { bundle } from "../bundle.ts"
import { killAndLook, kills, script } from "./kill.ts"

const program = bundle(script)

describe("a process that is killed while it writes to files", () => {
  it.scopedLive(
    `loses nothing that it acknowledged, and invents nothing (${kills} times)`,
    () =>
      Effect.gen(function* () {
        const folder = yield* Effect.acquireRelease(
          Effect.promise(() => mkdtemp(join(tmpdir(), "salvo-journal-"))),
          (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
        )
        const journal = Layer.provide(
          Journal.layerKeyValueStore({ timeout: "1 minute" }),
          Layer.orDie(NodeKeyValueStore.layerFileSystem(folder))
        )
        const open = (log: string) =>
          Effect.flatMap(Journal.Journal, ({ open }) => open(log)).pipe(
            Effect.scoped,
            Effect.provide(Layer.fresh(journal)),
            // It warns of each record that is torn.
            Logger.withMinimumLogLevel(LogLevel.Error)
          )
        yield* killAndLook(program, folder, open)
      }),
    30_000 + 20_000 * kills
  )
})
