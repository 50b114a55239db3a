/**
 * A strict Messages API inside the process: a real HTTP server that refuses what the real API would refuse, and
 * otherwise answers what a script says, as JSON or as server-sent events.
 *
 * @since 0.1.0
 */
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type { HttpServerResponse } from "@effect/platform/HttpServerResponse"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import type { Envelope } from "./internal/messagesEvents.ts"
import { complete, toMessage } from "./internal/messagesEvents.ts"
import type { RequestMessage, RequestToolResult } from "./internal/messagesRequest.ts"
import { checkHead, lastToolResults, messagesOf } from "./internal/messagesRequest.ts"
import * as Response from "./internal/messagesResponse.ts"
import * as Sent from "./internal/messagesSent.ts"
import * as RequestSocket from "./internal/requestSocket.ts"
import { invalid, isJson } from "./internal/shape.ts"
import type { MessageReply, Reply } from "./MessagesReply.ts"
import type { Rejection } from "./MessagesRules.ts"
import { check } from "./MessagesRules.ts"

export * from "./MessagesReply.ts"

/**
 * A request the API took, as a script sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface AcceptedRequest {
  readonly body: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, string | undefined>>
  /** The messages as they were sent, their content always a list of blocks. */
  readonly messages: ReadonlyArray<RequestMessage>
  /** How many assistant messages there are so far. */
  readonly turn: number
  /** Counts every request the server got, from 1. */
  readonly requestNumber: number
  /** The tool results of the last user turn. */
  readonly lastToolResults: ReadonlyArray<RequestToolResult>
}

/**
 * Anything that came in. `rejection` is `undefined` for a request that was accepted.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecordedRequest {
  readonly requestNumber: number
  readonly path: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: unknown
  readonly rejection: Rejection | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface RejectedRequest extends RecordedRequest {
  readonly rejection: Rejection
}

/**
 * Plays the model: what to answer to a request. A script that fails or dies is an HTTP 500 `api_error`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Script<E = never, R = never> {
  (request: AcceptedRequest): Effect.Effect<Reply, E, R>
}

/**
 * The running server.
 *
 * @since 0.1.0
 * @category tags
 */
export class MessagesServer extends Context.Tag("salvo/testing/MessagesServer")<
  MessagesServer,
  {
    /** The `baseURL` for a client. */
    readonly url: string
    /** Everything that came in, in order. */
    readonly requests: Effect.Effect<ReadonlyArray<RecordedRequest>>
    /** What the real API would have refused. A correct client leaves this empty. */
    readonly rejections: Effect.Effect<ReadonlyArray<RejectedRequest>>
  }
>() {}

const urlOf = (address: HttpServer.Address): string => {
  if (address._tag === "UnixAddress") return HttpServer.formatAddress(address)
  const { hostname, port } = address
  const host = hostname === "0.0.0.0" ? "127.0.0.1" : hostname.includes(":") ? `[${hostname}]` : hostname
  return `http://${host}:${port}`
}

const parse = (text: string): Either.Either<unknown, Rejection> =>
  Either.try({
    try: (): unknown => JSON.parse(text),
    catch: (cause) => invalid(`The request body is not valid JSON: ${cause instanceof Error ? cause.message : ""}`)
  })

const readText = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<string> =>
  request.text.pipe(
    Effect.interruptible,
    Effect.orElseSucceed(() => "")
  )

/** Four characters are about one token. */
const tokens = (text: string): number => Math.ceil(text.length / 4)

/** A script must never leave a request unanswered: whatever goes wrong in it becomes an answer. */
const answered = <A, E, R>(effect: Effect.Effect<A, E, R>, onFailure: (cause: Cause.Cause<E>) => A) =>
  effect.pipe(
    Effect.catchAllCause((cause) =>
      // The client has gone: nobody is waiting for an answer.
      Cause.isInterruptedOnly(cause) ? Effect.interrupt : Effect.succeed(onFailure(cause))
    )
  )

/**
 * A server that plays `script` on the given `HttpServer` (`NodeHttpServer.layer(createServer, { port: 0 })`, say).
 *
 * When the layer closes, connections still in use (a stalled stream, a script that never ends) are torn down.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E, R>(
  script: Script<E, R>
): Layer.Layer<
  MessagesServer,
  never,
  HttpServer.HttpServer | Exclude<Exclude<R, HttpServerRequest.HttpServerRequest>, Scope.Scope>
> =>
  Layer.scoped(
    MessagesServer,
    Effect.gen(function* () {
      const server = yield* HttpServer.HttpServer
      const counter = yield* Ref.make(0)
      const recorded = yield* Ref.make<ReadonlyArray<RecordedRequest>>([])
      const sent = yield* Ref.make(Sent.empty)
      const sockets = new Set<RequestSocket.RequestSocket>()

      const send = Effect.fnUntraced(function* (
        request: HttpServerRequest.HttpServerRequest,
        accepted: AcceptedRequest,
        reply: MessageReply,
        id: string
      ) {
        const content = complete(reply.content, id)
        const envelope: Envelope = {
          id: `msg_${id}`,
          model: accepted.body["model"],
          stopReason: reply.stopReason,
          stopDetails: reply.stopDetails,
          usage: {
            input_tokens: tokens(JSON.stringify(accepted.body)),
            output_tokens: tokens(JSON.stringify(content)),
            ...reply.usage
          }
        }
        yield* Ref.update(sent, (before) => Sent.remember(before, toMessage(envelope, content)))
        return accepted.body["stream"] === true
          ? Response.streamed(request, envelope, content, reply)
          : yield* Response.whole(request, envelope, content, reply)
      })

      const respond = Effect.fnUntraced(function* (
        request: HttpServerRequest.HttpServerRequest,
        accepted: AcceptedRequest,
        id: string
      ) {
        const reply = yield* Effect.interruptible(script(accepted))
        return reply._tag === "ErrorReply"
          ? Response.scriptedFailure(`req_${id}`, reply)
          : yield* send(request, accepted, reply, id)
      })

      const handle = Effect.fnUntraced(function* (request: HttpServerRequest.HttpServerRequest) {
        const requestNumber = yield* Ref.updateAndGet(counter, (n) => n + 1)
        const id = String(requestNumber).padStart(6, "0")
        const path = request.url
        const headers = { ...request.headers }
        const refusedAtHead = checkHead(request.method, path.split("?")[0] ?? path, headers)
        // A body that is too large is refused unread.
        const json = refusedAtHead === undefined ? parse(yield* readText(request)) : Either.left(refusedAtHead)
        const memory = Sent.toMemory(yield* Ref.get(sent))
        const rejection = Either.match(json, { onLeft: (refused) => refused, onRight: (body) => check(body, memory) })
        const body = Either.getOrUndefined(json)
        yield* Ref.update(recorded, (all) => [...all, { requestNumber, path, headers, body, rejection }])
        if (rejection !== undefined || !isJson(body)) {
          return Response.failure(`req_${id}`, rejection ?? invalid("body: Input should be a valid dictionary"))
        }
        const messages = messagesOf(body)
        const accepted: AcceptedRequest = {
          body,
          headers,
          messages,
          turn: messages.filter(({ role }) => role === "assistant").length,
          requestNumber,
          lastToolResults: lastToolResults(messages)
        }
        return yield* answered(
          Effect.suspend(() => respond(request, accepted, id)),
          (cause): HttpServerResponse =>
            Response.failure(`req_${id}`, {
              status: 500,
              type: "api_error",
              message: `The script of the server failed: ${Cause.pretty(cause)}`
            })
        )
      })

      yield* server.serve(
        Effect.gen(function* () {
          const request = yield* HttpServerRequest.HttpServerRequest
          const socket = RequestSocket.fromRequest(request)
          if (socket !== undefined) {
            yield* Effect.acquireRelease(
              Effect.sync(() => sockets.add(socket)),
              () => Effect.sync(() => sockets.delete(socket))
            )
          }
          return yield* handle(request)
        })
      )
      // Closing a Node server waits for the requests in flight, and a stalled one never ends.
      yield* Effect.addFinalizer(() => Effect.sync(() => sockets.forEach((socket) => void socket.destroy())))

      const requests = Ref.get(recorded)
      return {
        url: urlOf(server.address),
        requests,
        rejections: Effect.map(requests, (all) =>
          all.flatMap((request) =>
            request.rejection === undefined ? [] : [{ ...request, rejection: request.rejection }]
          )
        )
      }
    })
  )
