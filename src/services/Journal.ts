/**
 * What has been decided, written down the moment it falls, so that a process that dies loses nothing that was paid for.
 *
 * A batch that is run with an `id` has a log of its own: the intent before an execution begins, how each attempt of a
 * `write` ended, the result before it is given to the model. Run again with the same id, in another process, it answers
 * finished calls from there; `read` and `idempotent` calls that were running are run again under the same idempotency
 * key, and a `write` is `OutcomeUnknown`, unless its handler can find out (`Tool.withReconcile`). One process at a time
 * may work on an id.
 *
 * What a store keeps may be torn by the crash, written by an older version, or not be a log at all: only records that
 * are whole and name their own log count.
 *
 * @since 0.1.0
 */
import type * as KeyValueStore from "@effect/platform/KeyValueStore"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as InLog from "../internal/journal/log.ts"
import * as Memory from "../internal/journal/memory.ts"
import * as Settings from "../internal/journal/options.ts"
import * as Patience from "../internal/journal/patience.ts"
import type * as Record from "../internal/journal/record.ts"
import * as Shared from "../internal/journal/shared.ts"
import { type JournalError, JournalStore, type Retention } from "./JournalStore.ts"

export {
  /**
   * The journal cannot be read or written.
   *
   * @since 0.1.0
   * @category errors
   */
  JournalError,
  /**
   * Where logs are kept.
   *
   * @since 0.1.0
   * @category tags
   */
  JournalStore,
  /**
   * How long a store keeps logs.
   *
   * @since 0.1.0
   * @category models
   */
  type Retention,
  /**
   * A log in its store.
   *
   * @since 0.1.0
   * @category models
   */
  type StoredLog
} from "./JournalStore.ts"

/**
 * One thing that was decided. Plain data.
 *
 * @since 0.1.0
 * @category models
 */
export type JournalRecord = Record.Record

/**
 * A log that is open to be continued.
 *
 * @since 0.1.0
 * @category models
 */
export interface Log {
  readonly name: string
  /** What is recorded so far, in order; grows with what is appended. */
  readonly records: ReadonlyArray<JournalRecord>
  /** Whether the log could be read when it was opened. If not, nothing is known of what happened before. */
  readonly isKnown: boolean
  /** Done when the record will survive this process. Records are written in the order in which they come. */
  readonly append: (record: JournalRecord) => Effect.Effect<void, JournalError>
}

/**
 * @since 0.1.0
 * @category tags
 */
export class Journal extends Context.Tag("salvo/Journal")<
  Journal,
  {
    /** Opens a log for as long as the scope lasts; whoever opens it meanwhile shares it. */
    readonly open: (log: string) => Effect.Effect<Log, never, Scope.Scope>
    /** Forgets a log. */
    readonly remove: (log: string) => Effect.Effect<void, JournalError>
    /** See `Options`. */
    readonly whenFailing: "go on" | "stop before writes"
  }
>() {}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * What becomes of calls while the journal cannot be written. `stop before writes`: calls of `write` tools are not
   * started (`NotStarted`), so that none is ever executed twice. `go on`: everything runs, and what ran unrecorded may
   * run again after a crash. A result that is in hand is never lost, and every failure is logged. Default: `stop before
   * writes`.
   */
  readonly whenFailing?: "go on" | "stop before writes" | undefined
  /** How long the store may take for one read or write. Default: 5 seconds. */
  readonly timeout?: Duration.DurationInput | undefined
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Journal["Type"], never, JournalStore> => {
  Settings.check(options)
  const timeout = Duration.decode(options.timeout ?? "5 seconds")
  return Effect.map(JournalStore, (store): Journal["Type"] => ({
    open: Shared.make((name) => InLog.make(store, name, timeout)),
    remove: (name) => Patience.once(name, timeout, "removing", () => store.remove(name)),
    whenFailing: options.whenFailing ?? "stop before writes"
  }))
}

/**
 * A journal over any store.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<Journal, never, JournalStore> =>
  Layer.effect(Journal, make(options))

/**
 * Logs in memory, for as long as the layer lives: a batch that is run again in the same process is answered from it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStoreMemory = (retention: Retention = {}): Layer.Layer<JournalStore> => {
  const limits = Settings.decided(retention)
  return Layer.sync(JournalStore, () => Memory.make(limits))
}

/**
 * A journal in memory.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory = ({ maxAge, maxLogs, ...options }: Options & Retention = {}): Layer.Layer<Journal> =>
  Layer.provide(layer(options), layerStoreMemory({ maxAge, maxLogs }))

/**
 * Logs in the `KeyValueStore` of the environment, under keys that begin with `salvo/journal/`. With the
 * `NodeKeyValueStore.layerFileSystem` of `@effect/platform-node` they are files, and an agent on one machine needs no
 * server. A record is safe from the death of the process, whenever that comes, as soon as the file system has it; from
 * that of the machine, when the operating system has written it to the disk.
 *
 * Several processes may share a folder, each with logs of its own. Where two begin a log in the same instant, one may
 * stay behind that is never removed for its age.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStoreKeyValueStore = (
  retention: Retention = {}
): Layer.Layer<JournalStore, never, KeyValueStore.KeyValueStore> => {
  const limits = Settings.decided(retention)
  return Layer.effect(
    JournalStore,
    Effect.gen(function* () {
      // Loaded where they are used: they would double the time that loading Salvo takes.
      const { KeyValueStore } = yield* Effect.promise(() => import("@effect/platform/KeyValueStore"))
      const InKeys = yield* Effect.promise(() => import("../internal/journal/keyValueStore.ts"))
      return InKeys.make(yield* KeyValueStore, limits)
    })
  )
}

/**
 * A journal in the `KeyValueStore` of the environment.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerKeyValueStore = ({ maxAge, maxLogs, ...options }: Options & Retention = {}): Layer.Layer<
  Journal,
  never,
  KeyValueStore.KeyValueStore
> => Layer.provide(layer(options), layerStoreKeyValueStore({ maxAge, maxLogs }))
