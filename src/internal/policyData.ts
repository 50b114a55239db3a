/** What a policy's fields may hold. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"

const isPositiveDuration = (u: unknown): boolean => {
  // Duration reads a negative amount as zero, so its sign has to be seen here.
  if (typeof u === "string" && u.trim().startsWith("-")) return false
  const duration = Duration.decodeUnknown(u)
  return duration._tag === "Some" && Duration.greaterThan(duration.value, Duration.zero)
}

const isZero = (u: unknown): boolean =>
  Option.exists(Duration.decodeUnknown(u), Duration.isZero) &&
  !(typeof u === "number" && u < 0) &&
  !(typeof u === "string" && u.trim().startsWith("-"))

const isDuration = (u: unknown): boolean => isPositiveDuration(u) || isZero(u)

const isTimeWindow = (u: unknown): boolean =>
  Predicate.isRecord(u) && Object.keys(u).length === 1 && isPositiveDuration(u["time"])

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

const durationOrZero = accepting('a duration of zero or more, such as "200 millis"', isDuration)

const rate = accepting(
  "a number above 0, up to 1",
  Schema.is(
    Schema.Finite.pipe(
      Schema.between(0, 1),
      Schema.filter((n) => n > 0)
    )
  )
)

const flag = accepting("true or false", Schema.is(Schema.Boolean))

/** One of several shapes: which one, and what it may hold, is for `accepts` to say. */
const Trip = Schema.Struct({
  consecutive: count,
  failureRate: rate,
  slowRate: rate,
  slowerThan: durationOrZero,
  window: accepting(
    "{ calls: a whole number of 1 or more } or { time: a duration above zero }",
    (u) => Schema.is(Schema.Struct({ calls: Schema.Positive.pipe(Schema.int()) }))(u) || isTimeWindow(u)
  ),
  minimumCalls: count,
  perBatch: flag
}).pipe(
  Schema.filter((trip) =>
    trip.slowRate !== undefined && trip.slowerThan === undefined
      ? { path: ["slowerThan"], message: 'a duration, such as "5 seconds", where slowRate is given' }
      : undefined
  )
)

export const CircuitBreakerData = Schema.Struct({
  name: accepting("a string that is not empty", Schema.is(Schema.NonEmptyString)),
  trip: Schema.optional(Schema.UndefinedOr(Trip)),
  openFor: accepting(
    'a duration above zero, such as "10 seconds", or a Schedule',
    (u) => isPositiveDuration(u) || Schedule.isSchedule(u)
  ),
  retryAfterCap: durationOrZero,
  probes: Schema.optional(Schema.UndefinedOr(Schema.Struct({ count, mayFail: retryTimes, atOnce: count }))),
  lease: duration,
  halfOpen: Schema.optional(
    Schema.UndefinedOr(
      Schema.Struct({
        atMost: duration,
        become: accepting('"open" or "closed"', Schema.is(Schema.Literal("open", "closed")))
      })
    )
  ),
  metricsOnly: flag
})

export const PolicyData = Schema.Struct({
  timeout: Schema.Struct({ attempt: duration, total: duration, idle: duration }),
  retry: Retry,
  concurrency: count,
  maxOutputBytes: count,
  fallback: accepting("a function from the input and the error to an Effect", (u) => typeof u === "function")
})
