/** What the options of a journal and of its store may hold. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Options } from "../../services/Journal.ts"
import type { Retention } from "../../services/JournalStore.ts"
import { checkAgainst } from "../definition.ts"

/** All decided. */
export interface Limits {
  /** `Infinity` for any number. */
  readonly maxLogs: number
  /** Milliseconds, `Infinity` for ever. */
  readonly maxAgeMillis: number
}

const accepting = (accepts: string, test: (u: unknown) => boolean) =>
  Schema.optional(Schema.Unknown.pipe(Schema.filter((u) => u === undefined || test(u), { message: () => accepts })))

/** Duration reads a negative amount as none. */
const isNegative = (u: unknown) => (typeof u === "string" ? u.trim().startsWith("-") : Number(u) < 0)

const isPositiveDuration = (u: unknown) =>
  !isNegative(u) && Option.exists(Duration.decodeUnknown(u), (some) => Duration.toMillis(some) > 0)

const duration = (such: string) => accepting(`a duration above zero, such as "${such}"`, isPositiveDuration)

const RetentionData = Schema.Struct({
  maxLogs: accepting(
    "a whole number of 1 or more",
    (u) => u === Number.POSITIVE_INFINITY || (Number.isInteger(u) && Number(u) >= 1)
  ),
  maxAge: duration("7 days")
})

const OptionsData = Schema.Struct({
  whenFailing: accepting('"go on" or "stop before writes"', Schema.is(Schema.Literal("go on", "stop before writes"))),
  timeout: duration("1 second")
})

/** Throws `InvalidDefinition` for the first option that is wrong. */
export const check = (options: Options): void => checkAgainst(OptionsData, options, "Journal", "options")

/** Throws `InvalidDefinition` for the first limit that is wrong. */
export const decided = (options: Retention): Limits => {
  checkAgainst(RetentionData, options, "JournalStore", "retention")
  return {
    maxLogs: options.maxLogs ?? 10_000,
    maxAgeMillis: Duration.toMillis(options.maxAge ?? Duration.days(7))
  }
}
