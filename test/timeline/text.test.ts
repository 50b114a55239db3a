import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import { type BatchEvents, Fault, type ToolCall, ToolError } from "../../src/index.ts"
import { Timeline } from "../../src/timeline/index.ts"
import * as Events from "./events.ts"

const { finished, of, start, submitted, success, failure } = Events

const both = (
  events: ReadonlyArray<BatchEvents.BatchEvent>,
  options?: Timeline.HtmlOptions
): readonly [svg: string, html: string] => {
  const timeline = Timeline.fromEvents(events)
  return [Timeline.toSvg(timeline, options), Timeline.toHtml(timeline, options)]
}

const one = (call: Partial<ToolCall.ToolCall>, result = success(Events.call("one", call))) => {
  const it = of(0, { ...Events.call("one"), ...call })
  return [it.at(0, submitted), it.at(5, finished({ ...result, call: it.call }))]
}

describe("the picture", () => {
  it("is the same for the same events, and does not depend on when they happened", () => {
    const [svg, html] = both(Events.everything())
    assert.deepStrictEqual(both(Events.everything()), [svg, html])
    const later = Array.from(Events.everything(), (event) => ({ ...event, at: event.at + 86_400_000 }))
    assert.deepStrictEqual(both(later), [svg, html])
  })

  it("can be drawn of nothing, of one moment, and of times without end", () => {
    for (const text of both([])) assert.include(text, "No calls.")
    const assertSound = (text: string) => assert.notMatch(text.split("<script>", 1)[0] ?? "", /NaN|Infinity|undefined/)
    for (const text of both([of(0, "one").at(0, submitted)])) assertSound(text)
    const it = of(0, "one")
    const endless = [
      it.at(0, submitted),
      it.at(0, Events.retrying(1, Number.POSITIVE_INFINITY)),
      it.at(1e15, finished(success(it.call, "executed", { duration: Duration.infinity })))
    ]
    for (const text of both(endless)) assertSound(text)
  })

  it("escapes what looks like markup, wherever it comes from", () => {
    const hostile = `</script><script>alert(1)</script>"'><img src=x onerror=alert(2)>&lt;]]><!--`
    const it = of(0, { ...Events.call(hostile), id: hostile })
    const events = [
      it.at(0, submitted),
      it.at(1, Events.started(1)),
      it.at(2, Events.progress(1, hostile)),
      it.at(3, Events.failed(1, ToolError.toolFailure(new Error(hostile)))),
      it.at(3, finished(failure(it.call, ToolError.toolFailure(new Error(hostile))))),
      Events.circuit(2, "Open", { breaker: hostile, lastFailure: hostile })
    ]
    for (const text of both(events, { title: hostile, details: true })) {
      assert.notMatch(text, /<img|<!--|alert\(1\)<|<script>alert|"'>/)
      assert.include(text, "&lt;img")
    }
  })

  it("shows what cannot be seen, and leaves nothing that turns the text around or is no text at all", () => {
    const name = "a\u202Eb\u0000c\u001Bd\u200Be\uFFFFf\uD800g\u2028h\u0085i"
    for (const text of both(one({ name }))) {
      assert.notMatch(text, /(?!\n)\p{Cc}|[\u202A-\u202E\u2066\u2067\u200B\uFFFF]/u)
      assert.isTrue(text.isWellFormed())
      assert.include(text, "a\\u{202E}b\\u{0000}c")
    }
  })

  it("keeps a text from right to left to itself", () => {
    for (const text of both(one({ name: "שלום_tool" }))) assert.include(text, "\u2068שלום_tool\u2069")
  })

  it("clips megabytes", () => {
    const long = "x".repeat(3_000_000)
    const it = of(0, { ...Events.call(long), id: long, input: long })
    const events = [
      it.at(0, submitted),
      it.at(1, Events.started(1)),
      it.at(2, Events.progress(1, long)),
      it.at(3, finished(failure(it.call, ToolError.toolFailure({ _tag: long, message: long }))))
    ]
    for (const text of both(events, { title: long, details: true })) assert.isBelow(text.length, 60_000)
  })

  it("shows inputs, outputs and words that may quote them only where details are asked for", () => {
    const issues = [{ path: ["amount"], message: "Expected a number, actual quoted-from-the-input" }]
    const invalid = failure(Events.call("one"), new ToolError.InvalidInput({ issues }))
    const crash = new ToolError.ToolDefect({
      correlationId: "e-1",
      name: "TypeError",
      code: undefined,
      detail: "quoted"
    })
    const events = [
      ...one(
        { input: { city: "quoted-from-the-input" } },
        success(Events.call("one"), "executed", { encoded: "quoted" })
      ),
      of(1, "two").at(0, submitted),
      of(1, "two").at(9, finished({ ...invalid, call: Events.call("two", { input: "quoted" }) })),
      of(2, "three").at(0, submitted),
      of(2, "three").at(9, finished(failure(Events.call("three"), crash))),
      Events.circuit(5, "Open", { lastFailure: "quoted" })
    ]
    for (const text of both(events)) {
      assert.notInclude(text, "quoted")
      assert.include(text, "InvalidInput: amount")
    }
    for (const text of both(events, { details: true })) {
      assert.include(text, "Expected a number, actual quoted-from-the-input")
      assert.include(text, "Output: &quot;quoted&quot;")
    }
  })

  it("hides secrets, even with details", () => {
    const input = { password: "hunter2hunter2", authorization: "abc", url: "redis://user:pa55word@host" }
    const error = ToolError.toolFailure(new Error("Bearer abcdefghijklmnop was refused"))
    const events = one({ input }, failure(Events.call("one"), error) as never)
    for (const text of both(events, { details: true })) {
      assert.notMatch(text, /hunter2|abcdefghijklmnop|pa55word|:&quot;abc&quot;/)
      assert.include(text, "[hidden]")
    }
  })

  it("survives failures that throw when they are looked at", () => {
    const trap = new Proxy({}, { get: () => assert.fail("touched"), has: () => assert.fail("touched") })
    const input = { toJSON: () => assert.fail("touched") }
    const events = one({ input }, failure(Events.call("one"), ToolError.toolFailure(trap)) as never)
    for (const text of both(events, { details: true })) assert.include(text, "cannot be written as JSON")
  })

  it("says that a failed call may have taken effect", () => {
    const events = one({}, failure(Events.call("one"), Events.timeout, Fault.transient()) as never)
    for (const text of both(events)) {
      assert.include(text, "timed out, in doubt")
      assert.include(text, "It may have taken effect all the same.")
    }
  })

  it("has round ticks, and leaves out a long time in which nothing happened", () => {
    const [a, b] = [of(0, "a"), of(0, "b", "b2")]
    const run = (millis: number) => [
      a.at(0, submitted),
      a.at(0, Events.started(1)),
      a.at(millis, finished(success(a.call)))
    ]
    const labels = (events: ReadonlyArray<BatchEvents.BatchEvent>) =>
      [
        ...Timeline.toSvg(Timeline.fromEvents(events)).matchAll(/<text class="dim"[^>]*text-anchor="middle">([^<]*)</g)
      ].map((match) => match[1])
    assert.deepStrictEqual(labels(run(9)), ["0 ms", "2 ms", "4 ms", "6 ms", "8 ms"])
    assert.deepStrictEqual(labels(run(2600)), ["0 ms", "500 ms", "1 s", "1.5 s", "2 s", "2.5 s"])
    assert.deepStrictEqual(labels(run(150_000)), ["0 ms", "30 s", "1 min", "1 min 30 s", "2 min", "2 min 30 s"])
    const later = [b.at(60_000, submitted), b.at(60_500, finished(success(b.call)))]
    const [, ...shown] = labels([...run(500), ...later])
    assert.deepStrictEqual(shown, ["200 ms", "400 ms", "1 min", "1 min 0.2 s", "1 min 0.4 s"])
    assert.include(Timeline.toSvg(Timeline.fromEvents([...run(500), ...later])), "59.5 s in which nothing happened")
  })

  it("does not mind the moment at which it all began", () => {
    assert.strictEqual(Timeline.fromEvents(Events.everything()).from, start)
  })
})
