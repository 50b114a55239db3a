/** The options of the store, checked, and with everything decided. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { checkAgainst } from "../../internal/definition.ts"
import { maxMillis } from "../../internal/breaker/settings.ts"
import type { Options } from "../CircuitBreaker.ts"
import type * as Store from "./store.ts"

const accepting = (accepts: string, test: (u: unknown) => boolean) =>
  Schema.optional(Schema.Unknown.pipe(Schema.filter((u) => u === undefined || test(u), { message: () => accepts })))

/** `Duration` reads a negative amount as none. */
const isNegative = (u: unknown) => (typeof u === "string" ? u.trim().startsWith("-") : typeof u === "number" && u < 0)

const isDuration = (u: unknown) => !isNegative(u) && Option.isSome(Duration.decodeUnknown(u))

const durationOrZero = accepting("a duration of zero or more", isDuration)

const duration = accepting(
  "a duration above zero",
  (u) => isDuration(u) && Option.exists(Duration.decodeUnknown(u), (some) => !Duration.isZero(some))
)

const count = accepting("a whole number of 1 or more", (u) => Number.isInteger(u) && Number(u) >= 1)

const Data = Schema.Struct({
  maxStaleness: durationOrZero,
  storeTimeout: duration,
  flush: durationOrZero,
  idleTimeToLive: duration,
  quorum: count,
  quorumWindow: duration,
  maxPending: count,
  isolationLease: duration,
  backOff: Schema.optional(Schema.UndefinedOr(Schema.Struct({ from: duration, to: duration })))
})

/** Throws `InvalidDefinition` for the first option that is wrong. */
export const decided = (options: Options): Store.Options => {
  checkAgainst(Data, options, "RedisCircuitBreaker", "options")
  const millis = (input: Duration.DurationInput | undefined, fallback: number) =>
    Math.min(maxMillis, input === undefined ? fallback : Duration.toMillis(input))
  return {
    maxStaleness: millis(options.maxStaleness, 1000),
    storeTimeout: millis(options.storeTimeout, 50),
    flush: millis(options.flush, 100),
    idleTimeToLive: millis(options.idleTimeToLive, 3_600_000),
    quorum: options.quorum ?? 1,
    quorumWindow: millis(options.quorumWindow, 60_000),
    maxPending: options.maxPending ?? 1000,
    isolationLease: millis(options.isolationLease, 30_000),
    retryBase: millis(options.backOff?.from, 100),
    retryCap: millis(options.backOff?.to, 10_000),
    clientClock: false
  }
}
