/**
 * The records of a log as chunks, numbered from 0: one for each write, since a key can only be written anew, and a process
 * that dies meanwhile would tear what was there before. A write of which nobody knows how it ended leaves its number
 * unused, so some may be missing.
 */
import type { PlatformError } from "@effect/platform/Error"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Keys from "./keys.ts"

/** So many are looked for behind the last that is there. Fewer than this may be missing in a row. */
export const span = 16

/** A fiber for each would cost more than the files. */
const concurrency = 8

/** Asks for all chunks, and tells the numbers of those that are there with what `ask` found. */
const all = <A>(ask: (n: number) => Effect.Effect<Option.Option<A>, PlatformError>) =>
  Effect.gen(function* () {
    const found: Array<readonly [n: number, found: A]> = []
    for (let from = 0; ;) {
      const to = (found.at(-1)?.[0] ?? -1) + span
      if (from > to) return found
      const asked = yield* Effect.forEach(
        Arr.range(from, to),
        (n) =>
          Effect.map(
            ask(n),
            Option.map((one) => [n, one] as const)
          ),
        { concurrency }
      )
      found.push(...Arr.getSomes(asked))
      from = to + 1
    }
  })

/** The records in order, and the number of the last chunk; -1 where there is none. */
export const read = (texts: Keys.Texts, life: Keys.Life) =>
  Effect.map(
    all((n) => texts.get(Keys.chunk(life, n))),
    (chunks) => ({
      records: chunks.flatMap(([, text]) => text.split("\n").filter((line) => line !== "")),
      last: chunks.at(-1)?.[0] ?? -1
    })
  )

export const text = (records: ReadonlyArray<string>) => records.map((record) => `${record}\n`).join("")

/** From the last to the first, so that all that are left are found again after a crash. */
export const remove = (texts: Keys.Texts, life: Keys.Life) =>
  Effect.gen(function* () {
    const there = yield* all((n) =>
      Effect.map(texts.has(Keys.chunk(life, n)), (is) => (is ? Option.some(n) : Option.none()))
    )
    for (const [n] of there.toReversed()) yield* texts.remove(Keys.chunk(life, n))
  })
