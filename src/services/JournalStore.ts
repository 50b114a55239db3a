/**
 * Where a journal keeps its logs, and what every store of logs promises.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

/**
 * The journal cannot be read or written.
 *
 * @since 0.1.0
 * @category errors
 */
export class JournalError extends Schema.TaggedError<JournalError>("salvo/JournalError")("JournalError", {
  log: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `Journal ${JSON.stringify(this.log)}: ${this.reason}`
  }
}

/**
 * A log in its store.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredLog {
  /** Every record there was when it was opened, in order; also those that are torn. */
  readonly records: ReadonlyArray<string>
  /**
   * Adds records at the end, in this order: lines of JSON, without line breaks. Durable when done; if it fails some of
   * them may be there nevertheless. Called one at a time, but for one that was interrupted because it took too long.
   * Fails once the log has been removed.
   */
  readonly append: (records: ReadonlyArray<string>) => Effect.Effect<void, JournalError>
}

/**
 * Where logs are kept.
 *
 * @since 0.1.0
 * @category tags
 */
export class JournalStore extends Context.Tag("salvo/JournalStore")<
  JournalStore,
  {
    /** Finds a log, or begins it. It is written to until the scope is closed; opened by one at a time. */
    readonly open: (log: string) => Effect.Effect<StoredLog, JournalError, Scope.Scope>
    /** Forgets a log, and what is being written to it. */
    readonly remove: (log: string) => Effect.Effect<void, JournalError>
  }
>() {}

/**
 * How long a store keeps logs. Those that were not used for longest go first; they go when another is opened, and never
 * while this process has them open.
 *
 * @since 0.1.0
 * @category models
 */
export interface Retention {
  /** How many logs are kept. Default: 10,000. */
  readonly maxLogs?: number | undefined
  /** How long a log is kept after it was last opened or written to. Default: 7 days. */
  readonly maxAge?: Duration.DurationInput | undefined
}
