/** The monotonic clock for code that runs outside of effects. */
import type * as Clock from "effect/Clock"

/** Reads milliseconds, as `Timeout.now` does. */
export const reader =
  (clock: Clock.Clock): (() => number) =>
  () =>
    Number(clock.unsafeCurrentTimeNanos()) / 1e6
