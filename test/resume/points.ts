/** Points at which a process may be cut off: before and after each operation of its journal, and in the middle of one. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Journal } from "../../src/index.ts"

type Store = Journal.JournalStore["Type"]

export interface Life {
  /** Whether it is cut off at the point of that name, or was before. */
  readonly isCutAt: (name: string) => boolean
  /** What is then left of it. */
  readonly cut: Effect.Effect<never>
}

export const point =
  ({ cut, isCutAt }: Life) =>
  (name: string): Effect.Effect<void> =>
    Effect.suspend(() => (isCutAt(name) ? cut : Effect.void))

const Line = Schema.parseJson(
  Schema.Struct({
    record: Schema.Struct({
      _tag: Schema.String,
      tool: Schema.optional(Schema.String),
      callId: Schema.optional(Schema.String)
    })
  })
)

/** What a line of a log is about: `Started pay c1`. */
const about = (line: string): string => {
  const { _tag, callId, tool } = Schema.decodeUnknownSync(Line)(line).record
  return [_tag, tool, callId].filter((part) => part !== undefined).join(" ")
}

export const withPoints = (store: Store, life: Life): Store => {
  const pass = point(life)

  /** The last that it writes. */
  const dying = ({ append }: Journal.StoredLog, lines: ReadonlyArray<string>) =>
    Effect.zipRight(lines.length === 0 ? Effect.void : append(lines), life.cut)

  const write = (log: Journal.StoredLog, lines: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      for (const [i, line] of lines.entries()) {
        const whole = lines.slice(0, i)
        if (life.isCutAt(`before ${about(line)}`)) return yield* dying(log, whole)
        if (life.isCutAt(`half of ${about(line)}`)) {
          return yield* dying(log, [...whole, line.slice(0, line.length / 2)])
        }
      }
      yield* log.append(lines)
      for (const line of lines) yield* pass(`after ${about(line)}`)
    })

  return {
    open: (name) =>
      pass(`before opening ${name}`).pipe(
        Effect.zipRight(store.open(name)),
        Effect.zipLeft(pass(`after opening ${name}`)),
        Effect.map((log) => ({ ...log, append: (lines) => write(log, lines) }))
      ),
    remove: (name) =>
      pass(`before removing ${name}`).pipe(
        Effect.zipRight(store.remove(name)),
        Effect.zipLeft(pass(`after removing ${name}`))
      )
  }
}
