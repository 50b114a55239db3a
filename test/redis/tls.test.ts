import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as RedisCircuitBreaker from "../../src/redis/CircuitBreaker.ts"
import * as Redis from "../../src/redis/Redis.ts"
import * as CircuitBreaker from "../../src/services/CircuitBreaker.ts"
import { call, failure, rejection } from "../breaker/contract.ts"
import { describeRedis, freePort, server } from "./server.ts"

/** A certificate for this machine, signed by itself. */
const certificate = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(join(tmpdir(), "salvo-tls-"))
    const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")]
    const request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    const names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    const made = spawnSync("openssl", [...request, ...names, "-keyout", key, "-out", cert])
    assert.strictEqual(made.status, 0, String(made.stderr))
    return { folder, cert, key }
  }),
  ({ folder }) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

const policy = { trip: { consecutive: 2 }, openFor: "1 minute" } as const

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0

if (!hasOpenssl) {
  if (process.env.CI !== undefined) throw new Error("There is no openssl on the PATH, and CI needs one")
  console.warn("\n!!! No openssl on the PATH: the test of TLS is SKIPPED !!!\n")
}

const describeTls = hasOpenssl ? describeRedis : describe.skip

describeTls("TLS and a user with a password", () => {
  it.scopedLive("come from the client's own options; without them no state is shared", () =>
    Effect.gen(function* () {
      const { cert, key } = yield* certificate
      const port = yield* freePort
      yield* server({
        args: `--tls-port ${port} --tls-cert-file ${cert} --tls-key-file ${key} --tls-ca-cert-file ${cert} --tls-auth-clients no --user app on >secret ~* +@all`.split(
          " "
        )
      })
      const connect = (options: Redis.Options) =>
        Layer.build(Layer.provide(RedisCircuitBreaker.layer({ storeTimeout: "2 seconds" }), Redis.layer(options))).pipe(
          Effect.map(Context.get(CircuitBreaker.CircuitBreaker)),
          Effect.flatMap((breakers) => breakers.get("tls", policy))
        )
      const tls = { ca: readFileSync(cert) }
      const url = `rediss://app:secret@127.0.0.1:${port}`
      yield* Effect.replicateEffect(call(yield* connect({ url, tls }), failure), 2)
      assert.strictEqual((yield* rejection(yield* connect({ url, tls }))).mode, "Open")
      for (const wrong of [{ url: url.replace("secret", "guess"), tls }, { url }]) {
        const alone = yield* connect(wrong)
        assert.strictEqual((yield* alone.state).mode, "Closed")
      }
    })
  )
})
