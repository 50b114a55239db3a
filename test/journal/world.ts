/** What the tests of the journal share. */
import * as KeyValueStore from "@effect/platform/KeyValueStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Journal from "../../src/services/Journal.ts"
import { JournalStore } from "../../src/services/JournalStore.ts"

export type Store = JournalStore["Type"]

export const built = <R>(layer: Layer.Layer<JournalStore, never, R>) =>
  Effect.map(Layer.build(layer), Context.get(JournalStore))

export const read = (store: Store, log: string) => Effect.scoped(Effect.map(store.open(log), ({ records }) => records))

/** Appends records one by one. */
export const write = (store: Store, log: string, ...records: ReadonlyArray<string>) =>
  Effect.scoped(
    Effect.flatMap(store.open(log), ({ append }) =>
      Effect.forEach(records, (record) => append([record]), { discard: true })
    )
  )

export const ended = (stop: string): Journal.JournalRecord => ({ _tag: "Ended", stop })

/** What a journal writes for `ended`. */
export const lineOf = (log: string, stop: string, version = 1) =>
  JSON.stringify({ salvo: version, log, record: ended(stop) })

export const stops = ({ records }: Journal.Log) =>
  records.map((record) => (record._tag === "Ended" ? record.stop : record._tag))

/** A key-value store in memory that can be looked into. */
export const openMap = () => {
  const map = new Map<string, string>()
  return {
    map,
    store: KeyValueStore.makeStringOnly({
      get: (key) => Effect.sync(() => Option.fromNullable(map.get(key))),
      set: (key, text) => Effect.sync(() => void map.set(key, text)),
      remove: (key) => Effect.sync(() => void map.delete(key)),
      clear: Effect.sync(() => map.clear()),
      size: Effect.sync(() => map.size)
    })
  }
}

/** What a record may be, torn and foreign ones too. */
export const hostileRecords = [
  JSON.stringify({ text: "a\nb\r\nc\u0000" }),
  JSON.stringify({ text: "\u2028 \u2029 \u0085 \ufeff 😀" }),
  JSON.stringify({ text: "\ud800" }),
  JSON.stringify("x".repeat(1_000_000)),
  "not JSON at all",
  "{}",
  " leading and trailing ",
  '{"torn":'
]
