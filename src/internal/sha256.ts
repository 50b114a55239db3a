/** SHA-256 in hexadecimal digits, of texts as JSON writes them: so half a surrogate pair counts as itself. */
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"

export const sha256 = (...texts: ReadonlyArray<string>): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(texts)))),
    (digest) => Encoding.encodeHex(new Uint8Array(digest))
  )
