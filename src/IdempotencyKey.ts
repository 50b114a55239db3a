/**
 * Sends the key of a call along with its HTTP requests, as `Idempotency-Key`: a service that knows the header carries out
 * once what comes twice, and answers both times the same. The header is that of draft-ietf-httpapi-idempotency-key-header,
 * and of Stripe, Adyen, Square and others, whose limit of 255 characters is kept.
 *
 * @since 0.1.0
 */
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import { sha256 } from "./internal/sha256.ts"
import type * as Tool from "./Tool.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Which of several requests this is. Services refuse a key that comes with another request, so where one call sends
   * several that change something, each needs a part of its own. Default: none.
   */
  readonly part?: string | undefined
}

/** Means the same in a header, a log and an address. A digest's own form is left to digests. */
const plain = /^(?![0-9a-f]{64}$)[\w.:~/+=@-]{1,255}$/

/**
 * What stands in the header: the key as it is where that is at most 255 letters, digits and `-._~:/+=@`; otherwise, and
 * with a `part`, a SHA-256 of all of it in hexadecimal digits. The same for every attempt, resume and process; different
 * keys never look the same.
 *
 * @since 0.1.0
 * @category constructors
 */
export const value = (call: Pick<Tool.Call, "idempotencyKey">, { part }: Options = {}): Effect.Effect<string> => {
  const key = call.idempotencyKey
  if (part !== undefined) return sha256(key, part)
  return plain.test(key) ? Effect.succeed(key) : sha256(key)
}

/**
 * Puts the header on a request of `@effect/platform`. For all requests of a client:
 * `HttpClient.mapRequestEffect(client, IdempotencyKey.header(call))`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const header =
  (call: Pick<Tool.Call, "idempotencyKey">, options?: Options) =>
  (request: HttpClientRequest.HttpClientRequest): Effect.Effect<HttpClientRequest.HttpClientRequest> =>
    Effect.gen(function* () {
      // Who has a request has loaded it already; who sends none need not.
      const { setHeader } = yield* Effect.promise(() => import("@effect/platform/HttpClientRequest"))
      return setHeader(request, "Idempotency-Key", yield* value(call, options))
    })
