/** What a random run of a breaker is made of: settings, and commands that are plain data. */
import * as FastCheck from "effect/FastCheck"
import type { Mode } from "../../src/internal/breaker/machine.ts"
import type { Settings } from "../../src/internal/breaker/settings.ts"
import type { Ended, Kind } from "./reference.ts"

export type Command =
  | { readonly _tag: "Admit" }
  | {
      readonly _tag: "Record"
      /** Which of the calls under way: any, so that it may be one from long ago. */
      readonly nth: number
      /** Whether it takes its time first. */
      readonly slow: boolean
      readonly ended: Omit<Ended, "kind"> & { readonly kind: Kind | "towards" }
    }
  | { readonly _tag: "Advance"; readonly millis: number }
  /** To an instant at which something falls due, or to just before or after it. */
  | { readonly _tag: "AdvanceTo"; readonly nth: number; readonly off: number }
  | { readonly _tag: "Isolate" }
  | { readonly _tag: "Release"; readonly nth: number }
  | { readonly _tag: "Reset" }

/** A command, or what is next on the way round: to fail where it is closed, to wait, to succeed where it is half-open. */
export type Move = Command | { readonly _tag: "Drive" }

const rate = FastCheck.constantFrom(0.1, 0.25, 1 / 3, 0.5, 0.6, 0.75, 1)
const off = FastCheck.constant(2)

const trip = FastCheck.record({
  consecutive: FastCheck.oneof(FastCheck.constant(0), FastCheck.integer({ min: 1, max: 5 })),
  failureRate: FastCheck.oneof(off, rate),
  slowRate: FastCheck.oneof(off, off, rate)
}).filter((trip) => trip.consecutive > 0 || trip.failureRate <= 1 || trip.slowRate <= 1)

const window: FastCheck.Arbitrary<Settings["window"]> = FastCheck.oneof(
  FastCheck.integer({ min: 1, max: 12 }).map((size) => ({ kind: "calls" as const, size })),
  FastCheck.constantFrom(70, 333, 1000, 5000).map((millis) => ({ kind: "time" as const, millis }))
)

export const settings: FastCheck.Arbitrary<Settings> = FastCheck.record({
  trip,
  window,
  minimumCalls: FastCheck.integer({ min: 1, max: 6 }),
  rest: FastCheck.record({
    slowMillis: FastCheck.constantFrom(0, 5, 100),
    groupStreak: FastCheck.boolean(),
    groupWindow: FastCheck.boolean(),
    openMillis: FastCheck.array(FastCheck.constantFrom(1, 10, 100, 250, 1000), { minLength: 1, maxLength: 4 }),
    retryAfterCapMillis: FastCheck.constantFrom(0, 50, 400),
    probes: FastCheck.integer({ min: 1, max: 4 }),
    probeConcurrency: FastCheck.integer({ min: 1, max: 4 }),
    probeFailures: FastCheck.integer({ min: 0, max: 2 }),
    leaseMillis: FastCheck.constantFrom(1, 30, 200),
    halfOpenMillis: FastCheck.constantFrom(0, 0, 20, 150),
    halfOpenBecomes: FastCheck.constantFrom("open" as const, "closed" as const),
    metricsOnly: FastCheck.constant(false)
  })
}).map(({ minimumCalls, rest, trip, window }) =>
  Object.assign(trip, rest, {
    window,
    minimumCalls: window.kind === "calls" ? Math.min(minimumCalls, window.size) : minimumCalls,
    probeFailures: Math.min(rest.probeFailures, rest.probes - 1)
  })
)

/** The commands of a `Drive`. */
export const drive = (mode: Mode, underWay: number): ReadonlyArray<Command> =>
  mode === "Open"
    ? [{ _tag: "AdvanceTo", nth: 0, off: 0 }]
    : [
        { _tag: "Admit" },
        {
          _tag: "Record",
          nth: underWay,
          slow: false,
          ended: { kind: "towards", retryAfter: 0, cause: undefined, group: undefined }
        }
      ]

const nth = FastCheck.oneof(FastCheck.constant(0), FastCheck.nat(20))

const ended = FastCheck.record({
  kind: FastCheck.constantFrom<Kind | "towards">("towards", "towards", "towards", "success", "failure", "ignored"),
  retryAfter: FastCheck.constantFrom(0, 0, 0, 20, 300, 5000, Number.POSITIVE_INFINITY),
  cause: FastCheck.constantFrom(undefined, "one", "two"),
  group: FastCheck.constantFrom(undefined, undefined, "a", "b", "c")
})

const move: FastCheck.Arbitrary<Move> = FastCheck.oneof(
  { weight: 20, arbitrary: FastCheck.constant({ _tag: "Drive" as const }) },
  { weight: 30, arbitrary: FastCheck.constant({ _tag: "Admit" as const }) },
  {
    weight: 26,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("Record" as const),
      nth,
      slow: FastCheck.oneof(FastCheck.constant(false), FastCheck.constant(false), FastCheck.boolean()),
      ended
    })
  },
  {
    weight: 12,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("AdvanceTo" as const),
      nth,
      off: FastCheck.constantFrom(0, 0, -1, 1, 7)
    })
  },
  {
    weight: 4,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("Advance" as const),
      millis: FastCheck.oneof(FastCheck.nat(50), FastCheck.nat(3000))
    })
  },
  { weight: 1, arbitrary: FastCheck.constant({ _tag: "Isolate" as const }) },
  { weight: 2, arbitrary: FastCheck.record({ _tag: FastCheck.constant("Release" as const), nth }) },
  { weight: 1, arbitrary: FastCheck.constant({ _tag: "Reset" as const }) }
)

export const moves = (maxLength: number): FastCheck.Arbitrary<ReadonlyArray<Move>> =>
  FastCheck.array(move, { minLength: 1, maxLength, size: "max" })
