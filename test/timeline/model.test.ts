import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import { type BatchEvents, Fault, ToolError } from "../../src/index.ts"
import { Timeline } from "../../src/timeline/index.ts"
import * as Events from "./events.ts"

const { finished, of, started, start, submitted, succeeded, success, failed, failure } = Events

const laneOf = (events: ReadonlyArray<BatchEvents.BatchEvent>): Timeline.Lane => {
  const lane = Timeline.fromEvents(events).batches[0]?.lanes[0]
  assert(lane !== undefined)
  return lane
}

/** What a lane holds, in milliseconds since the start: "attempt 1 failed 0-60". */
const shown = (lane: Timeline.Lane): ReadonlyArray<string> =>
  lane.spans.map((span) => {
    const what = span._tag === "Attempt" ? `${span.source} ${span.attempt} ${span.outcome}` : `wait ${span.for._tag}`
    return `${what} ${span.from - start}-${span.to - start}${span.row === 1 ? " beside" : ""}`
  })

const it1 = of(0, "one")

describe("Timeline.fromEvents", () => {
  it("draws attempts, and the time between them", () => {
    const lane = laneOf([
      it1.at(0, submitted),
      it1.at(1, started(1)),
      it1.at(60, failed(1, Events.broken)),
      it1.at(60, Events.retrying(1, 130)),
      it1.at(190, started(2)),
      it1.at(250, Events.progress(2, "half")),
      it1.at(330, succeeded(2)),
      it1.at(331, finished(success(it1.call)))
    ])
    assert.deepStrictEqual(shown(lane), [
      "executed 1 failed 1-60",
      "wait Retrying 60-190",
      "executed 2 succeeded 190-330"
    ])
    assert.deepStrictEqual(lane.marks, [{ at: start + 250, attempt: 2, note: "half" }])
    assert.deepInclude(lane, { from: start, to: start + 331, outcome: "succeeded", beganBefore: false })
  })

  it("ends a wait when the call goes on, or waits for something else", () => {
    const lane = laneOf([
      it1.at(0, submitted),
      it1.at(0, Events.waiting({ _tag: "Turn" })),
      it1.at(40, Events.waiting({ _tag: "RateLimit", delay: Duration.millis(50) })),
      it1.at(90, started(1)),
      it1.at(100, succeeded(1)),
      it1.at(100, finished(success(it1.call)))
    ])
    assert.deepStrictEqual(shown(lane), ["wait Turn 0-40", "wait RateLimit 40-90", "executed 1 succeeded 90-100"])
  })

  it("draws a hedge, and its wait, beside the attempt it backs up", () => {
    const lane = laneOf([
      it1.at(0, submitted),
      it1.at(0, started(1)),
      it1.at(50, Events.waiting({ _tag: "Bulkhead" })),
      it1.at(60, started(2, "hedge")),
      it1.at(90, succeeded(2)),
      it1.at(90, Events.abandoned(1)),
      it1.at(91, finished(success(it1.call, "hedge")))
    ])
    assert.deepStrictEqual(shown(lane), [
      "executed 1 abandoned 0-90",
      "wait Bulkhead 50-60 beside",
      "hedge 2 succeeded 60-90 beside"
    ])
  })

  it.each<readonly [string, Timeline.Outcome, ReturnType<typeof success> | ReturnType<typeof failure>]>([
    ["an answer", "succeeded", success(it1.call)],
    ["a hedge's answer", "succeeded", success(it1.call, "hedge")],
    ["a fallback", "fallback", success(it1.call, "fallback")],
    ["an answer from the cache", "cache", success(it1.call, "cache")],
    ["a shared answer", "coalesced", success(it1.call, "coalesced")],
    ["an answer from the journal", "journal", success(it1.call, "journal")],
    ["a failure", "failed", failure(it1.call, Events.broken)],
    ["a deadline", "timedOut", failure(it1.call, Events.timeout)],
    ["a wrong name", "invalid", failure(it1.call, new ToolError.UnknownTool({ name: "x", nearest: [] }))],
    ["a full bulkhead", "rejected", failure(it1.call, new ToolError.BulkheadFull({ capacity: 1 }))],
    [
      "a failed dependency",
      "skipped",
      failure(it1.call, new ToolError.DependencyFailed({ dependency: "a", root: "a" }))
    ],
    ["an interruption", "unknown", failure(it1.call, new ToolError.OutcomeUnknown())]
  ])("tells %s as %s", (_, outcome, result) => {
    assert.strictEqual(laneOf([it1.at(0, submitted), it1.at(1, finished(result))]).outcome, outcome)
  })

  it("draws arrows from the end of what was waited for to the moment the call went on", () => {
    const [a, b, c] = [of(0, "a"), of(1, "b"), of(2, "c")]
    const { batches } = Timeline.fromEvents([
      ...[a, b, c].map((it) => it.at(0, submitted)),
      c.at(0, Events.waitsFor(0, 1)),
      a.at(10, finished(success(a.call))),
      b.at(30, finished(success(b.call))),
      c.at(31, started(1)),
      c.at(40, succeeded(1)),
      c.at(40, finished(success(c.call)))
    ])
    assert.deepStrictEqual(
      batches[0]?.arrows.map(({ arrives, from, leaves, to, why }) => [from, leaves - start, to, arrives - start, why]),
      [
        [0, 10, 2, 31, "dependency"],
        [1, 30, 2, 31, "dependency"]
      ]
    )
  })

  it("keeps batches apart, in the order in which they began, and lanes in call order", () => {
    const [late, early] = [of(0, "late", "second"), of(0, "early", "first")]
    const second = of(1, "other", "first")
    const { batches } = Timeline.fromEvents([second.at(0, submitted), early.at(0, submitted), late.at(50, submitted)])
    assert.deepStrictEqual(
      batches.map(({ id, lanes }) => [id, lanes.map(({ call }) => call.name)]),
      [
        ["first", ["early", "other"]],
        ["second", ["late"]]
      ]
    )
  })

  it("draws what never ended up to the last event", () => {
    const lane = laneOf([it1.at(0, submitted), it1.at(5, started(1)), of(1, "two").at(80, submitted)])
    assert.deepStrictEqual(shown(lane), ["executed 1 unfinished 5-80"])
    assert.deepInclude(lane, { outcome: "unfinished", result: undefined, to: start + 80 })
  })

  it("draws a call whose first events are gone from the first event there is", () => {
    const two = of(1, { ...of(1, "two").call, dependsOn: ["toolu_one"] })
    const { batches } = Timeline.fromEvents([
      of(2, "three").at(100, submitted),
      it1.at(140, failed(1, Events.broken)),
      it1.at(150, finished(failure(it1.call, Events.broken))),
      two.at(160, started(1)),
      two.at(180, succeeded(1)),
      two.at(180, finished(success(two.call)))
    ])
    const [one, second] = batches[0]?.lanes ?? []
    assert(one !== undefined && second !== undefined)
    assert.isTrue(one.beganBefore)
    assert.deepStrictEqual(shown(one), ["executed 1 failed 100-140"])
    assert.deepStrictEqual(shown(second), ["executed 1 succeeded 160-180"])
    // Its wait was not seen, but the call names what it needs.
    assert.deepInclude(batches[0]?.arrows[0], { from: 0, to: 1, leaves: start + 150, arrives: start + 160 })
  })

  it("draws a run that was killed and resumed as one: what was cut off there has an unknown outcome", () => {
    const lane = laneOf([
      it1.at(0, submitted),
      it1.at(1, started(1)),
      of(1, "two").at(30, started(1)),
      it1.at(5000, submitted),
      it1.at(5001, started(2)),
      it1.at(5020, succeeded(2)),
      it1.at(5020, finished(success(it1.call)))
    ])
    assert.deepStrictEqual(shown(lane), ["executed 1 unknown 1-30", "executed 2 succeeded 5001-5020"])
    assert.strictEqual(lane.outcome, "succeeded")
  })

  it("names the tool that answers instead", () => {
    const other = of(0, { ...it1.call, name: "other_tool" })
    const lane = laneOf([
      it1.at(0, submitted),
      it1.at(0, started(1)),
      it1.at(10, failed(1, Events.timeout)),
      other.at(10, started(1)),
      other.at(20, succeeded(1)),
      it1.at(20, finished(success(it1.call, "fallback", { replaces: Events.timeout })))
    ])
    assert.deepStrictEqual(
      lane.spans.map((span) => (span._tag === "Attempt" ? `${span.tool} ${span.outcome}` : "")),
      ["one timedOut", "other_tool succeeded"]
    )
  })

  it("is not upset by events in disorder, without a time, or after the end", () => {
    const lane = laneOf([
      it1.at(20, finished(failure(it1.call, Events.broken, Fault.transient()))),
      it1.at(0, submitted),
      it1.at(10, started(1)),
      it1.at(Number.NaN, started(7)),
      it1.at(25, Events.abandoned(1)),
      it1.at(30, started(2)),
      of(1, "two").at(90, submitted)
    ])
    assert.deepInclude(lane, { outcome: "failed", to: start + 20 })
    assert.deepStrictEqual(shown(lane), ["executed 1 abandoned 10-20", "executed 2 unknown 30-30"])
    assert.deepStrictEqual(Timeline.fromEvents([]), { from: 0, to: 0, batches: [], circuits: [] })
  })
})
