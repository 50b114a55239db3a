/** Tells of the calls of a batch to whoever is there to be told: events, spans, metrics. */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as BatchEvents from "../services/BatchEvents.ts"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import type { Toolbox } from "../Toolbox.ts"
import type * as ToolResult from "../ToolResult.ts"
import type { Fork, Shared } from "./job.ts"
import type { Node } from "./node.ts"
import * as Telemetry from "./telemetry.ts"

/** A call, and its position. */
type About = Pick<Node, "call" | "index">

export interface Witness {
  readonly publish: Shared["publish"]
  /** Missing where there are no events. */
  readonly tell: ((about: About, event: BatchEvents.CallEvent) => void) | undefined
  /** The last word on a call: nobody waits any more for what still runs for it. */
  readonly finished: (node: Node, result: ToolResult.ToolResult) => void
  /** All there is to be told in traces of a call that was not run. */
  readonly unrun: (node: Node, result: ToolResult.ToolResult) => void
}

export interface Options {
  readonly batchId: string
  readonly toolbox: Toolbox
  readonly context: Context.Context<never>
  readonly telemetry: Telemetry.Telemetry
  readonly time: () => number
  readonly fork: Fork
}

export const make = ({ batchId, context, fork, telemetry, time, toolbox }: Options): Witness => {
  const events = Context.getOption(context as Context.Context<BatchEvents.BatchEvents>, BatchEvents.BatchEvents)

  const publish = Option.match(events, {
    onNone: () => undefined,
    onSome:
      ({ publish }) =>
      (call: ToolCall, index: number, event: BatchEvents.CallEvent): Effect.Effect<void> =>
        publish({ ...event, batchId, index, call, at: time() })
  })

  const tell =
    publish === undefined
      ? undefined
      : ({ call, index }: About, event: BatchEvents.CallEvent): void => {
          const told = publish(call, index, event)
          // Where nobody listens it is just that.
          if (told !== Effect.void) fork(told)
        }

  /** What the model calls is no tool's name unless it has been found. */
  const definitionOf = ({ call, looked }: Node): Tool.Definition | undefined =>
    Either.isLeft(looked) && looked.left.error._tag === "UnknownTool"
      ? undefined
      : toolbox.byName.get(call.name)?.definition

  const tellFinished = (node: Node, result: ToolResult.ToolResult): void => {
    if (tell === undefined) return
    const underWay = node.job?.progress.underWay
    for (const { attempt, job } of underWay ?? []) tell(job, { _tag: "AttemptAbandoned", attempt })
    underWay?.clear()
    tell(node, { _tag: "Finished", result })
  }

  return {
    publish,
    tell,
    finished: (node, result) => {
      tellFinished(node, result)
      const { job } = node
      const metrics = job?.metrics ?? telemetry.metrics(definitionOf(node)?.name)
      metrics.landed(result, Duration.toMillis(result.duration))
      if (job?.span !== undefined) Telemetry.ended(job.span, result, telemetry)
    },
    unrun: (node, result) => {
      if (telemetry.isTraced) fork(Telemetry.unrun(node.call, result, definitionOf(node), telemetry))
    }
  }
}
