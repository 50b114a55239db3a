/** Texts under the keys of a key-value store, and what they are called. */
import type { PlatformError } from "@effect/platform/Error"
import type * as KeyValueStore from "@effect/platform/KeyValueStore"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"

export interface Texts {
  readonly get: (key: string) => Effect.Effect<Option.Option<string>, PlatformError>
  readonly has: (key: string) => Effect.Effect<boolean, PlatformError>
  readonly set: (key: string, text: string) => Effect.Effect<void, PlatformError>
  /** Also where there is none. */
  readonly remove: (key: string) => Effect.Effect<void, PlatformError>
}

const prefix = "salvo/journal/"

export const texts = (store: KeyValueStore.KeyValueStore): Texts => ({
  get: (key) => store.get(prefix + key),
  has: (key) => store.has(prefix + key),
  set: (key, text) => store.set(prefix + key, text),
  remove: (key) =>
    Effect.catchIf(
      store.remove(prefix + key),
      (error) => error._tag === "SystemError" && error.reason === "NotFound",
      () => Effect.void
    )
})

/** One life of a log: once it was removed it begins again as another. */
export interface Life {
  /** What the log is called in keys: file systems know no long names, and some neither case nor `:`. */
  readonly id: string
  readonly token: string
}

/** Says which life of a log is the present one. Written once: where there is none, the log is not there. */
export const head = (id: string) => id
export const chunk = ({ id, token }: Life, n: number) => `${id}.${token}.${n}`
export const used = ({ id, token }: Life) => `${id}.${token}.used`
export const slot = (n: number) => `slot.${n}`

const codec = <A, I>(schema: Schema.Schema<A, I>) => {
  const json = Schema.parseJson(schema)
  return { encode: Schema.encodeSync(json), decode: Schema.decodeOption(json) }
}

/** Any version of it, and the version it is written in. */
const Version = Schema.Literal(1)

export const Head = codec(
  Schema.Struct({
    salvo: Version,
    token: Schema.String,
    /** Milliseconds of the wall clock, when it began. */
    at: Schema.Number,
    /** Where it is entered in the catalogue, unless it has been moved. */
    slot: Schema.NonNegativeInt
  })
)

export const Used = codec(Schema.Struct({ at: Schema.Number }))

export const Entry = codec(Schema.Struct({ id: Schema.String, token: Schema.String, at: Schema.Number }))

/** Whether a text may be the beginning of a JSON object, written by a process that was killed. */
export const isTorn = (text: string) => text === "" || (text.startsWith("{") && !text.endsWith("}"))

/** An entry of the catalogue: a life of a log, and when it began. */
export interface Entry extends Life {
  readonly at: number
}
