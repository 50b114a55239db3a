/** Progress while the batches run: a table that redraws itself in a terminal, one line per event elsewhere. */
import * as Terminal from "@effect/platform/Terminal"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { BatchEvents } from "../index.ts"
import * as View from "./view.ts"

const frames = ["|", "/", "-", "\\"]
const up = (lines: number): string => (lines === 0 ? "" : `\u001b[${lines}A\u001b[J`)

interface Shown {
  readonly run: Effect.Effect<void>
  /** Leaves the screen to what is printed next. */
  readonly clear: Effect.Effect<void>
}

/** Gives the listener, which waits for the terminal, time to tell the last events of a batch; every call ends with one. */
const toldAll = (open: ReadonlyMap<string, string>): Effect.Effect<void> =>
  Effect.sleep("5 millis").pipe(Effect.repeat({ until: () => open.size === 0, times: 100 }), Effect.asVoid)

/** Keeps the last line of every call that has not ended. */
const note = (open: Map<string, string>, event: BatchEvents.BatchEvent, line: string | undefined): void => {
  if (event._tag === "CircuitChanged") return
  const key = `${event.index} ${event.batchId}`
  if (event._tag === "Finished") open.delete(key)
  else if (line !== undefined) open.set(key, line)
}

const lines = (terminal: Terminal.Terminal, events: Stream.Stream<BatchEvents.BatchEvent>): Shown => {
  const open = new Map<string, string>()
  return {
    run: Stream.runForEach(events, (event) => {
      const line = View.progress(event)
      const shown = line === undefined ? Effect.void : Effect.ignore(terminal.display(`${line}\n`))
      return Effect.map(shown, () => note(open, event, line))
    }),
    clear: toldAll(open)
  }
}

/** The calls in flight, each on a line of its own; a batch that has ended is left to the tables that follow. */
const redrawn = (terminal: Terminal.Terminal, events: Stream.Stream<BatchEvents.BatchEvent>): Shown => {
  const states = new Map<string, string>()
  let drawn = 0
  let frame = 0
  const draw = Effect.suspend(() => {
    const shown = [...states.values()].map((line) => `${frames[frame++ % frames.length]} ${line.trim()}`)
    const text = up(drawn) + shown.map((line) => `${line}\n`).join("")
    drawn = shown.length
    return text === "" ? Effect.void : Effect.ignore(terminal.display(text))
  })
  const ticks = Stream.fromSchedule(Schedule.spaced("120 millis"))
  return {
    run: Stream.merge(events, ticks, { haltStrategy: "left" }).pipe(
      Stream.runForEach((event) => {
        if (typeof event === "object") note(states, event, View.progress(event))
        return draw
      })
    ),
    clear: Effect.zipRight(
      toldAll(states),
      Effect.suspend(() => {
        states.clear()
        return draw
      })
    )
  }
}

/** Shows what happens until the scope closes; gives what makes room for other output. */
export const show = Effect.gen(function* () {
  const terminal = yield* Terminal.Terminal
  const { stream } = yield* BatchEvents.BatchEvents
  const isTerminal = yield* terminal.isTTY
  const shown = isTerminal ? redrawn(terminal, stream) : lines(terminal, stream)
  yield* Effect.forkScoped(shown.run)
  // The subscription has to stand before the first event.
  yield* Effect.yieldNow()
  return shown.clear
})
