import { createServer, type RequestListener, type Server } from "node:http"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type BatchResult, Fault, Report, Tool, Toolbox, ToolRunner } from "../src/index.ts"

const portOf = (server: Server): number => {
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : 0
}

const listen = (listener: RequestListener) =>
  Effect.async<Server>((resume) => {
    const server = createServer(listener)
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  })

const close = (server: Server) =>
  Effect.async<void>((resume) => {
    server.close(() => resume(Effect.void))
    server.closeAllConnections()
  })

/** The port of a server that answers so for as long as the scope lasts. */
const serving = (listener: RequestListener) => Effect.map(Effect.acquireRelease(listen(listener), close), portOf)

/** A port that has just been given back, so that nothing listens on it. */
const nothing = Effect.flatMap(
  listen(() => {}),
  (server) => Effect.as(close(server), portOf(server))
)

/** Sends a request and reads the whole answer; gives the error the client failed with. */
const errorOf = (port: number) =>
  HttpClient.HttpClient.pipe(
    Effect.flatMap((client) =>
      HttpClient.filterStatusOk(client).execute(HttpClientRequest.post(`http://127.0.0.1:${port}/`))
    ),
    Effect.flatMap((response) => response.text),
    Effect.flip
  )

const clients = [
  ["fetch", FetchHttpClient.layer],
  ["undici", NodeHttpClient.layerUndici],
  ["node:http", NodeHttpClient.layer]
] as const

const retryAt = "Tue, 24 Nov 2026 10:00:07 GMT"
const saidAt = "Tue, 24 Nov 2026 10:00:00 GMT"

const status =
  (status: number, headers: Record<string, string> = {}): RequestListener =>
  (_, response) =>
    response.writeHead(status, headers).end("{}")

const cutShort: RequestListener = (_, response) => {
  response.writeHead(200, { "content-length": "100" })
  response.write("half of it", () => response.destroy())
}

const answers: ReadonlyArray<readonly [string, RequestListener, Fault.Fault]> = [
  ["a socket destroyed without an answer may have taken effect", (request) => request.destroy(), Fault.transient()],
  ["a body cut half-way may have taken effect", cutShort, Fault.transient()],
  [
    "429 was turned away, and names when to come back",
    status(429, { "retry-after": "3" }),
    Fault.throttled({ retryAfter: "3 seconds" })
  ],
  [
    "a Retry-After date counts from the answer's own Date, whatever our clock says",
    status(503, { "retry-after": retryAt, date: saidAt }),
    Fault.transient({ retryAfter: "7 seconds" })
  ],
  ["503 is transient and may have taken effect", status(503), Fault.transient()],
  ["404 is the model's", status(404), Fault.model()],
  ["400 is the model's", status(400), Fault.model()],
  ["401 is permanent and the tool's", status(401), Fault.permanent()],
  ["501 is permanent, and nobody knows what was done", status(501), Fault.permanent({ tookEffect: "maybe" })]
]

const assertFault = (actual: Fault.Fault, expected: Fault.Fault) => {
  assert.deepStrictEqual(
    { ...actual, retryAfter: actual.retryAfter && Duration.toMillis(actual.retryAfter) },
    { ...expected, retryAfter: expected.retryAfter && Duration.toMillis(expected.retryAfter) }
  )
}

for (const [name, client] of clients) {
  describe(`real errors of ${name}`, () => {
    it.scopedLive("a refused connection was never sent, so that even a write may be repeated", () =>
      Effect.gen(function* () {
        const error = yield* errorOf(yield* nothing)
        assertFault(Fault.http(error), Fault.transient({ tookEffect: "no" }))
      }).pipe(Effect.provide(client))
    )

    for (const [behaviour, listener, expected] of answers) {
      it.scopedLive(behaviour, () =>
        Effect.gen(function* () {
          const error = yield* errorOf(yield* serving(listener))
          assertFault(Fault.http(error), expected)
        }).pipe(Effect.provide(client))
      )
    }

    it.scopedLive("an address that is none is permanent", () =>
      Effect.gen(function* () {
        const error = yield* HttpClient.get("http://").pipe(Effect.flip)
        assertFault(Fault.http(error), Fault.permanent())
      }).pipe(Effect.provide(client))
    )
  })
}

describe("Retry-After", () => {
  const cases: ReadonlyArray<readonly [string, Record<string, string>, number | undefined]> = [
    ["seconds", { "retry-after": "120" }, 120_000],
    ["seconds with a fraction and blanks", { "retry-after": " 0.5 " }, 500],
    ["milliseconds come first", { "retry-after-ms": "250", "retry-after": "9" }, 250],
    ["a date in the past is now", { "retry-after": saidAt, date: retryAt }, 0],
    ["a date without a Date to compare with says nothing", { "retry-after": retryAt }, undefined],
    ["a negative number says nothing", { "retry-after": "-1" }, undefined],
    ["words say nothing", { "retry-after": "soon" }, undefined],
    ["an empty one says nothing", { "retry-after": "" }, undefined],
    ["none says nothing", {}, undefined]
  ]
  for (const [name, headers, millis] of cases) {
    it(name, () => {
      const found = Option.map(Fault.retryAfterFromHeaders(headers), Duration.toMillis)
      assert.deepStrictEqual(Option.getOrUndefined(found), millis)
    })
  }
})

describe("cause chains", () => {
  const withCode = (code: string) => Object.assign(new Error(code), { code })
  /** `error` at the end of a chain of so many causes. */
  const under = (depth: number, error: unknown): unknown =>
    Array.from({ length: depth }).reduce<unknown>((cause) => new Error("outer", { cause }), error)

  it("a code counts wherever it sits", () => {
    for (const depth of [0, 1, 2, 10]) {
      assertFault(Fault.http(under(depth, withCode("ENOTFOUND"))), Fault.transient({ tookEffect: "no" }))
      assertFault(Fault.http(under(depth, withCode("EPIPE"))), Fault.transient())
      assertFault(Fault.http(under(depth, withCode("CERT_HAS_EXPIRED"))), Fault.permanent())
    }
  })

  it("a code in the chain says more than the tag around it", () => {
    const error = { _tag: "RequestError", reason: "Transport", cause: under(2, withCode("ECONNREFUSED")) }
    assertFault(Fault.http(error), Fault.transient({ tookEffect: "no" }))
    assertFault(Fault.http({ ...error, cause: undefined }), Fault.transient())
  })

  it("a chain that bites its tail ends", () => {
    const error = new Error("around")
    error.cause = { cause: error }
    assert.isTrue(Option.isNone(Fault.fromNetwork(error)))
    assertFault(Fault.http(error), Fault.permanent())
  })

  it("what is no network trouble says nothing", () => {
    for (const error of [undefined, null, 5, "ECONNREFUSED", {}, [], new Error("no"), withCode("EACCES"), () => 1]) {
      assert.isTrue(Option.isNone(Fault.fromNetwork(error)))
    }
  })
})

describe("a hostile error", () => {
  const boom = () => {
    throw new Error("hostile")
  }
  const getter = (key: string) => Object.defineProperty({}, key, { get: boom, enumerable: true })
  const hostile: ReadonlyArray<readonly [string, unknown]> = [
    ...["code", "_tag", "cause", "error", "message", "name", "stack", "anything"].map(
      (key) => [`whose ${key} throws`, getter(key)] as const
    ),
    ["whose every property throws", new Proxy({}, { get: boom })],
    ["that throws however it is touched", new Proxy({}, { get: boom, has: boom, ownKeys: boom, getPrototypeOf: boom })],
    ["that is a revoked Proxy", revoked()],
    ["that is an Error whose message throws", Object.defineProperty(new Error("x"), "message", { get: boom })],
    ["that has no prototype", Object.create(null)],
    ["that cannot be made a string", { toString: boom, [Symbol.toPrimitive]: boom, toJSON: boom }]
  ]

  function revoked(): object {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  }

  const options = { description: "x", input: Schema.Struct({}), output: Schema.Unknown, effects: "read" } as const
  class Plain extends Tool.Service<Plain>()("plain", {
    ...options,
    failure: Schema.Unknown,
    policy: { retry: false }
  }) {}
  class Http extends Tool.Service<Http>()("http", {
    ...options,
    failure: Schema.Unknown,
    policy: { retry: false },
    classify: Fault.http
  }) {}
  class Good extends Tool.Service<Good>()("good", options) {}

  const call = (name: string) => ({ id: `toolu_${name}`, name, input: {} })

  const run = (bad: () => Effect.Effect<never, unknown>): Effect.Effect<BatchResult.BatchResult> =>
    ToolRunner.run(Toolbox.make(Good, Plain, Http), [call("good"), call("plain"), call("http"), call("good")]).pipe(
      Effect.provide(
        Layer.mergeAll(
          Good.layer(() => Effect.succeed("fine")),
          Plain.layer(bad),
          Http.layer(bad),
          ToolRunner.layer
        )
      )
    )

  for (const [name, error] of hostile) {
    it.effect(`${name} costs no other call anything, as a failure or as a defect`, () =>
      Effect.gen(function* () {
        for (const bad of [() => Effect.fail(error), () => Effect.die(error)]) {
          const batch = yield* run(bad)
          assert.deepStrictEqual(
            batch.results.map((result) => result._tag),
            ["Success", "Failure", "Failure", "Success"]
          )
          for (const block of Report.toolResults(batch)) {
            assert(typeof block.content === "string" && block.content.trim() !== "")
          }
        }
      })
    )
  }
})
