/** Handlers and a back-off for runs whose events are read. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { down, type Handler } from "../policies/world.ts"

export const slow =
  (millis: number): Handler =>
  () =>
    Effect.as(Effect.sleep(Duration.millis(millis)), "done")

/** The first execution fails, the others take a while. */
export const flaky = (millis: number): Handler => {
  let executions = 0
  return (input, call) => (executions++ === 0 ? down() : slow(millis)(input, call))
}

export const soon = { base: "10 millis", jitter: "none", budget: false } as const
