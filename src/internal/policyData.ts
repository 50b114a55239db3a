/** What a policy's fields may hold. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { RateLimitData } from "./rateLimitData.ts"
import { defaultWindow } from "./breaker/settings.ts"

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

const isCount = (u: unknown): boolean =>
  u === Number.POSITIVE_INFINITY || (typeof u === "number" && Number.isInteger(u) && u >= 1)

const count = accepting("a whole number of 1 or more", isCount)

const retryTimes = accepting("a whole number of 0 or more", Schema.is(Schema.NonNegativeInt))

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

/** An object of these fields, or nothing. */
const shape = <Fields extends Schema.Struct.Fields>(accepts: string, fields: Fields) =>
  Schema.optional(Schema.UndefinedOr(Schema.Struct(fields).annotations({ message: () => accepts })))

const BackOff = {
  base: durationOrZero,
  factor: accepting("a number of 1 or more", Schema.is(Schema.Finite.pipe(Schema.greaterThanOrEqualTo(1)))),
  cap: duration,
  jitter: accepting(
    '"full", "equal", "decorrelated" or "none"',
    Schema.is(Schema.Literal("full", "equal", "decorrelated", "none"))
  ),
  schedule: accepting("a Schedule", Schedule.isSchedule)
}

const name = accepting("a string that is not empty", Schema.is(Schema.NonEmptyString))

const amount = accepting("a number of 0 or more", Schema.is(Schema.Finite.pipe(Schema.nonNegative())))

const Retry = Schema.Struct({
  ...BackOff,
  times: retryTimes,
  retryAfterCap: durationOrZero,
  throttled: shape("a back-off: { base, factor, cap, jitter, schedule }", BackOff),
  timedOut: shape("a back-off: { base, factor, cap, jitter, schedule }", BackOff),
  rejected: flag,
  budget: shape("{ ratio, floor, cap } or false", { ratio: amount, floor: retryTimes, cap: amount })
})

const required = (accepts: string, test: (u: unknown) => boolean) =>
  Schema.propertySignature(Schema.Unknown.pipe(Schema.filter(test, { message: () => accepts }))).annotations({
    missingMessage: () => accepts
  })

const Bulkhead = shape("a number of slots, or { limit, weight, queue, queueTimeout, pool }", {
  limit: required("a whole number of 1 or more", isCount),
  weight: count,
  queue: retryTimes,
  queueTimeout: duration,
  pool: name
})

const Hedge = shape("{ delay, budget }", {
  delay: required('a duration above zero, or "p95"', (u) => u === "p95" || isPositiveDuration(u)),
  budget: rate
})

const Cache = shape("{ ttl, capacity }", {
  ttl: required('a duration above zero, such as "1 minute"', isPositiveDuration),
  capacity: count
})

/** Finite, since settings travel as JSON. */
const whole = accepting("a whole number of 1 or more", Schema.is(Schema.Positive.pipe(Schema.int())))

const isCallWindow = Schema.is(Schema.Struct({ calls: Schema.Positive.pipe(Schema.int()) }))

const isWindow = (u: unknown): boolean => isTimeWindow(u) || (isCallWindow(u) && Object.keys(u).length === 1)

/** Says what the whole takes; a filter piped after it says what its fields have to be to each other. */
const struct = <Fields extends Schema.Struct.Fields>(accepts: string, fields: Fields) =>
  Schema.Struct(fields).annotations({ message: () => accepts })

const Trip = struct("{ consecutive, failureRate, slowRate, slowerThan, window, minimumCalls, perBatch }", {
  consecutive: whole,
  failureRate: rate,
  slowRate: rate,
  slowerThan: durationOrZero,
  window: accepting("{ calls: a whole number of 1 or more } or { time: a duration above zero }", isWindow),
  minimumCalls: whole,
  perBatch: flag
}).pipe(
  Schema.filter(({ minimumCalls = 1, slowRate, slowerThan, window }) => {
    if (slowRate !== undefined && slowerThan === undefined) {
      return { path: ["slowerThan"], message: 'a duration, such as "5 seconds", where slowRate is given' }
    }
    const calls = window === undefined ? defaultWindow : isCallWindow(window) ? window.calls : undefined
    return calls !== undefined && Number(minimumCalls) > calls
      ? { path: ["minimumCalls"], message: `no more than the ${calls} calls of its window` }
      : undefined
  })
)

const Probes = struct("a whole number of 1 or more, or { count, mayFail, atOnce }", {
  count: whole,
  mayFail: retryTimes,
  atOnce: whole
}).pipe(
  Schema.filter(({ count = 1, mayFail = 0 }) =>
    Number(mayFail) >= Number(count)
      ? { path: ["mayFail"], message: `fewer than all of its probes, which are ${String(count)}` }
      : undefined
  )
)

const HalfOpen = struct("{ atMost, become }", {
  atMost: required('a duration above zero, such as "30 seconds"', isPositiveDuration),
  become: accepting('"open" or "closed"', Schema.is(Schema.Literal("open", "closed")))
})

export const CircuitBreakerData = Schema.Struct({
  name,
  trip: Schema.optional(Schema.UndefinedOr(Trip)),
  openFor: accepting(
    'a duration above zero, such as "10 seconds", or a Schedule',
    (u) => isPositiveDuration(u) || Schedule.isSchedule(u)
  ),
  retryAfterCap: durationOrZero,
  probes: Schema.optional(Schema.UndefinedOr(Probes)),
  lease: duration,
  halfOpen: Schema.optional(Schema.UndefinedOr(HalfOpen)),
  metricsOnly: flag
})

const isFallback = (u: unknown): boolean =>
  typeof u === "function" ||
  (Predicate.isRecord(u) &&
    ("value" in u || (Predicate.hasProperty(u, "tool") && Predicate.hasProperty(u["tool"], "definition"))))

export const PolicyData = Schema.Struct({
  timeout: Schema.Struct({ attempt: duration, total: duration, idle: duration, grace: durationOrZero }),
  retry: Retry,
  circuitBreaker: Schema.optional(Schema.UndefinedOr(CircuitBreakerData)),
  bulkhead: Bulkhead,
  rateLimit: Schema.optional(Schema.UndefinedOr(RateLimitData)),
  hedge: Hedge,
  cache: Cache,
  coalesce: flag,
  maxOutputBytes: count,
  fallback: accepting("a function from the input and the error to an Effect, { value }, or { tool }", (u) =>
    isFallback(u)
  )
})
