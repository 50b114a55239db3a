/** Listens to a run from before its first event until after its last. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as BatchEvents from "../../services/BatchEvents.ts"

/** A call that ends is told of a moment after its batch has: so many turns are given to that. */
const patience = 1000
/** Turns of the scheduler without a new event, after which there is none on its way. */
const quiet = 10

/** Whether a call has begun and its last event is missing. */
const isOpen = (events: ReadonlyArray<BatchEvents.BatchEvent>): boolean => {
  const open = new Set<string>()
  for (const event of events) {
    if (event._tag === "CircuitChanged") continue
    const key = `${event.index} ${event.batchId}`
    if (event._tag === "Submitted") open.add(key)
    if (event._tag === "Finished") open.delete(key)
  }
  return open.size > 0
}

export const collect: Effect.Effect<
  Effect.Effect<ReadonlyArray<BatchEvents.BatchEvent>>,
  never,
  BatchEvents.BatchEvents | Scope.Scope
> = Effect.gen(function* () {
  const { stream } = yield* BatchEvents.BatchEvents
  const events: Array<BatchEvents.BatchEvent> = []
  const pull = yield* Stream.toPull(stream)
  const listen = Effect.map(pull, (chunk) => {
    for (const event of chunk) events.push(event)
  })
  // The stream ends with its service.
  yield* Effect.forkScoped(Effect.ignore(Effect.forever(listen)))
  // It subscribes when it is first pulled, in its fiber's first turn.
  yield* Effect.yieldNow().pipe(Effect.repeatN(quiet))
  const told = Effect.gen(function* () {
    let unchanged = 0
    for (let turn = 0; turn < patience && (unchanged < quiet || isOpen(events)); turn++) {
      const before = events.length
      yield* Effect.yieldNow()
      unchanged = events.length === before ? unchanged + 1 : 0
    }
  })
  return Effect.map(told, () => [...events])
})
