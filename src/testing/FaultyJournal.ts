/**
 * A journal's store that goes wrong on purpose: laid over a real one, it fails, tears or delays the operations that a plan
 * picks. All waiting is on the `Clock` and all chance from `Random`, so `TestClock` drives it and a seed repeats it.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { JournalError, JournalStore, type StoredLog } from "../services/JournalStore.ts"

/**
 * What becomes of one operation:
 *
 * - `fail`: nothing is done, and it fails.
 * - `lose`: it is done, and fails nevertheless, as where the answer is lost.
 * - `tear`: it is done but for the last record, of which half is there, and fails, as where the power goes. One that opens
 *   a log succeeds, with half of the last record.
 * - `die`: nothing is done, and it dies, as a store does that throws.
 * - `hang`: nothing is done, and it never answers; it stops when it is interrupted. `deaf` does not even then.
 * - `{ delay }`: it is done, but later.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault = "fail" | "lose" | "tear" | "die" | "hang" | "deaf" | { readonly delay: Duration.DurationInput }

/**
 * @since 0.1.0
 * @category models
 */
export interface Operation {
  readonly method: "open" | "append" | "remove"
  /** How many of this method came before it, in all logs. */
  readonly index: number
  readonly log: string
  /** What is to be appended. */
  readonly records: ReadonlyArray<string>
}

/**
 * Picks what becomes of an operation; nothing where it is done as it should be.
 *
 * @since 0.1.0
 * @category models
 */
export type Plan = (operation: Operation) => Fault | undefined | Effect.Effect<Fault | undefined>

/** Unlike `Effect.never` it keeps no process alive. */
const silence: Effect.Effect<never> = Effect.async(() => {})

const halfOf = (record: string) => record.slice(0, Math.floor(record.length / 2))

/** As they are where a crash has torn the last of them. */
const torn = (records: ReadonlyArray<string>) =>
  records.map((record, i) => (i === records.length - 1 ? halfOf(record) : record))

const make = (store: JournalStore["Type"], plan: Plan): JournalStore["Type"] => {
  const counts = { open: 0, append: 0, remove: 0 }

  const around = <A, R>(
    operation: Omit<Operation, "index">,
    whole: Effect.Effect<A, JournalError, R>,
    half: Effect.Effect<A, JournalError, R>
  ): Effect.Effect<A, JournalError, R> =>
    Effect.gen(function* () {
      const { log, method } = operation
      const picked = plan({ ...operation, index: counts[method]++ })
      const fault = Effect.isEffect(picked) ? yield* picked : picked
      const failure = new JournalError({ log, reason: `it is faulty: ${method}` })
      switch (fault) {
        case undefined:
          return yield* whole
        case "fail":
          return yield* failure
        case "lose":
          return yield* Effect.zipRight(whole, Effect.fail(failure))
        case "tear":
          return yield* method === "open" ? half : Effect.zipRight(half, Effect.fail(failure))
        case "die":
          return yield* Effect.dieMessage(failure.message)
        case "hang":
          return yield* silence
        case "deaf":
          return yield* Effect.uninterruptible(silence)
        default:
          return yield* Effect.delay(whole, fault.delay)
      }
    })

  return {
    open: (log) => {
      const stored = Effect.map(store.open(log), (stored): StoredLog => ({
        ...stored,
        append: (records) =>
          around({ method: "append", log, records }, stored.append(records), stored.append(torn(records)))
      }))
      const half = Effect.map(stored, (stored) => ({ ...stored, records: torn(stored.records) }))
      return around({ method: "open", log, records: [] }, stored, half)
    },
    remove: (log) => around({ method: "remove", log, records: [] }, store.remove(log), store.remove(log))
  }
}

/**
 * A store that does with each operation what `plan` says, over the store of the environment.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Journal } from "salvo"
 * import { FaultyJournal } from "salvo/testing"
 *
 * // The third write of this journal is torn.
 * export const journal = Journal.layer().pipe(
 *   Layer.provide(FaultyJournal.layer(({ index, method }) => (method === "append" && index === 2 ? "tear" : undefined))),
 *   Layer.provide(Journal.layerStoreMemory())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (plan: Plan): Layer.Layer<JournalStore, never, JournalStore> =>
  Layer.effect(
    JournalStore,
    Effect.map(JournalStore, (store) => make(store, plan))
  )

/**
 * Picks a fault by chance, with so much probability for each; the rest is done as it should be.
 *
 * @since 0.1.0
 * @category plans
 */
export const randomly =
  (faults: ReadonlyArray<readonly [fault: Fault, probability: number]>): Plan =>
  () =>
    Effect.map(Random.next, (chance) => {
      let below = 0
      return faults.find(([, probability]) => chance < (below += probability))?.[0]
    })
