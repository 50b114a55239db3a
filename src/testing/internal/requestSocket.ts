/**
 * The socket under a request, where the platform is Node. Told by its shape, so that nothing here imports Node.
 */
import type * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Effect from "effect/Effect"

export interface RequestSocket {
  readonly destroy: () => unknown
  readonly write: (chunk: string, done: () => void) => unknown
}

const has = (u: unknown, key: string): u is Readonly<Record<string, unknown>> =>
  typeof u === "object" && u !== null && key in u

const isRequestSocket = (u: unknown): u is RequestSocket =>
  has(u, "destroy") && typeof u["destroy"] === "function" && has(u, "write") && typeof u["write"] === "function"

/** `undefined` where the server is not Node's. */
export const fromRequest = (request: Pick<HttpServerRequest.HttpServerRequest, "source">): RequestSocket | undefined =>
  has(request.source, "socket") && isRequestSocket(request.source["socket"]) ? request.source["socket"] : undefined

/** Waits until everything written so far has left, and tears the connection down. */
export const reset = (socket: RequestSocket): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    // A response's chunks are corked until the next tick: destroying now would lose the events before the reset.
    socket.write("", () => resume(Effect.void))
  }).pipe(Effect.andThen(Effect.sync(() => void socket.destroy())))
