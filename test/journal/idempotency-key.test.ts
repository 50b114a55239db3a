/** The key of a call, as a service sees it over HTTP. */
import { assert, describe, it } from "@effect/vitest"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { createServer } from "node:http"
import { Fault, IdempotencyKey, Tool, Toolbox, ToolRunner } from "../../src/index.ts"

interface Seen {
  readonly path: string
  readonly key: string | undefined
}

/** Remembers what it is asked, and answers with `status`. */
const service = (status: (seen: ReadonlyArray<Seen>) => number = () => 200) =>
  Effect.acquireRelease(
    Effect.async<{ readonly url: string; readonly seen: ReadonlyArray<Seen>; readonly close: () => void }>((resume) => {
      const seen: Array<Seen> = []
      const server = createServer((request, response) => {
        const key = request.headers["idempotency-key"]
        seen.push({ path: request.url ?? "", key: Array.isArray(key) ? key.join("|") : key })
        response.writeHead(status(seen)).end()
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, seen, close: () => server.close() }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

const call = (idempotencyKey: string) => ({ idempotencyKey })

const send = (url: string, ...[key, options]: Parameters<typeof IdempotencyKey.header>) =>
  HttpClientRequest.post(url).pipe(
    IdempotencyKey.header(key, options),
    Effect.flatMap(HttpClient.execute),
    Effect.provide(FetchHttpClient.layer)
  )

const digest = /^[0-9a-f]{64}$/

const hostile = [
  "",
  " ",
  "key ",
  "a\r\nX-Injected: 1",
  "a,b",
  '"quoted"',
  "ключ",
  "😀",
  "\ud83d",
  "\ud83e",
  "\u0000",
  "x".repeat(256),
  `${"x".repeat(100_000)}1`,
  `${"x".repeat(100_000)}2`,
  "0123456789abcdef".repeat(4)
]

describe("an idempotency key", () => {
  it.scopedLive("arrives as it is where a header can say it", () =>
    Effect.gen(function* () {
      const { seen, url } = yield* service()
      const keys = ["batch-1/0/toolu_01A", "a:b~c.d=e@f+g", "x".repeat(255), "0"]
      for (const key of keys) yield* send(url, call(key))
      assert.deepStrictEqual(
        seen.map(({ key }) => key),
        keys
      )
    })
  )

  it.scopedLive("arrives as a digest of its own where a header cannot", () =>
    Effect.gen(function* () {
      const { seen, url } = yield* service()
      for (const key of hostile) yield* send(url, call(key))
      for (const { key } of seen) assert.match(key ?? "", digest)
      assert.strictEqual(new Set(seen.map(({ key }) => key)).size, hostile.length)
      for (const key of hostile) yield* send(url, call(key))
      assert.deepStrictEqual(seen.slice(hostile.length), seen.slice(0, hostile.length))
    })
  )

  it.effect("is at most 255 harmless characters, always the same, and never that of another key", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(
          FastCheck.string({ unit: "binary", maxLength: 300 }),
          FastCheck.string({ unit: "binary", maxLength: 300 }),
          async (a, b) => {
            const value = (key: string, part?: string) => Effect.runPromise(IdempotencyKey.value(call(key), { part }))
            const [one, again, other] = [await value(a), await value(a), await value(b)]
            assert.match(one, /^[\w.:~/+=@-]{1,255}$/)
            assert.strictEqual(one, again)
            assert.strictEqual(one === other, a === b)
            // A digest taken for a key is not the key it is the digest of.
            assert.notStrictEqual(await value(await value(a, b)), await value(a, b))
          }
        )
      )
    )
  )

  it.scopedLive("has parts, for a call that sends several requests", () =>
    Effect.gen(function* () {
      const { seen, url } = yield* service()
      const keys = ["key", 'key","capture', '["key","capture"]']
      for (const key of keys) {
        for (const part of [undefined, "", "reserve", "capture"]) yield* send(url, call(key), { part })
      }
      assert.strictEqual(new Set(seen.map(({ key }) => key)).size, 12)
      assert.strictEqual(seen[0]?.key, "key")
    })
  )

  it.scopedLive("goes with every request of a client", () =>
    Effect.gen(function* () {
      const { seen, url } = yield* service()
      const http = HttpClient.mapRequestEffect(yield* HttpClient.HttpClient, IdempotencyKey.header(call("key")))
      yield* http.post(`${url}/a`)
      yield* http.get(`${url}/b`)
      assert.deepStrictEqual(seen, [
        { path: "/a", key: "key" },
        { path: "/b", key: "key" }
      ])
    }).pipe(Effect.provide(FetchHttpClient.layer))
  )

  it.scopedLive("is the same for every attempt of a call, and another for every other call", () =>
    Effect.gen(function* () {
      // Each call fails once.
      const { seen, url } = yield* service((seen) =>
        seen.filter(({ path }) => path === seen.at(-1)?.path).length === 1 ? 503 : 200
      )
      class Refund extends Tool.Service<Refund>()("refund", {
        description: "Pays money back",
        input: Schema.Struct({ order: Schema.String }),
        output: Schema.Number,
        failure: Schema.Unknown,
        effects: "idempotent",
        classify: Fault.http,
        policy: { retry: { times: 2, base: "1 millis" }, circuitBreaker: { trip: { consecutive: 100 } } }
      }) {}
      const refund = Refund.layerEffect(
        Effect.map(
          HttpClient.HttpClient,
          (http) =>
            ({ order }: { readonly order: string }, call: Tool.Call) =>
              HttpClient.filterStatusOk(http).pipe(
                HttpClient.mapRequestEffect(IdempotencyKey.header(call)),
                (http) => http.post(`${url}/${order}`),
                Effect.map(({ status }) => status),
                Effect.scoped
              )
        )
      )
      const batch = yield* ToolRunner.run(
        Toolbox.make(Refund),
        ["a", "b", "c"].map((order) => ({ id: `toolu_${order}`, name: "refund", input: { order } }))
      ).pipe(Effect.provide(Layer.merge(ToolRunner.layer, Layer.provide(refund, FetchHttpClient.layer))))
      assert.lengthOf(batch.succeeded, 3)
      assert.lengthOf(seen, 6)
      const keys = new Map(seen.map(({ key, path }) => [path, key]))
      for (const { key, path } of seen) assert.strictEqual(key, keys.get(path))
      assert.strictEqual(new Set(keys.values()).size, 3)
    })
  )
})
