/**
 * A journal in Redis, for agents that may go on on another machine: a list for each log, in one round trip for each group
 * of records.
 *
 * What is recorded is as durable as the server makes it: with `appendonly yes` and `appendfsync always` before it is
 * acknowledged, with `everysec` up to a second later, and without persistence only for as long as the server runs. A
 * failover to a replica loses what had not reached it. Set `maxmemory-policy noeviction`, so that Redis forgets no log
 * before its time.
 *
 * All logs of one prefix lie in one slot of a cluster.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Settings from "../internal/journal/options.ts"
import * as Journal from "../services/Journal.ts"
import * as Command from "./internal/command.ts"
import { script as lua } from "./internal/luaJournal.ts"
import * as Redis from "./Redis.ts"

const script: Command.Script = { name: "salvoJournal", numberOfKeys: 2, lua }

/**
 * How long logs are kept: to Redis a log is used when it is opened or written to, however long it stays open.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoreOptions extends Journal.Retention {
  /** How long one step waits for Redis at most. Default: 1 second. */
  readonly timeout?: Duration.DurationInput | undefined
}

/** Any text has a name of its own, half a surrogate pair too. */
const nameOf = (log: string) =>
  log.isWellFormed() ? `log:${encodeURIComponent(log)}` : `raw:${encodeURIComponent(JSON.stringify(log))}`

const decodeLog = Schema.decodeUnknown(Schema.NonEmptyArray(Schema.String))

/** To Redis, 0 is no limit. */
const limit = (n: number) => (n === Number.POSITIVE_INFINITY ? 0 : Math.min(Math.ceil(n), Number.MAX_SAFE_INTEGER))

const make = (limits: Settings.Limits, timeout: Duration.Duration) =>
  Effect.map(Redis.Redis, (redis): Journal.JournalStore["Type"] => {
    const command = Command.make(redis, script, timeout)

    const ask = (operation: string, log: string, ...args: ReadonlyArray<string | number>) => {
      const name = nameOf(log)
      const base = `${redis.prefix}{journal}:`
      return Effect.mapError(
        command([`${base}order`, `${base}${name}`, operation, name, limit(limits.maxAgeMillis), ...args]),
        ({ cause }) => new Journal.JournalError({ log, reason: `Redis failed: ${cause}` })
      )
    }

    return {
      open: (log) =>
        Effect.gen(function* () {
          const answer = yield* ask("open", log, limit(limits.maxLogs))
          const [life, ...records] = yield* Effect.mapError(
            decodeLog(answer),
            (error) => new Journal.JournalError({ log, reason: `Redis answered with no log: ${error.message}` })
          )
          return {
            records,
            append: (records) =>
              Effect.flatMap(ask("append", log, life, ...records), (answer) =>
                answer === 1 ? Effect.void : Effect.fail(new Journal.JournalError({ log, reason: "it was removed" }))
              )
          }
        }),
      remove: (log) => Effect.asVoid(ask("remove", log))
    }
  })

/**
 * Keeps logs in Redis.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStore = ({ timeout = "1 second", ...retention }: StoreOptions = {}): Layer.Layer<
  Journal.JournalStore,
  never,
  Redis.Redis
> => {
  Settings.check({ timeout })
  return Layer.effect(Journal.JournalStore, make(Settings.decided(retention), Duration.decode(timeout)))
}

/**
 * A journal in Redis.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = ({ maxAge, maxLogs, ...options }: Journal.Options & Journal.Retention = {}): Layer.Layer<
  Journal.Journal,
  never,
  Redis.Redis
> => Layer.provide(Journal.layer(options), layerStore({ maxAge, maxLogs, timeout: options.timeout }))
