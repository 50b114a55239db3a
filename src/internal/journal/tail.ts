/** The end of a log that is written to: the next chunk's number, and what is known of those before. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { PlatformError } from "@effect/platform/Error"
import * as Chunks from "./chunks.ts"
import * as Keys from "./keys.ts"

export interface Tail {
  readonly life: Keys.Life
  /** When that was last written down, in milliseconds of the wall clock. */
  usedAt: number
  isRemoved: boolean
  /** The last chunk that is there for certain; -1 for none. */
  last: number
  next: number
  /** How many writes have not ended. */
  writing: number
}

export const make = (life: Keys.Life, usedAt: number, last: number): Tail => ({
  life,
  usedAt,
  isRemoved: false,
  last,
  next: last + 1,
  writing: 0
})

/** Whether so many writes in a row have not ended that whoever reads would take one more for the end. */
export const isStuck = ({ last, next }: Tail) => next - last > Chunks.span

/**
 * Writes a chunk, in a fiber of its own: who is interrupted while it waits leaves a write behind that may still take
 * effect, so nobody else gets its number until all have ended.
 */
export const append = (
  texts: Keys.Texts,
  tail: Tail,
  records: ReadonlyArray<string>,
  ended: () => void
): Effect.Effect<void, PlatformError> =>
  Effect.suspend(() => {
    const n = tail.next++
    tail.writing++
    const key = Keys.chunk(tail.life, n)
    return texts.set(key, Chunks.text(records)).pipe(
      Effect.tap(() => {
        tail.last = Math.max(tail.last, n)
        return tail.isRemoved ? Effect.ignore(texts.remove(key)) : Effect.void
      }),
      Effect.ensuring(
        Effect.sync(() => {
          if (--tail.writing === 0) tail.next = tail.last + 1
          ended()
        })
      ),
      Effect.forkDaemon,
      Effect.flatMap(Fiber.join)
    )
  })
