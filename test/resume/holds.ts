/** What holds of a batch that was cut off anywhere, however often, and then resumed to its end. */
import { assert } from "@effect/vitest"
import type { ToolCall, ToolResult } from "../../src/index.ts"
import type { Batch, Entry } from "./tools.ts"

const writes = new Set(["pay", "send", "book", "order"])

export interface Run {
  readonly calls: ReadonlyArray<ToolCall.ToolCall>
  /** What the outside world has seen. */
  readonly entries: ReadonlyArray<Entry>
  /**
   * Of each process that was cut off the calls whose results were recorded for certain, so that somebody may have been
   * told: `pay c1`.
   */
  readonly finished: ReadonlyArray<ReadonlyArray<string>>
  /** What the last process told. */
  readonly batch: Batch | undefined
  /**
   * Whether the journal failed meanwhile. What another call has found out or changed may then have to be found out or
   * done again, and what is no write and stands on that is executed once more.
   */
  readonly isFaulty?: boolean | undefined
}

const check = (result: ToolResult.ToolResult, { effects, begun, isFinished }: Seen, why: string) => {
  const isWrite = writes.has(result.call.name)
  if (result._tag === "Success") {
    if (isFinished && result.source !== "coalesced") assert.strictEqual(result.source, "journal", why)
    // The fallback's effect is its own tool's.
    if (isWrite && result.call.name !== "order") assert.strictEqual(effects, 1, why)
    return
  }
  if (isWrite) assert.isAtMost(effects, 1, why)
  switch (result.error._tag) {
    case "OutcomeUnknown":
      assert.include(["pay", "book", "order"], result.call.name, why)
      return assert.isFalse(isFinished, why)
    case "DependencyFailed":
    case "NotStarted":
      return isWrite && assert.strictEqual(begun, 0, why)
    default:
      assert.strictEqual(result.error._tag, "ToolFailure", why)
      if (result.fault.tookEffect === "no" && isWrite) assert.strictEqual(effects, 0, why)
  }
}

interface Seen {
  /** How often it took effect, and was begun, in all processes. */
  readonly effects: number
  readonly begun: number
  readonly isFinished: boolean
}

export const assertHolds = ({ batch, calls, entries, finished, isFaulty = false }: Run, story: string) => {
  assert(batch !== undefined, story)
  assert.deepStrictEqual(
    batch.results.map(({ call }) => call),
    calls,
    story
  )
  const holds = (tool: string) => writes.has(tool) || !isFaulty
  // What was finished in a process is not executed in a later one.
  for (const [i, done] of finished.entries()) {
    for (const { id, process, tool, what } of entries) {
      if (what === "begun" && process > i + 1 && holds(tool)) assert.notInclude(done, `${tool} ${id}`, story)
    }
  }
  for (const result of batch.results) {
    const { id, name } = result.call
    const own = entries.filter((entry) => entry.id === id && entry.tool === name)
    const seen = {
      effects: own.filter(({ what }) => what === "done").length,
      begun: own.filter(({ what }) => what === "begun").length,
      isFinished: holds(name) && finished.flat().includes(`${name} ${id}`)
    }
    check(result, seen, `${name} ${id} ${story}`)
    // What is no write may be executed while the journal fails, and be given something else the next time.
    if (writes.has(name)) assert.isAtMost(new Set(own.map(({ key }) => key)).size, 1, story)
    if (result._tag === "Success" && result.source === "executed") {
      assert.isTrue(
        own.some(({ process }) => process === finished.length + 1),
        story
      )
    }
  }
  // No operation took effect twice, those of fallbacks included.
  const effects = entries.filter(({ tool, what }) => what === "done" && writes.has(tool)).map(({ key }) => key)
  assert.deepStrictEqual(effects, [...new Set(effects)], story)
}
