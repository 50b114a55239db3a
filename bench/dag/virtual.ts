/** Runs promises in virtual time: a clock moved by hand, the same for all peers, so that makespans are exact. */
import { setImmediate } from "node:timers/promises"

interface HandClock {
  readonly now: () => number
  readonly sleep: (millis: number) => Promise<void>
  /** Goes on to the moment at which the next sleepers wake; false where nobody sleeps. */
  readonly advance: () => boolean
}

const handClock = (): HandClock => {
  let now = 0
  const sleepers = new Map<number, Array<() => void>>()
  return {
    now: () => now,
    sleep: (millis) =>
      new Promise((wake) => {
        const others = sleepers.get(now + millis)
        if (others === undefined) sleepers.set(now + millis, [wake])
        else others.push(wake)
      }),
    advance: () => {
      if (sleepers.size === 0) return false
      now = Array.from(sleepers.keys()).reduce((soonest, time) => Math.min(soonest, time))
      const due = sleepers.get(now) ?? []
      sleepers.delete(now)
      for (const wake of due) wake()
      return true
    }
  }
}

/** So many turns of the event loop with nobody asleep, and nothing will happen any more. */
const patience = 10_000

/**
 * The virtual milliseconds that `run` takes. The clock goes on after a turn of the event loop, in which all promises have
 * done what they can at its time.
 */
export const inVirtualTime = async <A>(
  run: (sleep: (millis: number) => Promise<void>) => Promise<A>
): Promise<{ readonly millis: number; readonly value: A }> => {
  const clock = handClock()
  const ended = new AbortController()
  const running = run(clock.sleep)
    .then((value) => ({ millis: clock.now(), value }))
    .finally(() => ended.abort())
  for (let idle = 0; !ended.signal.aborted; idle++) {
    if (idle > patience) throw new Error("it does not end, and nobody sleeps")
    await setImmediate()
    if (clock.advance()) idle = 0
  }
  return running
}
