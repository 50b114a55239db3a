import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { type Policy, Tool, Toolbox, ToolRunner } from "../../src/index.ts"

/** Defines a tool with this policy, as a program without types might. */
const define = (policy: unknown) =>
  Tool.Service<never>()("read", {
    description: "Reads",
    input: Schema.Struct({}),
    output: Schema.Unknown,
    effects: "read",
    policy: policy as Policy.Policy
  })

/** What is thrown, or what the program dies with. */
const thrown = (define: () => unknown): unknown => {
  try {
    define()
    return undefined
  } catch (error) {
    return error
  }
}

const runnerWith = (policy: unknown) =>
  Effect.map(
    Effect.exit(Effect.provide(ToolRunner.ToolRunner, ToolRunner.layerWith({ policy: policy as Policy.Policy }))),
    (exit) => (Exit.isFailure(exit) ? Option.getOrUndefined(Cause.dieOption(exit.cause)) : undefined)
  )

const above = 'a duration above zero, such as "3 seconds"'
const orZero = 'a duration of zero or more, such as "200 millis"'
const count = "a whole number of 1 or more"
const countOrZero = "a whole number of 0 or more"
const amount = "a number of 0 or more"
const factor = "a number of 1 or more"
const jitter = '"full", "equal", "decorrelated" or "none"'
const rate = "a number above 0, up to 1"
const name = "a string that is not empty"
const bulkhead = "a number of slots, or { limit, weight, queue, queueTimeout, pool }"
const backOff = "a back-off: { base, factor, cap, jitter, schedule }"
const none = "no such field"

/** The policy, the field that is wrong, what the error says stands there, and what it says is accepted. */
const wrong: ReadonlyArray<readonly [policy: unknown, field: string, actual: string, accepts: string]> = [
  [{ timeout: 0 }, "timeout.attempt", "the number 0", above],
  [{ timeout: -5 }, "timeout.attempt", "the number -5", above],
  [{ timeout: "soon" }, "timeout.attempt", 'the string "soon"', above],
  [{ timeout: "-1 seconds" }, "timeout.attempt", 'the string "-1 seconds"', above],
  [{ timeout: { attempt: 0 } }, "timeout.attempt", "the number 0", above],
  [{ timeout: { total: "0 seconds" } }, "timeout.total", 'the string "0 seconds"', above],
  [{ timeout: { idle: Number.NaN } }, "timeout.idle", "the number NaN", above],
  [{ timeout: { grace: -1 } }, "timeout.grace", "the number -1", orZero],
  [{ timeout: { attemt: 1 } }, "timeout.attemt", "the number 1", none],
  [{ retry: { times: -1 } }, "retry.times", "the number -1", countOrZero],
  [{ retry: { times: 1.5 } }, "retry.times", "the number 1.5", countOrZero],
  [{ retry: { times: Number.POSITIVE_INFINITY } }, "retry.times", "the number Infinity", countOrZero],
  [{ retry: { base: -1 } }, "retry.base", "the number -1", orZero],
  [{ retry: { factor: 0.5 } }, "retry.factor", "the number 0.5", factor],
  [{ retry: { factor: Number.NaN } }, "retry.factor", "the number NaN", factor],
  [{ retry: { cap: 0 } }, "retry.cap", "the number 0", above],
  [{ retry: { jitter: "some" } }, "retry.jitter", 'the string "some"', jitter],
  [{ retry: { schedule: 5 } }, "retry.schedule", "the number 5", "a Schedule"],
  [{ retry: { retryAfterCap: "-1 minutes" } }, "retry.retryAfterCap", 'the string "-1 minutes"', orZero],
  [{ retry: { throttled: 5 } }, "retry.throttled", "the number 5", backOff],
  [{ retry: { throttled: { base: -1 } } }, "retry.throttled.base", "the number -1", orZero],
  [{ retry: { throttled: { times: 1 } } }, "retry.throttled.times", "the number 1", none],
  [{ retry: { timedOut: { factor: 0 } } }, "retry.timedOut.factor", "the number 0", factor],
  [{ retry: { timedOut: { cap: -1 } } }, "retry.timedOut.cap", "the number -1", above],
  [{ retry: { timedOut: { jitter: 1 } } }, "retry.timedOut.jitter", "the number 1", jitter],
  [{ retry: { timedOut: { schedule: {} } } }, "retry.timedOut.schedule", "an object", "a Schedule"],
  [{ retry: { rejected: "yes" } }, "retry.rejected", 'the string "yes"', "true or false"],
  [{ retry: { budget: 5 } }, "retry.budget", "the number 5", "{ ratio, floor, cap } or false"],
  [{ retry: { budget: { ratio: -0.1 } } }, "retry.budget.ratio", "the number -0.1", amount],
  [{ retry: { budget: { floor: 1.5 } } }, "retry.budget.floor", "the number 1.5", countOrZero],
  [{ retry: { budget: { cap: Number.POSITIVE_INFINITY } } }, "retry.budget.cap", "the number Infinity", amount],
  [{ retry: { budget: { max: 1 } } }, "retry.budget.max", "the number 1", none],
  [{ retry: { time: 3 } }, "retry.time", "the number 3", none],
  [{ circuitBreaker: { name: "" } }, "circuitBreaker.name", 'the string ""', name],
  [{ circuitBreaker: { trip: { consecutive: 0 } } }, "circuitBreaker.trip.consecutive", "the number 0", count],
  [{ bulkhead: 0 }, "bulkhead.limit", "the number 0", count],
  [{ bulkhead: 1.5 }, "bulkhead.limit", "the number 1.5", count],
  [{ bulkhead: "two" }, "bulkhead", 'the string "two"', bulkhead],
  [{ bulkhead: { limit: -1 } }, "bulkhead.limit", "the number -1", count],
  [{ bulkhead: { weight: 1 } }, "bulkhead.limit", "undefined", count],
  [{ bulkhead: { limit: 1, weight: 0 } }, "bulkhead.weight", "the number 0", count],
  [{ bulkhead: { limit: 1, queue: -1 } }, "bulkhead.queue", "the number -1", countOrZero],
  [{ bulkhead: { limit: 1, queueTimeout: 0 } }, "bulkhead.queueTimeout", "the number 0", above],
  [{ bulkhead: { limit: 1, pool: "" } }, "bulkhead.pool", 'the string ""', name],
  [{ bulkhead: { limit: 1, slots: 2 } }, "bulkhead.slots", "the number 2", none],
  [{ rateLimit: { limit: 0, per: "1 second" } }, "rateLimit.limit", "the number 0", count],
  [
    { rateLimit: { limit: 1, per: 0 } },
    "rateLimit.per",
    "the number 0",
    'a duration above zero that ends, such as "1 second"'
  ],
  [{ rateLimit: { per: "1 second" } }, "rateLimit.limit", "undefined", count],
  [{ rateLimit: { limit: 1, per: 1, burst: 0 } }, "rateLimit.burst", "the number 0", count],
  [{ rateLimit: { limit: 1, per: 1, onLimit: "drop" } }, "rateLimit.onLimit", 'the string "drop"', '"wait" or "fail"'],
  [
    { rateLimit: { limit: 1, per: 1, maxWait: -1 } },
    "rateLimit.maxWait",
    "the number -1",
    'a duration of zero or more, such as "5 seconds"'
  ],
  [
    { rateLimit: { limit: 2, per: 1, cost: 3 } },
    "rateLimit.cost",
    "the number 3",
    "a whole number of at most the burst, 2"
  ],
  [{ rateLimit: { limit: 1, per: 1, name: "" } }, "rateLimit.name", 'the string ""', name],
  [{ hedge: { delay: 0 } }, "hedge.delay", "the number 0", 'a duration above zero, or "p95"'],
  [{ hedge: { delay: "p99" } }, "hedge.delay", 'the string "p99"', 'a duration above zero, or "p95"'],
  [{ hedge: {} }, "hedge.delay", "undefined", 'a duration above zero, or "p95"'],
  [{ hedge: { delay: "p95", budget: 0 } }, "hedge.budget", "the number 0", rate],
  [{ hedge: { delay: "p95", budget: 2 } }, "hedge.budget", "the number 2", rate],
  [{ hedge: true }, "hedge", "the boolean true", "{ delay, budget }"],
  [{ cache: { ttl: 0 } }, "cache.ttl", "the number 0", 'a duration above zero, such as "1 minute"'],
  [{ cache: {} }, "cache.ttl", "undefined", 'a duration above zero, such as "1 minute"'],
  [{ cache: { ttl: 1, capacity: 0 } }, "cache.capacity", "the number 0", count],
  [{ cache: "1 minute" }, "cache", 'the string "1 minute"', "{ ttl, capacity }"],
  [{ coalesce: "no" }, "coalesce", 'the string "no"', "true or false"],
  [{ maxOutputBytes: 0 }, "maxOutputBytes", "the number 0", count],
  [{ maxOutputBytes: "1 MB" }, "maxOutputBytes", 'the string "1 MB"', count],
  [{ maxRetries: 3 }, "maxRetries", "the number 3", none]
]

describe.each(wrong)("%j: policy.%s is %s, and takes %s", (policy, field, actual, accepts) => {
  const says = (error: unknown, subject: string) => {
    assert.instanceOf(error, Tool.InvalidDefinition)
    assert.deepStrictEqual(
      { subject: error.subject, field: error.field, actual: error.actual, accepts: error.accepts },
      { subject, field: `policy.${field}`, actual, accepts }
    )
    assert.strictEqual(error.message, `${subject}: policy.${field} is ${actual}; it takes ${accepts}`)
  }

  it("is said by a tool", () =>
    says(
      thrown(() => define(policy)),
      'Tool "read"'
    ))

  it("is said by a toolbox", () =>
    says(
      thrown(() => Toolbox.withPolicy(Toolbox.make(), policy as Policy.Policy)),
      "Toolbox"
    ))

  it.effect("is said by a runner", () => Effect.map(runnerWith(policy), (error) => says(error, "ToolRunner")))
})

describe("a tool's own policy", () => {
  const accepts = "a function from the input and the error to an Effect, { value }, or { tool }"
  for (const [fallback, actual] of [
    [5, "the number 5"],
    ["none", 'the string "none"'],
    [{}, "an object"],
    [{ tool: "backup" }, "an object"]
  ] as const) {
    it(`refuses ${JSON.stringify(fallback)} as a fallback`, () => {
      const error = thrown(() => define({ fallback }))
      assert.instanceOf(error, Tool.InvalidDefinition)
      assert.strictEqual(error.message, `Tool "read": policy.fallback is ${actual}; it takes ${accepts}`)
    })
  }
})

describe("a policy that is right", () => {
  const right: ReadonlyArray<Policy.Policy> = [
    {},
    { timeout: "3 seconds" },
    { timeout: [3, 0] },
    { timeout: Number.POSITIVE_INFINITY },
    { timeout: { attempt: 1n, total: "1 minute", idle: "5 seconds", grace: 0 } },
    { retry: false },
    { retry: { times: 0, base: 0, factor: 1, cap: 1, jitter: "none", retryAfterCap: 0, budget: false } },
    { retry: { schedule: Schedule.spaced("1 second"), budget: { ratio: 0, floor: 0, cap: 0 } } },
    { retry: { throttled: { base: 0 }, timedOut: { schedule: Schedule.forever } } },
    { circuitBreaker: false, bulkhead: false, rateLimit: false, hedge: false, cache: false },
    { bulkhead: Number.POSITIVE_INFINITY },
    { bulkhead: { limit: 1, weight: 9, queue: 0, queueTimeout: 1, pool: "p" } },
    { hedge: { delay: "p95", budget: 1 }, cache: { ttl: "1 minute", capacity: 1 }, coalesce: false, maxOutputBytes: 1 },
    { timeout: undefined, retry: undefined, hedge: undefined, cache: undefined, coalesce: undefined }
  ]
  it.effect("is taken by tool, toolbox and runner", () =>
    Effect.forEach(right, (policy) =>
      Effect.gen(function* () {
        assert.isUndefined(thrown(() => define(policy)))
        assert.isUndefined(thrown(() => Toolbox.withPolicy(Toolbox.make(), policy)))
        assert.isUndefined(yield* runnerWith(policy))
      })
    )
  )
})
