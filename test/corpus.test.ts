import { assert, describe, layer } from "@effect/vitest"
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type ToolResult, ToolRunner } from "../src/index.ts"
import { type Expected, expected, onCycles, type Tag } from "./corpus/reasons.ts"
import { type Call, isThere, links, load, needs, type Row } from "./corpus/rows.ts"
import { type Execution, play, type Played } from "./corpus/world.ts"

if (!isThere) console.warn("SKIPPED: no real workload is replayed, ../shared/corpus/workloads.jsonl is not there")

/** One call of a row: what became of it, and what had to. */
interface Told {
  readonly played: Played
  readonly row: Row
  readonly call: Call
  readonly tag: Tag | "Success"
  readonly result: ToolResult.ToolResult
  readonly expected: Expected
  readonly executions: ReadonlyArray<Execution>
  /** For messages. */
  readonly where: string
}

const tell = (played: Played): ReadonlyArray<Told> => {
  const { batch, faultOf, outputs, row } = played
  const all = expected(row, outputs, faultOf)
  const executions = Arr.groupBy(played.executions, ({ id }) => id)
  return row.calls.map((call, i) => {
    const [result, one] = [batch.results[i], all.get(call.id)]
    assert(result !== undefined && one !== undefined)
    return {
      played,
      row,
      call,
      result,
      tag: result._tag === "Success" ? "Success" : result.error._tag,
      expected: one,
      executions: executions[call.id] ?? [],
      where: `${row.id} ${call.id}`
    }
  })
}

/** All rows, played twice: with tools that only take their time, and with some that fail, crash, hang or are flaky. */
class Replay extends Context.Tag("test/corpus/Replay")<
  Replay,
  {
    readonly played: ReadonlyArray<Played>
    readonly calm: ReadonlyArray<Told>
    readonly faulty: ReadonlyArray<Told>
    readonly told: ReadonlyArray<Told>
  }
>() {
  static readonly layer = Layer.effect(
    Replay,
    Effect.gen(function* () {
      const rows = isThere ? load() : []
      const calm = yield* Effect.forEach(rows, (row) => play(row))
      const faulty = yield* Effect.forEach(rows, (row) => play(row, "faults"))
      const [calmTold, faultyTold] = [calm.flatMap(tell), faulty.flatMap(tell)]
      return { played: [...calm, ...faulty], calm: calmTold, faulty: faultyTold, told: [...calmTold, ...faultyTold] }
    })
  ).pipe(Layer.provide(ToolRunner.layer))
}

/** The places and words of schema errors, without what a runner may say on top. */
const places = (reasons: ReadonlyArray<string>): ReadonlyArray<string> =>
  Arr.dedupe(reasons.map((reason) => reason.replace(/( \(|:).*$/s, "").replace(/^\/ /, " "))).toSorted()

const refusedByItself: ReadonlySet<string> = new Set([
  "UnknownTool",
  "MalformedInput",
  "InvalidInput",
  "UnresolvedReference"
])

const countBy = <A>(all: ReadonlyArray<A>, key: (one: A) => string): Record<string, number> =>
  Object.fromEntries(Object.entries(Arr.groupBy(all, key)).map(([name, members]) => [name, members.length]))

describe.skipIf(!isThere)("real workloads", () => {
  layer(Replay.layer, { timeout: 120_000 })((it) => {
    it.effect("every call has exactly one result, in call order, whatever its turn is like", () =>
      Effect.gen(function* () {
        const { calm, faulty, played } = yield* Replay
        for (const { batch, row } of played) {
          assert.deepStrictEqual(
            batch.results.map(({ call }) => call.id),
            row.calls.map(({ id }) => id),
            row.id
          )
        }
        assert.strictEqual(played.length, 2000)
        const line = (all: ReadonlyArray<Told>) => JSON.stringify(countBy(all, ({ tag }) => tag))
        console.log(`${played.length / 2} rows, ${calm.length} calls: ${line(calm)}\nwith faults: ${line(faulty)}`)
      })
    )

    it.effect("a call succeeds, or is refused for a reason that the corpus or its tool gives", () =>
      Effect.gen(function* () {
        for (const { expected, tag, where } of (yield* Replay).told) {
          if (tag === "Success") assert.deepStrictEqual([...expected.reasons], [], where)
          else assert.include([...expected.reasons], tag, where)
        }
      })
    )

    it.effect("what the corpus marks as wrong, and nothing else, is refused before any tool runs", () =>
      Effect.gen(function* () {
        for (const { call, executions, expected, row, tag, where } of (yield* Replay).calm) {
          const isMarked =
            call.invalid === true ||
            call.malformed === true ||
            call.refs.some(
              ({ from, missing_field, type_mismatch }) =>
                from === null || missing_field !== undefined || type_mismatch !== undefined
            )
          const isOnCycle = onCycles(row, (one) => needs(row, one)).has(call.id)
          const isWrong = isMarked || isOnCycle || expected.failedNeeds.length > 0
          assert.strictEqual(tag !== "Success", isWrong, where)
          assert.strictEqual(executions.length, isWrong ? 0 : 1, where)
        }
      })
    )

    it.effect("a refusal names what is wrong", () =>
      Effect.gen(function* () {
        const { told } = yield* Replay
        for (const { call, expected, result, where } of told) {
          if (result._tag === "Success") continue
          const { error } = result
          if (error._tag === "UnknownTool") assert.strictEqual(error.name, call.name, where)
          if (error._tag === "UnresolvedReference") assert.include(expected.unresolved, error.reference, where)
          if (error._tag === "InvalidInput" && call.refs.length === 0) {
            assert.deepStrictEqual(
              places(error.issues.map(({ message, path }) => `${path.map((key) => `/${key}`).join("")} ${message}`)),
              places(call.invalid_reasons ?? []),
              where
            )
          }
        }
      })
    )

    it.effect("a skipped call names what it needed and where the trouble began", () =>
      Effect.gen(function* () {
        const { told } = yield* Replay
        const tags = new Map(told.map(({ call, played, tag }) => [played, new Map<string, string>([[call.id, tag]])]))
        for (const { call, played, tag } of told) tags.get(played)?.set(call.id, tag)
        for (const { call, expected, played, result, where } of told) {
          if (result._tag === "Success" || result.error._tag !== "DependencyFailed") continue
          const { dependency, root } = result.error
          assert.include(expected.failedNeeds, dependency, where)
          const rootTag = tags.get(played)?.get(root)
          assert(rootTag !== undefined && rootTag !== "Success" && rootTag !== "DependencyFailed", where)
          assert.notStrictEqual(root, call.id, where)
        }
      })
    )

    it.effect(
      "handlers are given the outputs that the references point to, and all references of clean plans resolve",
      () =>
        Effect.gen(function* () {
          const { calm, told } = yield* Replay
          for (const { executions, expected, where } of told) {
            for (const { input } of executions) assert.deepStrictEqual(input, expected.input, where)
          }
          const resolved = { clean: 0, all: 0 }
          for (const { call, executions, row, tag, where } of calm) {
            const isClean = (row.issues ?? []).length === 0
            if (isClean) assert.strictEqual(tag, "Success", where)
            if (executions.length === 0) continue
            resolved.all += call.refs.length
            if (isClean) resolved.clean += call.refs.length
            if (call.refs.length > 0) assert.notDeepEqual(executions[0]?.input, call.input, where)
          }
          console.log(`references resolved: ${resolved.all}, ${resolved.clean} of them in clean plans`)
          assert.isAbove(resolved.clean, 200)
        })
    )

    it.effect("calls that share a resource run one at a time, in call order, also past a failed one", () =>
      Effect.gen(function* () {
        const { faulty, played } = yield* Replay
        const inOrder = played.filter(({ row }) => row.dependency === "order")
        for (const { executions, row } of inOrder) {
          const resourceOf = new Map(row.calls.map(({ id, resource = "" }) => [id, resource]))
          for (const [resource, used] of Object.entries(
            Arr.groupBy(executions, ({ id }) => resourceOf.get(id) ?? "")
          )) {
            const calls = row.calls.filter((call) => (call.resource ?? "") === resource)
            assert.deepStrictEqual(
              used.map(({ id }) => id),
              calls.map(({ id }) => id),
              row.id
            )
            for (const [before, after] of Arr.zip(used, used.slice(1))) {
              assert.isAtLeast(after.start, before.end ?? before.start + 1, row.id)
            }
          }
        }
        assert.isAbove(inOrder.length, 200)
        // Not because nothing ever went wrong there.
        assert.isAbove(faulty.filter(({ row, tag }) => row.dependency === "order" && tag !== "Success").length, 20)
      })
    )

    it.effect("cycles are told as such, by the calls on them, and the rest of the plan runs", () =>
      Effect.gen(function* () {
        const rows = Arr.groupBy((yield* Replay).calm, ({ row }) => row.id)
        const counts = { cyclic: 0, told: 0, ranBeside: 0 }
        for (const all of Object.values(rows)) {
          const [{ row }] = all
          const byId = new Map(all.map((one) => [one.call.id, one]))
          /** A call that was refused for what it says itself waits for nothing; of an unknown tool no input is read. */
          const cyclic = onCycles(row, (call) => {
            if (refusedByItself.has(byId.get(call.id)?.tag ?? "Success")) return []
            return row.tools.some(({ name }) => name === call.name) ? needs(row, call) : links(row, call)
          })
          for (const { call, result, tag, where } of all) {
            assert.strictEqual(tag === "DependencyCycle", cyclic.has(call.id), where)
            if (result._tag === "Success" || result.error._tag !== "DependencyCycle") continue
            const { cycle } = result.error
            assert.strictEqual(cycle[0], call.id, where)
            cycle.forEach((id, i) => {
              const next = cycle[(i + 1) % cycle.length] ?? ""
              assert.include(byId.get(id)?.call.depends_on ?? [], next, where)
            })
          }
          if (row.issues?.includes("cycle") !== true) continue
          counts.cyclic++
          if (all.some(({ tag }) => tag === "DependencyCycle")) counts.told++
          if (all.some(({ tag }) => tag === "Success")) counts.ranBeside++
        }
        console.log(`${counts.cyclic} cyclic plans, ${counts.told} told, in ${counts.ranBeside} something ran`)
        assert.isAtLeast(counts.cyclic, 60)
      })
    )

    it.effect("a call whose tool fails skips exactly what hangs on it", () =>
      Effect.gen(function* () {
        const { faulty } = yield* Replay
        for (const { executions, expected, played, call, result, tag, where } of faulty) {
          const hasRun = executions.length > 0
          assert.strictEqual(hasRun, tag === "Success" || ["ToolFailure", "ToolDefect", "Timeout"].includes(tag), where)
          assert.strictEqual(executions.length, result.attempts, where)
          if (tag === "DependencyFailed") assert.isNotEmpty(expected.failedNeeds, where)
          if (tag === "Success") assert.strictEqual(result.attempts, played.faultOf(call) === "flaky" ? 2 : 1, where)
        }
        const tags = countBy(faulty, ({ tag }) => tag)
        for (const tag of ["ToolFailure", "ToolDefect", "Timeout"]) assert.isAbove(tags[tag] ?? 0, 50, tag)
        assert.isAbove(faulty.filter(({ result }) => result._tag === "Success" && result.attempts === 2).length, 50)
      })
    )

    it.effect("a call starts at the moment when the last one it needs has landed", () =>
      Effect.gen(function* () {
        for (const { call, executions, played, row, where } of (yield* Replay).calm) {
          const [execution] = executions
          if (execution === undefined || row.dependency === "order") continue
          const ends = needs(row, call).map((id) => played.executions.find((one) => one.id === id)?.end ?? Number.NaN)
          assert.strictEqual(execution.start, Math.max(0, ...ends), where)
        }
      })
    )
  })
})
