/** Events written by hand: what a runner would tell, in as few words as possible. */
import * as Duration from "effect/Duration"
import {
  type BatchEvents,
  type CircuitBreaker,
  Fault,
  type ToolCall,
  ToolError,
  type ToolResult
} from "../../src/index.ts"

export const start = 1_750_000_000_000

export const call = (name: string, more: Partial<ToolCall.ToolCall> = {}): ToolCall.ToolCall => ({
  id: `toolu_${name}`,
  name,
  input: { secret_question: `input of ${name}` },
  ...more
})

const common = { attempts: 1, duration: Duration.millis(10) }

export const success = (
  call: ToolCall.ToolCall,
  source: ToolResult.Source = "executed",
  more: Partial<ToolResult.Success> = {}
): ToolResult.Success => ({
  _tag: "Success",
  call,
  output: `output of ${call.name}`,
  encoded: `output of ${call.name}`,
  source,
  ...common,
  ...more
})

export const failure = (
  call: ToolCall.ToolCall,
  error: ToolError.ToolError,
  fault: Fault.Fault = Fault.permanent({ tookEffect: "no" })
): ToolResult.Failure => ({ _tag: "Failure", call, error, fault, ...common })

export interface CallEvents {
  readonly at: (millis: number, event: BatchEvents.CallEvent) => BatchEvents.BatchEvent
  readonly call: ToolCall.ToolCall
}

/** Events of one call, at milliseconds since `start`. */
export const of = (index: number, made: ToolCall.ToolCall | string, batchId = "b1"): CallEvents => {
  const it = typeof made === "string" ? call(made) : made
  return { call: it, at: (millis, event) => ({ at: start + millis, batchId, index, call: it, ...event }) }
}

export const submitted = { _tag: "Submitted" } as const
export const started = (attempt: number, source: "executed" | "hedge" = "executed") =>
  ({ _tag: "AttemptStarted", attempt, source }) as const
export const succeeded = (attempt: number) => ({ _tag: "AttemptSucceeded", attempt }) as const
export const failed = (attempt: number, error: ToolError.ToolError) =>
  ({ _tag: "AttemptFailed", attempt, error }) as const
export const abandoned = (attempt: number) => ({ _tag: "AttemptAbandoned", attempt }) as const
export const retrying = (attempt: number, millis: number) =>
  ({ _tag: "Retrying", attempt, delay: Duration.millis(millis) }) as const
export const progress = (attempt: number, note: string) => ({ _tag: "Progress", attempt, note }) as const
export const waiting = (reason: BatchEvents.Wait) => ({ _tag: "Waiting", for: reason }) as const
export const waitsFor = (...calls: ReadonlyArray<number>) => waiting({ _tag: "Calls", why: "dependency", calls })
export const finished = (result: ToolResult.ToolResult) => ({ _tag: "Finished", result }) as const

export const circuit = (
  millis: number,
  to: CircuitBreaker.Mode,
  more: Partial<CircuitBreaker.Transition> = {}
): BatchEvents.BatchEvent => ({
  _tag: "CircuitChanged",
  at: start + millis,
  breaker: "payments",
  from: "Closed",
  to,
  reason: "consecutive",
  counts: { calls: 5, failures: 5, slow: 0 },
  lastFailure: "ECONNREFUSED 10.0.0.7",
  ...more
})

export const timeout = new ToolError.Timeout({ kind: "attempt", after: Duration.millis(300) })
export const broken = ToolError.toolFailure({ _tag: "CarrierDown", message: "the carrier gave no answer" })

/** A run in which everything happens that can be drawn. */
export const everything = (): ReadonlyArray<BatchEvents.BatchEvent> => {
  const order = of(0, "look_up_order")
  const track = of(1, "track_parcel")
  const rate = of(2, "exchange_rate")
  const quote = of(3, "search_quotes")
  const same = of(4, { ...quote.call, id: "toolu_same" })
  const refund = of(5, call("refund_order", { dependsOn: ["toolu_look_up_order"] }))
  const mail = of(6, "send_mail")
  const archive = of(7, "archive_report_under_a_very_long_name_that_does_not_fit")
  const charge = of(8, "charge_card")
  const known = of(9, "known_before")
  const cached = of(10, "weather")
  const nonsense = of(11, "no_such_tool")
  const limited = of(12, "search_web")
  const second = of(0, "list_refunds", "b2")
  const open = of(1, "write_summary", "b2")
  const circuitOpen = new ToolError.CircuitOpen({
    breaker: "payments",
    mode: "Open",
    retryAfter: Duration.seconds(10),
    lastFailure: "ECONNREFUSED 10.0.0.7"
  })
  return [
    ...[order, track, rate, quote, same, refund, mail, archive, charge, known, cached, nonsense, limited].map((it) =>
      it.at(0, submitted)
    ),
    nonsense.at(1, finished(failure(nonsense.call, new ToolError.UnknownTool({ name: "no_such_tool", nearest: [] })))),
    known.at(2, finished(success(known.call, "journal"))),
    cached.at(2, finished(success(cached.call, "cache"))),
    order.at(2, started(1)),
    order.at(118, succeeded(1)),
    order.at(120, finished(success(order.call))),
    track.at(2, started(1)),
    track.at(60, failed(1, broken)),
    track.at(60, retrying(1, 130)),
    track.at(190, started(2)),
    track.at(250, progress(2, "asking Leipzig")),
    track.at(330, succeeded(2)),
    track.at(331, finished(success(track.call))),
    rate.at(3, started(1)),
    rate.at(303, failed(1, timeout)),
    rate.at(340, finished(success(rate.call, "fallback", { replaces: timeout }))),
    quote.at(3, waiting({ _tag: "Bulkhead" })),
    quote.at(80, started(1)),
    quote.at(180, started(2, "hedge")),
    quote.at(260, succeeded(2)),
    quote.at(260, abandoned(1)),
    quote.at(261, finished(success(quote.call, "hedge"))),
    same.at(3, waiting({ _tag: "Calls", why: "identical", calls: [3] })),
    same.at(262, finished(success(same.call, "coalesced"))),
    refund.at(3, waitsFor(0, 1)),
    refund.at(332, started(1)),
    refund.at(480, failed(1, broken)),
    refund.at(482, finished(failure(refund.call, broken, Fault.transient()))),
    mail.at(3, waitsFor(5)),
    mail.at(
      482,
      finished(
        failure(
          mail.call,
          new ToolError.DependencyFailed({ dependency: "toolu_refund_order", root: "toolu_refund_order" })
        )
      )
    ),
    archive.at(4, waitsFor(0)),
    archive.at(120, started(1)),
    archive.at(420, failed(1, timeout)),
    archive.at(420, finished(failure(archive.call, timeout))),
    charge.at(4, waiting({ _tag: "CircuitBreaker", delay: Duration.millis(200) })),
    circuit(210, "Open"),
    charge.at(212, finished(failure(charge.call, circuitOpen))),
    limited.at(4, waiting({ _tag: "RateLimit", delay: Duration.millis(250) })),
    limited.at(254, started(1)),
    limited.at(400, finished(failure(limited.call, new ToolError.OutcomeUnknown()))),
    circuit(620, "HalfOpen", { from: "Open", reason: "time is up" }),
    second.at(3600, submitted),
    open.at(3600, submitted),
    second.at(3601, started(1)),
    open.at(3602, started(1)),
    second.at(3790, succeeded(1)),
    second.at(3791, finished(success(second.call))),
    circuit(3795, "Closed", { from: "HalfOpen", reason: "probes succeeded" }),
    open.at(3900, progress(1, "half of it"))
  ]
}

/** A run of so many calls, each after a few others. */
export const many = (count: number): ReadonlyArray<BatchEvents.BatchEvent> => {
  const events: Array<BatchEvents.BatchEvent> = []
  for (let i = 0; i < count; i++) {
    const it = of(i, call(`tool_${i % 17}_with_a_name`, { id: `toolu_${i}` }))
    const begins = 1 + ((i * 37) % 1500)
    const takes = 100 + ((i * 71) % 400)
    events.push(it.at(0, submitted))
    if (i % 5 === 4) events.push(it.at(1, waitsFor(i - 1, i - 3)))
    else events.push(it.at(1, waiting({ _tag: "Bulkhead" })))
    const at = i % 5 === 4 ? 1500 + takes : begins
    events.push(it.at(at, started(1)))
    if (i % 3 === 0) {
      events.push(it.at(at + takes, failed(1, i % 6 === 0 ? timeout : broken)))
      if (i % 2 === 0) {
        events.push(it.at(at + takes, retrying(1, 80)), it.at(at + takes + 80, started(2)))
        events.push(it.at(at + 2 * takes, succeeded(2)), it.at(at + 2 * takes, finished(success(it.call))))
      } else events.push(it.at(at + takes, finished(failure(it.call, broken))))
    } else events.push(it.at(at + takes, succeeded(1)), it.at(at + takes, finished(success(it.call))))
  }
  return events.toSorted((a, b) => a.at - b.at)
}
