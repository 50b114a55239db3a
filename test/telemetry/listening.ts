/** Listens to a run: its events in words, one a line. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { BatchEvents } from "../../src/index.ts"

const waitingFor = (wait: BatchEvents.Wait): string => {
  switch (wait._tag) {
    case "Calls":
      return `${wait.why} ${wait.calls.join(",")}`
    case "RateLimit":
    case "CircuitBreaker":
      return `${wait._tag} ${Duration.toMillis(wait.delay)}`
    default:
      return wait._tag
  }
}

const said = (event: BatchEvents.BatchEvent): string => {
  switch (event._tag) {
    case "Submitted":
      return "submitted"
    case "Waiting":
      return `waits for ${waitingFor(event.for)}`
    case "AttemptStarted":
      return `${event.attempt} started${event.source === "hedge" ? " as a hedge" : ""}`
    case "AttemptSucceeded":
      return `${event.attempt} succeeded`
    case "AttemptFailed":
      return `${event.attempt} failed: ${event.error._tag}`
    case "AttemptAbandoned":
      return `${event.attempt} abandoned`
    case "Retrying":
      return `${event.attempt} in ${Duration.toMillis(event.delay)}`
    case "Progress":
      return `${event.attempt} says ${event.note}`
    case "Finished":
      return `finished: ${event.result._tag === "Success" ? event.result.source : event.result.error._tag}`
    case "CircuitChanged":
      return `circuit ${event.breaker} ${event.from} > ${event.to}`
  }
}

/** When, of which call, and what. */
export const line = (event: BatchEvents.BatchEvent): string =>
  event._tag === "CircuitChanged" ? `${event.at} ${said(event)}` : `${event.at} ${event.call.id} ${said(event)}`

/** A listener that is told at once. */
export const listening = () => {
  const events: Array<BatchEvents.BatchEvent> = []
  const service: BatchEvents.BatchEvents["Type"] = {
    publish: (event) => Effect.sync(() => void events.push(event)),
    stream: Stream.empty
  }
  return {
    events,
    service,
    layer: Layer.succeed(BatchEvents.BatchEvents, service),
    lines: () => events.map(line),
    /** What was told of one call. */
    of: (id: string) => events.flatMap((event) => ("call" in event && event.call.id === id ? [line(event)] : []))
  }
}
