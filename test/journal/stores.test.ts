import * as NodeKeyValueStore from "@effect/platform-node/NodeKeyValueStore"
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Journal from "../../src/services/Journal.ts"
import { contract } from "./contract.ts"
import { built, openMap, type Store } from "./world.ts"

const virtual = { advance: TestClock.adjust, age: 100_000, keepsOpen: true, operations: 300 } as const

contract({
  ...virtual,
  name: "memory",
  // There are no others who could share it.
  place: Effect.sync(() => {
    let store: Store | undefined
    return (retention) =>
      Effect.gen(function* () {
        store ??= yield* built(Journal.layerStoreMemory(retention))
        return store
      })
  })
})

contract({
  ...virtual,
  name: "a key-value store in memory",
  place: Effect.sync(() => {
    const kept = Layer.succeed(KeyValueStore.KeyValueStore, openMap().store)
    return (retention) => built(Layer.provide(Journal.layerStoreKeyValueStore(retention), kept))
  })
})

contract({
  ...virtual,
  name: "files",
  operations: 60,
  place: Effect.map(
    Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "salvo-journal-"))),
      (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
    ),
    (folder) => (retention) =>
      built(
        Layer.provide(
          Journal.layerStoreKeyValueStore(retention),
          Layer.orDie(NodeKeyValueStore.layerFileSystem(folder))
        )
      )
  )
})
