/**
 * A connection to Redis for Salvo's stores, through `ioredis`.
 *
 * `layer` and `layerConfig` make a connection of their own, with limits that `ioredis` lacks by default: when Redis is
 * away, nothing waits, nothing is printed, nothing fails that is not asked. `layerClient` takes a client, or a cluster,
 * that is there already; it stays yours.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { type Cluster, Redis as Client, type RedisOptions } from "ioredis"

/**
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly client: Client | Cluster
  /** What every key of Salvo's begins with. Has no braces: those belong to the cluster's hash tags. */
  readonly prefix: string
}

/**
 * @since 0.1.0
 * @category tags
 */
export class Redis extends Context.Tag("salvo/Redis")<Redis, Service>() {}

/**
 * What `ioredis` takes (`host`, `port`, `username`, `password`, `db`, `tls`, `sentinels`, ...), and a little more.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends RedisOptions {
  /** `redis://` or, for TLS, `rediss://`. What it says is laid over the single options. */
  readonly url?: string | Redacted.Redacted | undefined
  /** Default: `salvo:`. */
  readonly prefix?: string | undefined
  /** How long building the layer waits for the connection before it goes on without. Default: 1 second. */
  readonly readyWithin?: Duration.DurationInput | undefined
}

const defaultPrefix = "salvo:"

const reconnectCap = 2000

/** Nothing hangs and nothing is sent twice: whoever asks is told at once that there is no connection. */
const limits: RedisOptions = {
  connectTimeout: 2000,
  commandTimeout: 1000,
  // A step must not be taken twice, so what a lost connection leaves without a reply is not sent again.
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  disconnectTimeout: 100,
  maxLoadingRetryTime: reconnectCap,
  retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 10), reconnectCap),
  // After a failover the old primary takes no more writes.
  reconnectOnError: (error) => error.message.startsWith("READONLY")
}

const cleanPrefix = (prefix = defaultPrefix) => prefix.replaceAll(/[{}]/g, encodeURIComponent)

/** Goes on when the connection is there, or has failed for the first time, or after `within`. */
const ready = (client: Client, within: Duration.DurationInput) =>
  Effect.async<void>((resume) => {
    const go = () => resume(Effect.void)
    client.connect().then(go, go)
  }).pipe(Effect.timeoutOption(within), Effect.asVoid)

/**
 * A connection that is closed with the scope. Never fails: where Redis cannot be reached, it goes on trying.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ prefix, readyWithin = Duration.seconds(1), url, ...options }: Options = {}): Effect.Effect<
  Service,
  never,
  Scope.Scope
> => {
  const all: RedisOptions = { ...limits, ...options, lazyConnect: true }
  const open = Effect.sync(() => {
    const client =
      url === undefined ? new Client(all) : new Client(Redacted.isRedacted(url) ? Redacted.value(url) : url, all)
    // Without a listener `ioredis` prints each error.
    return client.on("error", constVoid)
  })
  return Effect.acquireRelease(open, (client) => Effect.sync(() => client.disconnect())).pipe(
    Effect.tap((client) => ready(client, readyWithin)),
    Effect.map((client) => ({ client, prefix: cleanPrefix(prefix) }))
  )
}

/**
 * A connection of its own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<Redis> => Layer.scoped(Redis, make(options))

/**
 * The same, with the URL from the configuration. Default: `REDIS_URL`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Omit<Options, "url"> & { readonly url?: Config.Config<Redacted.Redacted> | undefined } = {}
): Layer.Layer<Redis, ConfigError> =>
  Layer.scoped(
    Redis,
    Effect.flatMap(options.url ?? Config.redacted("REDIS_URL"), (url) => make({ ...options, url }))
  )

/**
 * A client or a cluster of yours, which is neither configured nor closed here. Give it a `commandTimeout`,
 * `maxRetriesPerRequest: 0` and an `error` listener: a client with the defaults of `ioredis` keeps what it cannot send
 * and sends it when it is stale.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerClient = (
  client: Client | Cluster,
  options: { readonly prefix?: string | undefined } = {}
): Layer.Layer<Redis> => Layer.succeed(Redis, { client, prefix: cleanPrefix(options.prefix) })
