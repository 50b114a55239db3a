/** What a policy's fields may hold. */
import * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"

const isPositiveDuration = (u: unknown): boolean => {
  // Duration reads a negative amount as zero, so its sign has to be seen here.
  if (typeof u === "string" && u.trim().startsWith("-")) return false
  const duration = Duration.decodeUnknown(u)
  return duration._tag === "Some" && Duration.greaterThan(duration.value, Duration.zero)
}

const accepting = (accepts: string, test: (u: unknown) => boolean) =>
  Schema.optional(Schema.Unknown.pipe(Schema.filter((u) => u === undefined || test(u), { message: () => accepts })))

const duration = accepting('a duration above zero, such as "3 seconds"', isPositiveDuration)

const count = accepting(
  "a whole number of 1 or more",
  (u) => u === Number.POSITIVE_INFINITY || (typeof u === "number" && Number.isInteger(u) && u >= 1)
)

const retryTimes = accepting("a whole number of 0 or more", Schema.is(Schema.NonNegativeInt))

const Retry = Schema.Struct({
  times: retryTimes,
  base: duration,
  factor: accepting("a number of 1 or more", Schema.is(Schema.Finite.pipe(Schema.greaterThanOrEqualTo(1)))),
  cap: duration,
  jitter: accepting('"full", "equal" or "none"', Schema.is(Schema.Literal("full", "equal", "none"))),
  retryAfterCap: duration,
  schedule: accepting("a Schedule", Schedule.isSchedule)
})

export const PolicyData = Schema.Struct({
  timeout: Schema.Struct({ attempt: duration, total: duration, idle: duration }),
  retry: Retry,
  concurrency: count,
  maxOutputBytes: count,
  fallback: accepting("a function from the input and the error to an Effect", (u) => typeof u === "function")
})
