/** Standard output as a pipe knows it: its reader may leave at any time. */
import { stripVTControlCharacters } from "node:util"
import type * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { broken, Failure, readerLeft } from "./failure.ts"

const reason = (error: NodeJS.ErrnoException): Failure =>
  error.code === "EPIPE"
    ? new Failure({ message: "Standard output was closed before everything was written.", code: readerLeft })
    : new Failure({ message: `Standard output cannot be written: ${error.message}`, code: broken })

/** Fails when standard output breaks; does nothing else. */
const breaks = Effect.async<never, Failure>((resume) => {
  const onError = (error: NodeJS.ErrnoException) => resume(reason(error))
  process.stdout.on("error", onError)
  // Whoever does not read the errors does not want them.
  process.stderr.on("error", () => {})
  return Effect.sync(() => void process.stdout.off("error", onError))
})

/** Waits until all that was printed has gone out, or has failed to. */
const flushed = Effect.async<void>((resume) => {
  process.stdout.write("", () => setImmediate(() => resume(Effect.void)))
})

/**
 * Interrupts the effect when nobody can read its output any more. Always waits for it to end: a race would let go of it
 * in the middle of its last words.
 */
export const piped = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | Failure, R> =>
  Effect.scoped(
    Effect.gen(function* () {
      const running = yield* Effect.fork(Effect.zipLeft(effect, flushed))
      const broken = yield* Effect.forkScoped(Effect.tapError(breaks, () => Fiber.interruptFork(running)))
      const exit = yield* Effect.onInterrupt(Fiber.await(running), () => Fiber.interrupt(running))
      return yield* Option.getOrElse(yield* Fiber.poll(broken), () => exit)
    })
  )

/** For what the command line prints of its own: without colours where they are not seen, and without its errors. */
export const quietly = (console: Console.Console): Console.Console => ({
  ...console,
  log: (...words) =>
    console.log(...(process.stdout.isTTY ? words : words.map((word) => stripVTControlCharacters(String(word))))),
  error: () => Effect.void
})
