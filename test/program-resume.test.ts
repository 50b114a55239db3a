/** `npm start` that is killed in the middle, and resumed. */
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { spawn } from "node:child_process"
import { bundle } from "./bundle.ts"
import { RunOutcome } from "../src/program/Outcome.ts"

const program = bundle(
  new URL("../src/program.ts", import.meta.url),
  // It reads its orders and policies from there.
  new URL("../src/program/world/World.ts", import.meta.url)
)

/** The real program, as a process of its own. */
const run = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
  Effect.async<{
    readonly code: number | null
    readonly signal: string | null
    readonly out: string
    readonly err: string
  }>((resume) => {
    const child = spawn(process.execPath, [program, ...args], {
      env: { ...process.env, ANTHROPIC_API_KEY: "", NO_COLOR: undefined, ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let [out, err] = ["", ""]
    child.stdout.on("data", (chunk: Buffer) => void (out += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => void (err += chunk.toString()))
    child.on("close", (code, signal) => resume(Effect.succeed({ code, signal, out, err })))
    return Effect.sync(() => void child.kill("SIGKILL"))
  })

const decode = Schema.decodeUnknown(Schema.parseJson(RunOutcome))

const inFolder = <A, E>(use: (folder: string, files: FileSystem.FileSystem) => Effect.Effect<A, E>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      return yield* use(yield* files.makeTempDirectoryScoped({ prefix: "salvo-program-" }), files)
    })
  ).pipe(Effect.provide(NodeContext.layer))

/** The lines of the refund server's ledgers. */
const ledger = (folder: string, files: FileSystem.FileSystem) =>
  Effect.gen(function* () {
    const names = (yield* files.readDirectory(folder)).filter((name) => name.endsWith(".jsonl"))
    const texts = yield* Effect.forEach(names, (name) => files.readFileString(`${folder}/${name}`))
    return texts.flatMap((text) => text.trimEnd().split("\n"))
  })

const assertLine = (text: string, pattern: RegExp) => {
  assert.match(text, /^[^\n]+\n$/)
  assert.match(text, pattern)
}

describe("npm start -- --kill-after refund, then --resume", { timeout: 60_000 }, () => {
  it.live("pays one refund, answers what was finished from the journal, and ends well", () =>
    inFolder((folder, files) =>
      Effect.gen(function* () {
        const journal = ["--journal", folder]
        const killed = yield* run(["--kill-after", "refund", ...journal])
        assert.strictEqual(killed.signal, "SIGKILL")
        assert.match(killed.out, /Kills itself once the refund is paid\. Go on then with --resume\./)
        assert.match(killed.out, /Turn 1: 5 calls[^]*> refund_order: attempt 1\n$/)
        assert.lengthOf(yield* ledger(folder, files), 1)

        const { code, err, out } = yield* run(["--resume", ...journal])
        assert.deepStrictEqual([code, err], [0, ""])
        assert.match(out, /\+ refund_order: journal/)
        assert.notMatch(out, /attempt \d/)
        assert.match(out, /Refunds on record: 129\.90 USD/)
        assert.match(out, /6 calls answered from the journal, none executed by this process, 1 refund in the ledger\./)
        assert.lengthOf(yield* ledger(folder, files), 1)

        // It has ended: the end is told again.
        const again = yield* run(["--resume", "--json", ...journal])
        const outcome = yield* decode(again.out)
        assert.deepInclude(outcome, { lost: 0, executions: 0, kept: 6, refused: 0, turns: [], ledger: { refunds: 1 } })
        assert.strictEqual(again.code, 0)
      })
    )
  )

  it.live("keeps the journal in the folder for temporary files, and begins anew each time", () =>
    inFolder((folder, files) =>
      Effect.gen(function* () {
        for (let n = 1; n <= 2; n++) {
          assert.strictEqual((yield* run(["--kill-after", "refund"], { TMPDIR: folder })).signal, "SIGKILL")
          const all = yield* files.readDirectory(folder)
          const name = all.find((one) => one.startsWith("salvo-order-1007-")) ?? ""
          assert.lengthOf(yield* ledger(`${folder}/${name}`, files), n)
          const { code, out } = yield* run(["--resume", "--json"], { TMPDIR: folder })
          assert.strictEqual(code, 0)
          const { kept, ledger: paid, turns } = yield* decode(out)
          assert.deepStrictEqual([kept, paid.refunds], [6, 1])
          assert.deepStrictEqual(
            turns.map(({ calls }) => calls.map(({ outcome, tool }) => `${tool}: ${outcome}`)),
            [["refund_order: journal"]]
          )
        }
      })
    )
  )
})

describe("npm start -- --resume", { timeout: 60_000 }, () => {
  it.live("goes on with a run that was killed from outside, too", () =>
    inFolder((folder, files) =>
      Effect.gen(function* () {
        const args = ["--journal", folder]
        const first = yield* Effect.async<string>((resume) => {
          const child = spawn(process.execPath, [program, ...args], {
            stdio: ["ignore", "pipe", "ignore"]
          })
          let out = ""
          child.stdout.on("data", (chunk: Buffer) => {
            out += chunk.toString()
            if (out.includes("+ look_up_order: done")) child.kill("SIGKILL")
          })
          child.on("close", (_, signal) => resume(Effect.succeed(`${signal} ${out}`)))
        })
        assert.match(first, /^SIGKILL /)
        const { code, out } = yield* run(["--resume", "--json", ...args])
        const outcome = yield* decode(out)
        assert.strictEqual(code, 0)
        assert.deepInclude(outcome, { lost: 0, refused: 0, ledger: { refunds: 1 } })
        assert.lengthOf(yield* ledger(folder, files), 1)
        const [turn] = outcome.turns
        assert.strictEqual(turn?.calls.find(({ tool }) => tool === "look_up_order")?.outcome, "journal")
      })
    )
  )

  it.live.each<readonly [string, ReadonlyArray<string>, RegExp]>([
    ["without a run", ["--resume"], /There is no run to resume in .*Begin one with --kill-after refund/],
    ["with --kill-after", ["--resume", "--kill-after", "refund"], /ask for one at a time/],
    ["with --naive", ["--resume", "--naive"], /--naive keeps no journal/],
    ["as --naive --kill-after", ["--naive", "--kill-after", "refund"], /--naive keeps no journal/],
    ["after another tool", ["--kill-after", "lunch"], /--kill-after|refund/],
    ["--journal without a folder", ["--journal"], /--journal needs a value/]
  ])("%s is told in one line, before anything is run", ([, args, line]) =>
    inFolder((folder, files) =>
      Effect.gen(function* () {
        const { code, err, out } = yield* run(args, { TMPDIR: folder })
        assert.deepStrictEqual([code, out], [2, ""])
        assertLine(err, line)
        assert.deepStrictEqual(
          (yield* files.readDirectory(folder)).filter((name) => name.startsWith("salvo")),
          []
        )
      })
    )
  )

  it.live("a journal that cannot be kept, or is not one, is told in one line", () =>
    inFolder((folder, files) =>
      Effect.gen(function* () {
        yield* files.writeFileString(`${folder}/file`, "")
        const taken = yield* run(["--kill-after", "refund", "--journal", `${folder}/file`])
        assert.deepStrictEqual([taken.code, taken.out], [2, ""])
        assertLine(taken.err, /The journal cannot be kept in .*\/file: /)
        // The journal is gone, and only the name of the run is left.
        yield* files.writeFileString(`${folder}/salvo-run.json`, JSON.stringify({ id: "order-1007-x" }))
        const gone = yield* run(["--resume", "--journal", folder, "--json"])
        assert.deepStrictEqual([gone.code, gone.out], [2, ""])
        assertLine(gone.err, /cannot be resumed: the journal holds nothing of it/)
      })
    )
  )
})

describe("npm start -- --help", { timeout: 60_000 }, () => {
  it.live("explains how to kill, to resume, and where the journal is", () =>
    Effect.gen(function* () {
      const { out } = yield* run(["--help"])
      for (const words of ["--kill-after refund", "--resume", "--journal folder", "npm start -- --resume"]) {
        assert.include(out, words)
      }
      assert.match(out, /^137 +killed/m)
    })
  )
})
