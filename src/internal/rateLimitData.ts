/** What the fields of a rate limit's policy may hold. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

// Duration reads a negative amount as zero, so its sign has to be seen here.
const isNegative = (u: unknown): boolean => (typeof u === "string" ? u.trim().startsWith("-") : Number(u) < 0)

const durationOf = (u: unknown): Option.Option<Duration.Duration> =>
  isNegative(u) ? Option.none() : Duration.decodeUnknown(u)

const isPeriod = (u: unknown): boolean =>
  Option.exists(durationOf(u), (period) => Duration.isFinite(period) && Duration.greaterThan(period, Duration.zero))

const required = (accepts: string, test: (u: unknown) => boolean) =>
  Schema.Unknown.pipe(Schema.filter(test, { message: () => accepts }))

const needed = (accepts: string, test: (u: unknown) => boolean) =>
  Schema.propertySignature(required(accepts, test)).annotations({ missingMessage: () => accepts })

const optional = (accepts: string, test: (u: unknown) => boolean) =>
  Schema.optional(required(accepts, (u) => u === undefined || test(u)))

const isCount = Schema.is(Schema.Int.pipe(Schema.positive()))

const count = "a whole number of 1 or more"

export const RateLimitData = Schema.Struct({
  limit: needed(count, isCount),
  per: needed('a duration above zero that ends, such as "1 second"', isPeriod),
  burst: optional(count, isCount),
  onLimit: optional('"wait" or "fail"', Schema.is(Schema.Literal("wait", "fail"))),
  maxWait: optional('a duration of zero or more, such as "5 seconds"', (u) => Option.isSome(durationOf(u))),
  cost: optional(count, isCount),
  name: optional("a string that is not empty", Schema.is(Schema.NonEmptyString))
})
  .annotations({ message: () => "{ limit, per, burst, onLimit, maxWait, cost, name }" })
  .pipe(
    Schema.filter(({ burst, cost, limit }) =>
      Number(cost ?? 1) > Number(burst ?? limit)
        ? { path: ["cost"], message: `a whole number of at most the burst, ${String(burst ?? limit)}` }
        : undefined
    )
  )
