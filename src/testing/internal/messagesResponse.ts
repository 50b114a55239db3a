/**
 * HTTP answers of the embedded Messages API.
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { ErrorReply, MessageReply, StreamFault } from "../MessagesReply.ts"
import type { Envelope, StreamEvent } from "./messagesEvents.ts"
import { encode, overloadedEvent, toEvents, toMessage } from "./messagesEvents.ts"
import * as RequestSocket from "./requestSocket.ts"
import type { Json, Rejection } from "./shape.ts"

type Response = HttpServerResponse.HttpServerResponse
type Request = HttpServerRequest.HttpServerRequest

/** An error body in the API's shape. */
export const failure = (
  requestId: string,
  rejection: Rejection,
  headers: Readonly<Record<string, string>> = {}
): Response =>
  HttpServerResponse.unsafeJson(
    {
      type: "error",
      error: {
        type: rejection.type,
        message: rejection.message,
        ...(rejection.errorCode === undefined ? {} : { details: { error_code: rejection.errorCode } })
      },
      request_id: requestId
    },
    { status: rejection.status, headers: { "request-id": requestId, ...headers } }
  )

const retryAfter = (duration: Duration.DurationInput): Readonly<Record<string, string>> => {
  const millis = Duration.toMillis(duration)
  return millis % 1000 === 0 ? { "retry-after": String(millis / 1000) } : { "retry-after-ms": String(millis) }
}

/** The answer a script asked for with `error`. */
export const scriptedFailure = (requestId: string, reply: ErrorReply): Response =>
  failure(requestId, reply, {
    ...(reply.retryAfter === undefined ? {} : retryAfter(reply.retryAfter)),
    ...(reply.shouldRetry === undefined ? {} : { "x-should-retry": String(reply.shouldRetry) })
  })

/** How a stream ends: `undefined` for a message that is whole. */
const endings = (request: Request, fault: StreamFault): Stream.Stream<Uint8Array> => {
  switch (fault.kind) {
    case "cut":
      return Stream.empty
    case "overloaded":
      return Stream.succeed(encode(overloadedEvent))
    case "stall":
      return Stream.never
    case "reset": {
      const socket = RequestSocket.fromRequest(request)
      // The handler is interrupted when the connection closes; until then the body must not end by itself.
      return socket === undefined
        ? Stream.empty
        : Stream.fromEffect(RequestSocket.reset(socket)).pipe(Stream.flatMap(() => Stream.never))
    }
  }
}

/** Events before the fault; `message_stop` is not among them. */
const beforeFault = (events: ReadonlyArray<StreamEvent>, after: number): ReadonlyArray<StreamEvent> => {
  const kept: Array<StreamEvent> = []
  let left = after
  for (const event of events) {
    if (event.type === "message_stop" || left <= 0) break
    if (!event.noise) left--
    kept.push(event)
  }
  return kept
}

const paced = (events: ReadonlyArray<StreamEvent>, reply: MessageReply): Stream.Stream<Uint8Array> => {
  const betweenBlocks = Duration.decode(reply.delayBetweenBlocks ?? 0)
  const betweenEvents = Duration.decode(reply.chunkDelay ?? 0)
  return Stream.fromIterable(events).pipe(
    Stream.zipWithIndex,
    // `mapEffect` hands on one event at a time, so each is written, and leaves, by itself.
    Stream.mapEffect(([event, position]) => {
      const newBlock = event.type === "content_block_start" && event.data["index"] !== 0
      const pause = Duration.sum(
        position === 0 ? Duration.zero : betweenEvents,
        newBlock ? betweenBlocks : Duration.zero
      )
      return Duration.toMillis(pause) > 0
        ? Effect.delay(Effect.succeed(encode(event)), pause)
        : Effect.succeed(encode(event))
    })
  )
}

/** A reply as server-sent events. */
export const streamed = (
  request: Request,
  envelope: Envelope,
  content: ReadonlyArray<Json>,
  reply: MessageReply
): Response => {
  const events = toEvents(envelope, content)
  const fault = reply.fault
  return HttpServerResponse.stream(
    fault === undefined
      ? paced(events, reply)
      : Stream.concat(paced(beforeFault(events, fault.after), reply), endings(request, fault)),
    {
      contentType: "text/event-stream; charset=utf-8",
      headers: { "cache-control": "no-cache", "request-id": `req_${envelope.id.slice("msg_".length)}` }
    }
  )
}

/** A reply as one JSON body. */
export const whole = (
  request: Request,
  envelope: Envelope,
  content: ReadonlyArray<Json>,
  reply: MessageReply
): Effect.Effect<Response> => {
  const requestId = `req_${envelope.id.slice("msg_".length)}`
  const headers = { "request-id": requestId }
  const message = toMessage(envelope, content)
  const socket = RequestSocket.fromRequest(request)
  switch (reply.fault?.kind) {
    case undefined:
      return Effect.succeed(HttpServerResponse.unsafeJson(message, { headers }))
    case "overloaded":
      return Effect.succeed(failure(requestId, { status: 529, type: "overloaded_error", message: "Overloaded" }))
    case "stall":
      return Effect.interruptible(Effect.never)
    case "reset":
      return socket === undefined
        ? Effect.succeed(HttpServerResponse.empty())
        : Effect.interruptible(Effect.andThen(RequestSocket.reset(socket), Effect.never))
    case "cut": {
      const text = JSON.stringify(message)
      const half = new TextEncoder().encode(text.slice(0, Math.floor(text.length / 2)))
      return Effect.succeed(
        HttpServerResponse.stream(Stream.succeed(half), { contentType: "application/json", headers })
      )
    }
  }
}
