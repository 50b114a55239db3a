/** Changes of mode, told to those who listen to batches. */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import { now } from "../../policies/Timeout.ts"
import { BatchEvents } from "../../services/BatchEvents.ts"
import type { Transition } from "../../services/CircuitBreaker.ts"

/**
 * Tells the `BatchEvents` of whoever caused a change, and those the breakers were made with. Each of them once: they are
 * the same as a rule.
 */
export const tellEvents = (madeWith: Option.Option<BatchEvents["Type"]>, transition: Transition): Effect.Effect<void> =>
  Effect.flatMap(Effect.serviceOption(BatchEvents), (causedWith) => {
    const events = new Set(Arr.getSomes([madeWith, causedWith]))
    if (events.size === 0) return Effect.void
    return Effect.flatMap(now, (at) =>
      Effect.forEach(events, ({ publish }) => publish({ _tag: "CircuitChanged", at, ...transition }), { discard: true })
    )
  })
