/** Something that several users hold together: it is let go when the last of them is done. */
import * as Effect from "effect/Effect"

export interface Holds {
  readonly retain: () => void
  readonly release: Effect.Effect<void>
}

/** Held once, by whoever made it. */
export const make = (letGo: Effect.Effect<void>): Holds => {
  let holders = 1
  return {
    retain: () => {
      holders++
    },
    release: Effect.suspend(() => (--holders === 0 ? letGo : Effect.void))
  }
}
