/** Key-value stores that do something else now and then, and the journal's store over them. */
import type * as PlatformError from "@effect/platform/Error"
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Journal from "../../src/services/Journal.ts"
import { built } from "./world.ts"

export type Keys = KeyValueStore.KeyValueStore

export const connect = (keys: Keys, retention?: Journal.Retention) =>
  built(Layer.provide(Journal.layerStoreKeyValueStore(retention), Layer.succeed(KeyValueStore.KeyValueStore, keys)))

/** Does something else instead of the changes that `instead` picks. */
export const interfering = (
  keys: Keys,
  instead: (
    key: string,
    text: string | undefined,
    change: Effect.Effect<void, PlatformError.PlatformError>
  ) => Effect.Effect<void, PlatformError.PlatformError>
): Keys => ({
  ...keys,
  set: (key, text) => Effect.suspend(() => instead(key, String(text), keys.set(key, text))),
  remove: (key) => Effect.suspend(() => instead(key, undefined, keys.remove(key)))
})

export const silence: Effect.Effect<never> = Effect.async(() => {})

export const age = Duration.days(1)

export const isChunk = (key: string) => /\.\d+$/.test(key) && !isSlot(key)

/** An entry of the catalogue. */
export const isSlot = (key: string) => key.includes("/slot.")

/** Without it, a log is not there. */
export const isHead = (key: string) => /\/[0-9a-f]{64}$/.test(key)
