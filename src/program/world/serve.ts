/** How every server of the outside world is put up and taken down. */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Effect from "effect/Effect"
import * as Http from "node:http"

/**
 * Serves `app` on a free port of this machine until the scope closes, and answers with its URL. Closing cuts open
 * connections: left alone, the server would wait for every request it still has to answer.
 */
export const serve = Effect.fnUntraced(function* <E>(app: HttpApp.Default<E>) {
  const node = Http.createServer()
  const server = yield* NodeHttpServer.make(() => node, { host: "127.0.0.1", port: 0 })
  yield* server.serve(app)
  yield* Effect.addFinalizer(() =>
    Effect.async<void>((resume) => {
      node.close(() => resume(Effect.void))
      node.closeAllConnections()
    })
  )
  return HttpServer.formatAddress(server.address)
})

/** Ends the request by destroying its socket: the caller gets no answer, not even a status. */
export const hangUp: Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest> =
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    NodeHttpServerRequest.toIncomingMessage(request).socket.destroy()
    // The closed connection interrupts the handler.
    return Effect.never
  })
