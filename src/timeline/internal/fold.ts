/** Events -> lanes. Takes them as they are: of a run that was killed, or whose first events are gone. */
import type { ToolCall } from "../../ToolCall.ts"
import type { ToolError } from "../../ToolError.ts"
import type { ToolResult } from "../../ToolResult.ts"
import type { BatchEvent } from "../../services/BatchEvents.ts"
import type { Arrow, Attempt, Batch, CircuitChange, Lane, Mark, Timeline, Wait } from "../model.ts"
import * as Outcome from "./outcome.ts"

type Draft<T> = { -readonly [Key in keyof T]: T[Key] }
type OfCall = Exclude<BatchEvent, CircuitChange>

interface LaneDraft {
  readonly index: number
  readonly call: ToolCall
  readonly from: number
  readonly beganBefore: boolean
  readonly spans: Array<Draft<Attempt> | Draft<Wait>>
  readonly marks: Array<Mark>
  readonly running: Set<Draft<Attempt>>
  waiting: Draft<Wait> | undefined
  result: ToolResult | undefined
  /** When the result came. */
  landed: number
}

const stopWaiting = (lane: LaneDraft, at: number): void => {
  if (lane.waiting !== undefined) lane.waiting.to = at
  lane.waiting = undefined
}

const wait = (lane: LaneDraft, at: number, reason: Wait["for"]): void => {
  stopWaiting(lane, at)
  // While an attempt runs, it is a hedge that has to wait.
  lane.waiting = { _tag: "Wait", for: reason, from: at, to: at, row: lane.running.size === 0 ? 0 : 1 }
  lane.spans.push(lane.waiting)
}

const end = (lane: LaneDraft, attempt: Draft<Attempt>, at: number, outcome: Attempt["outcome"]): void => {
  attempt.to = at
  attempt.outcome = outcome
  lane.running.delete(attempt)
}

const begin = (
  lane: LaneDraft,
  { attempt, call, source }: Pick<Attempt, "attempt" | "source"> & Pick<OfCall, "call">,
  at: number
): Draft<Attempt> => {
  // Only a hedge runs beside another attempt: of any other that still seems to, the end was not seen.
  for (const other of lane.running) {
    if (source === "executed" || other.source === "hedge") end(lane, other, at, "unknown")
  }
  const row = lane.running.size === 0 ? 0 : 1
  const started: Draft<Attempt> = {
    _tag: "Attempt",
    attempt,
    source,
    tool: call.name,
    from: at,
    to: at,
    outcome: "unfinished",
    error: undefined,
    row
  }
  lane.running.add(started)
  lane.spans.push(started)
  return started
}

const isAttempt = (span: Draft<Attempt> | Draft<Wait>): span is Draft<Attempt> => span._tag === "Attempt"

/** Ends the attempt an event speaks of. One whose start was not seen began when the last thing that was seen ended. */
const endOf = (
  lane: LaneDraft,
  event: OfCall & Pick<Attempt, "attempt">,
  outcome: Attempt["outcome"],
  error?: ToolError
): void => {
  const seen = lane.spans
    .filter(isAttempt)
    .findLast(({ attempt, tool }) => attempt === event.attempt && tool === event.call.name)
  const attempt = seen ?? begin(lane, { ...event, source: "executed" }, lane.spans.at(-1)?.to ?? lane.from)
  // What was said first stands.
  if (!lane.running.has(attempt)) return
  attempt.error = error
  end(lane, attempt, event.at, outcome)
}

const finish = (lane: LaneDraft, at: number, result: ToolResult): void => {
  stopWaiting(lane, at)
  for (const attempt of lane.running) end(lane, attempt, at, Outcome.ofLeftOver(attempt, result))
  lane.result = result
  lane.landed = at
}

/** `lastSign` is when something else than a submission was last heard of the batch. */
const note = (lane: LaneDraft, event: OfCall, lastSign: number): void => {
  const { at } = event
  switch (event._tag) {
    case "Submitted":
      // Once more: the batch was resumed by another process. What ran in the one before was cut off.
      for (const attempt of lane.running) end(lane, attempt, Math.max(attempt.from, lastSign), "unknown")
      return stopWaiting(lane, Math.min(at, lastSign))
    case "Waiting":
      return wait(lane, at, event.for)
    case "Retrying":
      return wait(lane, at, { _tag: event._tag, delay: event.delay })
    case "AttemptStarted":
      stopWaiting(lane, at)
      return void begin(lane, event, at)
    case "AttemptSucceeded":
      return endOf(lane, event, "succeeded")
    case "AttemptAbandoned":
      return endOf(lane, event, "abandoned")
    case "AttemptFailed":
      return endOf(lane, event, Outcome.ofError(event.error), event.error)
    case "Progress":
      return void lane.marks.push({ at, attempt: event.attempt, note: event.note })
    case "Finished":
      return finish(lane, at, event.result)
  }
}

/** What is still open at the last event goes on to there. */
const close = (lane: LaneDraft, to: number): Lane => {
  const isOpen = lane.result === undefined
  stopWaiting(lane, isOpen ? to : lane.landed)
  for (const attempt of lane.running) {
    end(lane, attempt, isOpen ? to : Math.max(attempt.from, lane.landed), isOpen ? "unfinished" : "unknown")
  }
  const { beganBefore, call, from, index, landed, marks, result, spans } = lane
  const outcome = result === undefined ? "unfinished" : Outcome.ofResult(result)
  return { index, call, from, to: isOpen ? to : landed, outcome, result, spans, marks, beganBefore }
}

/** The lanes of the calls that this one waited for, or, where the beginning is missing, that it names. */
const arrowsTo = (lane: Lane, byIndex: ReadonlyMap<number, Lane>): ReadonlyArray<Arrow> => {
  const arrows = new Map<number, Arrow>()
  const add = (i: number, why: Arrow["why"], arrives: number): void => {
    const other = byIndex.get(i)
    if (other === undefined || other === lane) return
    arrows.set(i, { from: i, to: lane.index, why, leaves: Math.min(other.to, arrives), arrives })
  }
  for (const span of lane.spans) {
    if (span._tag !== "Wait" || span.for._tag !== "Calls") continue
    for (const i of span.for.calls) add(i, span.for.why, span.to)
  }
  const named = lane.beganBefore ? new Set(lane.call.dependsOn) : new Set<string>()
  for (const other of named.size === 0 ? [] : byIndex.values()) {
    if (named.has(other.call.id) && !arrows.has(other.index))
      add(other.index, "dependency", lane.spans[0]?.from ?? lane.to)
  }
  return [...arrows.values()]
}

const closeBatch = ({ id, lanes: drafts }: BatchDraft, to: number): Batch => {
  const lanes = Array.from(drafts.values(), (lane) => close(lane, to)).toSorted((a, b) => a.index - b.index)
  const byIndex = new Map(lanes.map((lane) => [lane.index, lane]))
  return {
    id,
    from: lanes.reduce((first, lane) => Math.min(first, lane.from), to),
    to: lanes.reduce((last, lane) => Math.max(last, lane.to), Number.NEGATIVE_INFINITY),
    lanes,
    arrows: lanes.flatMap((lane) => arrowsTo(lane, byIndex))
  }
}

interface BatchDraft {
  readonly id: string
  readonly lanes: Map<number, LaneDraft>
  lastSign: number
}

const laneOf = ({ lanes }: BatchDraft, { at, call, index, _tag }: OfCall, start: number): LaneDraft => {
  const known = lanes.get(index)
  if (known !== undefined) return known
  const beganBefore = _tag !== "Submitted"
  const lane: LaneDraft = {
    index,
    call,
    from: beganBefore ? start : at,
    beganBefore,
    spans: [],
    marks: [],
    running: new Set(),
    waiting: undefined,
    result: undefined,
    landed: at
  }
  lanes.set(index, lane)
  return lane
}

export const fromEvents = (events: Iterable<BatchEvent>): Timeline => {
  const inOrder = Array.from(events)
    .filter(({ at }) => Number.isFinite(at))
    .toSorted((a, b) => a.at - b.at)
  const from = inOrder[0]?.at ?? 0
  const to = inOrder.at(-1)?.at ?? 0
  const circuits: Array<CircuitChange> = []
  const batches = new Map<string, BatchDraft>()
  for (const event of inOrder) {
    if (event._tag === "CircuitChanged") {
      circuits.push(event)
      continue
    }
    const batch = batches.get(event.batchId) ?? { id: event.batchId, lanes: new Map(), lastSign: event.at }
    batches.set(event.batchId, batch)
    note(laneOf(batch, event, from), event, batch.lastSign)
    if (event._tag !== "Submitted") batch.lastSign = event.at
  }
  return { from, to, circuits, batches: Array.from(batches.values(), (batch) => closeBatch(batch, to)) }
}
