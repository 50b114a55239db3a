/**
 * Who is to blame for a failed call, whether it may be tried again, and whether it may have taken effect.
 *
 * A tool's `classify` answers with a fault; the runner's retry and the report to the model read nothing else.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/**
 * The fault owner of a failed call: `model` (bad name, bad input), `tool` (failure, defect, timeout, bad output),
 * `runner` (rejected locally), `dependency` (another call it needs failed), `run` (interrupted).
 *
 * @since 0.1.0
 * @category models
 */
export const Owner = Schema.Literal("model", "tool", "runner", "dependency", "run")

/**
 * @since 0.1.0
 * @category models
 */
export type Owner = typeof Owner.Type

/**
 * Whether the world may have changed: `no` (provably not), `maybe` (nobody knows), `yes` (it has).
 *
 * @since 0.1.0
 * @category models
 */
export const TookEffect = Schema.Literal("no", "maybe", "yes")

/**
 * @since 0.1.0
 * @category models
 */
export type TookEffect = typeof TookEffect.Type

/**
 * @since 0.1.0
 * @category models
 */
export const Fault = Schema.Struct({
  owner: Owner,
  /** Whether the same call may succeed if it is tried again. */
  transient: Schema.Boolean,
  tookEffect: TookEffect,
  /** How long the other side asked to be left alone. */
  retryAfter: Schema.UndefinedOr(Schema.Duration),
  /** Whether it asked for fewer calls. */
  throttled: Schema.optional(Schema.Boolean)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface Fault extends Schema.Schema.Type<typeof Fault> {}

/**
 * @since 0.1.0
 * @category models
 */
export interface FaultOptions {
  readonly owner?: Owner | undefined
  readonly tookEffect?: TookEffect | undefined
  readonly retryAfter?: Duration.DurationInput | undefined
}

const make = (transient: boolean, tookEffect: TookEffect, options: FaultOptions = {}): Fault => ({
  owner: options.owner ?? "tool",
  transient,
  tookEffect: options.tookEffect ?? tookEffect,
  retryAfter: options.retryAfter === undefined ? undefined : Duration.decode(options.retryAfter)
})

/**
 * It may work next time. Unless said otherwise it may have taken effect, so a `write` is not tried again;
 * say `{ tookEffect: "no" }` where that is certain.
 *
 * @since 0.1.0
 * @category constructors
 */
export const transient = (options?: FaultOptions): Fault => make(true, "maybe", options)

/**
 * The dependency asked for fewer calls and turned this one away: transient, and it did not take effect. Tried again
 * after a longer first delay than other faults (`retry.throttled`).
 *
 * @since 0.1.0
 * @category constructors
 */
export const throttled = (options?: FaultOptions): Fault => ({ ...make(true, "no", options), throttled: true })

/**
 * It will fail the same way again, and did not take effect (unless said otherwise).
 *
 * @since 0.1.0
 * @category constructors
 */
export const permanent = (options?: FaultOptions): Fault => make(false, "no", options)

/**
 * The model asked for something that cannot be: a permanent fault owned by the model. It never counts against
 * the tool's dependency.
 *
 * @since 0.1.0
 * @category constructors
 */
export const model = (options?: Omit<FaultOptions, "owner">): Fault => make(false, "no", { ...options, owner: "model" })

/** Failed while connecting: no byte of the request left, so even a write may be sent again. */
const neverSent = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT"])

/** Failed on an open connection: the other side may have acted on the request. */
const maybeApplied = new Set([
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENETDOWN",
  "UND_ERR_SOCKET",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT",
  "ERR_STREAM_PREMATURE_CLOSE"
])

/** The certificate was refused during the handshake: not sent, and not better next time. */
const refusedCertificate = new Set([
  "CERT_HAS_EXPIRED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"
])

const modelStatus = new Set([400, 404, 405, 406, 409, 410, 413, 414, 415, 422])
const transientStatus = new Set([408, 425, 429, 500, 502, 503, 504, 529])
/** The request was turned away before anything was done with it. */
const refusedStatus = new Set([425, 429])
/** Too many requests. */
const throttledStatus = new Set([429, 529])

type Fields = Readonly<Record<string, unknown>>

const isFields = (u: unknown): u is Fields => (typeof u === "object" || typeof u === "function") && u !== null

/**
 * Reads `retry-after-ms` and `Retry-After` (seconds, or a date taken relative to the answer's own `Date`, so that
 * neither clock has to be trusted). RFC 9110 section 10.2.3.
 *
 * @since 0.1.0
 * @category retry-after
 */
export const retryAfterFromHeaders = (
  headers: Readonly<Record<string, string | undefined>>
): Option.Option<Duration.Duration> => {
  const millis = Number(headers["retry-after-ms"] ?? Number.NaN)
  if (Number.isFinite(millis) && millis >= 0) return Option.some(Duration.millis(millis))
  const text = headers["retry-after"]?.trim()
  if (text === undefined || text === "") return Option.none()
  const seconds = Number(text)
  if (Number.isFinite(seconds)) return seconds >= 0 ? Option.some(Duration.seconds(seconds)) : Option.none()
  const until = Date.parse(text)
  const from = Date.parse(headers["date"] ?? "")
  return Number.isNaN(until) || Number.isNaN(from)
    ? Option.none()
    : Option.some(Duration.millis(Math.max(0, until - from)))
}

/**
 * The fault of an HTTP status.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromStatus = (status: number, headers: Readonly<Record<string, string | undefined>> = {}): Fault => {
  const retryAfter = Option.getOrUndefined(retryAfterFromHeaders(headers))
  if (transientStatus.has(status)) {
    const fault = transient({ tookEffect: refusedStatus.has(status) ? "no" : "maybe", retryAfter })
    return throttledStatus.has(status) ? { ...fault, throttled: true } : fault
  }
  if (modelStatus.has(status)) return model({ retryAfter })
  return permanent({ tookEffect: status >= 500 ? "maybe" : "no", retryAfter })
}

const fromFields = (error: Fields): Option.Option<Fault> => {
  const code = typeof error["code"] === "string" ? error["code"] : ""
  if (neverSent.has(code)) return Option.some(transient({ tookEffect: "no" }))
  if (maybeApplied.has(code)) return Option.some(transient())
  if (refusedCertificate.has(code)) return Option.some(permanent())
  const response = error["response"]
  if (error["_tag"] === "ResponseError" && isFields(response) && error["reason"] === "StatusCode") {
    const headers = isFields(response["headers"]) ? response["headers"] : {}
    return Option.some(
      fromStatus(
        Number(response["status"]),
        Object.fromEntries(
          Object.entries(headers).filter((entry): entry is [string, string] => typeof entry[1] === "string")
        )
      )
    )
  }
  if (error["_tag"] === "RequestError" && (error["reason"] === "Encode" || error["reason"] === "InvalidUrl")) {
    return Option.some(permanent())
  }
  return Option.none()
}

/** What is known when no code in the chain says more. */
const fromTag = (error: Fields): Option.Option<Fault> =>
  (error["_tag"] === "RequestError" && error["reason"] === "Transport") || error["_tag"] === "TimeoutException"
    ? Option.some(transient())
    : Option.none()

/** Longer chains are cycles or noise. */
const maxDepth = 16

/**
 * Classifies network trouble wherever it sits in an error's cause chain: `@effect/platform` client errors, `fetch`
 * and undici errors, Node's socket errors. Refused and reset connections carry the same tag, only the innermost code
 * tells "never sent" (safe to repeat even a write) from "maybe applied". `none` where the chain shows no network at all.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromNetwork = (error: unknown): Option.Option<Fault> => {
  const chain: Array<Fields> = []
  let current: unknown = error
  while (isFields(current) && chain.length < maxDepth) {
    chain.push(current)
    current = current["cause"] ?? current["error"]
  }
  for (const link of chain) {
    const fault = fromFields(link)
    if (Option.isSome(fault)) return fault
  }
  for (const link of chain) {
    const fault = fromTag(link)
    if (Option.isSome(fault)) return fault
  }
  return Option.none()
}

/**
 * A ready-made `classify` for tools that talk HTTP: network trouble by its cause chain, an answered status by its
 * meaning, and anything else as permanent.
 *
 * @since 0.1.0
 * @category constructors
 */
export const http = (error: unknown): Fault => Option.getOrElse(fromNetwork(error), () => permanent())
