/** Progress while the batches run: a table that redraws itself in a terminal, one line per event elsewhere. */
import * as Terminal from "@effect/platform/Terminal"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { BatchEvents } from "../index.ts"
import * as View from "./view.ts"

const frames = ["|", "/", "-", "\\"]
const up = (lines: number): string => (lines === 0 ? "" : `\u001b[${lines}A\u001b[J`)

const lines = (terminal: Terminal.Terminal, events: Stream.Stream<BatchEvents.BatchEvent>) =>
  Stream.runForEach(events, (event) => Effect.ignore(terminal.display(`${View.progress(event)}\n`)))

/** The calls in flight, each on a line of its own; a batch that has ended is left to the tables that follow. */
const redrawn = (terminal: Terminal.Terminal, events: Stream.Stream<BatchEvents.BatchEvent>) => {
  const states = new Map<string, string>()
  let drawn = 0
  let frame = 0
  const draw = Effect.suspend(() => {
    const shown = [...states.values()].map((line) => `${frames[frame++ % frames.length]} ${line.trim()}`)
    const text = up(drawn) + shown.map((line) => `${line}\n`).join("")
    drawn = shown.length
    return text === "" ? Effect.void : Effect.ignore(terminal.display(text))
  })
  const note = (event: BatchEvents.BatchEvent) => {
    if (event._tag === "Finished") states.delete(event.call.id)
    else states.set(event.call.id, View.progress(event))
  }
  const ticks = Stream.fromSchedule(Schedule.spaced("120 millis"))
  return Stream.merge(events, ticks, { haltStrategy: "left" }).pipe(
    Stream.runForEach((event) => {
      if (typeof event === "object") note(event)
      return draw
    })
  )
}

/** Shows what happens until the scope closes. */
export const show = Effect.gen(function* () {
  const terminal = yield* Terminal.Terminal
  const { stream } = yield* BatchEvents.BatchEvents
  const isTerminal = yield* terminal.isTTY
  yield* Effect.forkScoped(isTerminal ? redrawn(terminal, stream) : lines(terminal, stream))
  // The subscription has to stand before the first event.
  yield* Effect.yieldNow()
})
