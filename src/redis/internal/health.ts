/**
 * Whether Redis is worth asking. After a failure it is left alone for a while that grows, with some jitter, and then one
 * caller at a time finds out whether it is back: until then every process decides on its own.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as MetricLabel from "effect/MetricLabel"
import * as Random from "effect/Random"

const reachable = Metric.gauge("salvo_redis_up", {
  description: "1 while Redis answers the store that is named by the tag"
})

export interface Health {
  readonly isDown: () => boolean
  /** Whether it is this caller who tries; he has to tell what came of it, or that he gave up. */
  readonly mayTry: (now: number) => boolean
  readonly gaveUp: () => void
  /** What he asked was answered: nothing else tells that Redis is back. */
  readonly answered: Effect.Effect<void>
  readonly failed: (now: number, cause: string) => Effect.Effect<void>
}

export interface BackOff {
  readonly base: number
  readonly cap: number
  /** What is kept in Redis: a plural, for the log. */
  readonly what: string
}

export const make = (backOff: BackOff): Health => {
  const { base, cap, what } = backOff
  // Whatever labels there are around who finds out, it is one gauge; there from the start.
  const labels = [MetricLabel.make("store", what)]
  const set = (up: 0 | 1) => reachable.unsafeUpdate(up, labels)
  set(1)
  let failures = 0
  let until = 0
  let trying = false

  return {
    isDown: () => failures > 0,
    mayTry: (now) => {
      if (trying || now < until) return false
      trying = true
      return true
    },
    gaveUp: () => {
      trying = false
    },
    answered: Effect.suspend(() => {
      if (failures === 0) return Effect.void
      failures = 0
      trying = false
      set(1)
      return Effect.logInfo(`Redis answers again: the ${what} are shared`)
    }),
    failed: (now, cause) =>
      Effect.flatMap(Random.next, (random) => {
        // What was asked before it went away fails later, and tells nothing new.
        if (failures > 0 && !trying) return Effect.void
        const first = failures === 0
        const delay = Math.min(cap, base * 2 ** Math.min(failures, 30))
        failures += 1
        trying = false
        until = now + (delay / 2) * (1 + random)
        if (!first) return Effect.void
        set(0)
        return Effect.logWarning(`Redis does not answer (${cause}): this process goes by ${what} of its own`)
      })
  }
}
