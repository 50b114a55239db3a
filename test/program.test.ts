import { assert, describe, it } from "@effect/vitest"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
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

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

interface Circumstances {
  /** Sends SIGINT once that has been printed. */
  readonly interruptAt?: string | undefined
  /** Closes the reader's end of standard output once that has been printed; "" is at once. */
  readonly leaveAt?: string | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
}

/** The real program, as a process of its own. */
const run = (args: ReadonlyArray<string>, { env, interruptAt, leaveAt }: Circumstances = {}): Effect.Effect<Ended> =>
  Effect.async<Ended>((resume) => {
    const child = spawn(process.execPath, [program, ...args], {
      env: { ...process.env, ANTHROPIC_API_KEY: "", NO_COLOR: undefined, ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let [out, err] = ["", ""]
    if (leaveAt === "") child.stdout.destroy()
    child.stdout.on("data", (chunk: Buffer) => {
      const before = out
      out += chunk.toString()
      const isNew = (text: string | undefined) => text !== undefined && !before.includes(text) && out.includes(text)
      if (isNew(interruptAt)) child.kill("SIGINT")
      if (isNew(leaveAt)) child.stdout.destroy()
    })
    child.stderr.on("data", (chunk: Buffer) => void (err += chunk.toString()))
    child.on("close", (code) => resume(Effect.succeed({ code, out, err })))
    return Effect.sync(() => void child.kill("SIGKILL"))
  })

const decode = Schema.decodeUnknown(Schema.parseJson(RunOutcome))

/** Exactly one line. */
const assertLine = (text: string, pattern: RegExp) => {
  assert.match(text, /^[^\n]+\n$/)
  assert.match(text, pattern)
}

const inFolder = <A, E>(use: (folder: string, files: FileSystem.FileSystem) => Effect.Effect<A, E>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      return yield* use(yield* files.makeTempDirectoryScoped({ prefix: "salvo-program-" }), files)
    })
  ).pipe(Effect.provide(NodeContext.layer))

describe("npm start", { timeout: 60_000 }, () => {
  it.live("loses nothing, refunds once, and takes as long as its slowest bounded call", () =>
    Effect.gen(function* () {
      const { code, err, out } = yield* run(["--json"])
      const outcome = yield* decode(out)
      assert.strictEqual(code, 0, err)
      assert.deepInclude(outcome, { mode: "safe", lost: 0, refused: 0 })
      assert.strictEqual(outcome.ledger.refunds, 1)
      const first = outcome.turns[0]
      assert(first !== undefined)
      assert.deepStrictEqual(
        first.calls.map((call) => `${call.tool}: ${call.outcome} after ${call.attempts}`),
        [
          "look_up_order: Success after 1",
          "search_policies: Success after 1",
          "track_parcel: Success after 2",
          "exchange_rate: fallback after 1",
          "render_report: ToolFailure after 1"
        ]
      )
      const slowest = Math.max(...first.calls.map((call) => call.millis))
      const sum = first.calls.reduce((total, call) => total + call.millis, 0)
      assert.isBelow(first.millis, (slowest + sum) / 2)
    })
  )

  it.live("the naive way loses four results and more, refunds twice, and exits with 1", () =>
    Effect.gen(function* () {
      const { code, out } = yield* run(["--naive", "--json"])
      const outcome = yield* decode(out)
      assert.strictEqual(code, 1)
      assert.isAtLeast(outcome.lost, 4)
      assert.strictEqual(outcome.ledger.refunds, 2)
    })
  )

  it.live("tells what happens while it happens, each turn before its table", () =>
    Effect.gen(function* () {
      const { code, err, out } = yield* run([])
      assert.deepStrictEqual([code, err], [0, ""])
      const [first = "", rest = ""] = out.split("Turn 1: 5 calls")
      assert.match(
        first,
        /> track_parcel: attempt 1\n[^]*! track_parcel: attempt 1 failed[^]*> track_parcel: attempt 2/
      )
      for (const name of ["look_up_order", "search_policies", "track_parcel"]) assert.include(first, `+ ${name}: done`)
      assert.include(first, "+ exchange_rate: fallback")
      assert.include(first, "x render_report: ToolFailure")
      assert.match(rest, /Salvo +0 +8 +1\nPromise\.all \+ blanket retry +5 +12 +2/)
    })
  )

  it.live("Ctrl-C ends it with what was done so far", () =>
    Effect.gen(function* () {
      const { code, err, out } = yield* run([], { interruptAt: "> exchange_rate" })
      assert.strictEqual(code, 130)
      assert.match(out, /exchange_rate +OutcomeUnknown/)
      assert.match(err, /Interrupted after 1 turn\./)
    })
  )
})

describe("npm start -- --help", { timeout: 60_000 }, () => {
  it.live("explains the options, with examples, exit codes and environment, and without colours in a pipe", () =>
    Effect.gen(function* () {
      const { code, err, out } = yield* run(["--help"])
      assert.deepStrictEqual([code, err], [0, ""])
      assert.notInclude(out, "\u001b")
      for (const word of ["--live", "--naive", "--json", "--timeline file", "npm start -- --timeline run.html"]) {
        assert.include(out, word)
      }
      for (const name of ["ANTHROPIC_API_KEY", "ANTHROPIC_MODEL", "ANTHROPIC_BASE_URL"]) assert.include(out, name)
      for (const code of [0, 1, 2, 130, 141]) assert.match(out, new RegExp(`^${code} +\\S`, "m"))
    })
  )
})

describe("a wrong command line", { timeout: 60_000 }, () => {
  it.live.each<readonly [string, ReadonlyArray<string>, RegExp]>([
    ["an unknown option", ["--bogus"], /unknown argument: '--bogus'.*--help/],
    ["an argument", ["order-1008"], /unknown argument: 'order-1008'/],
    ["--live without a key", ["--live"], /--live needs a key for the real API in ANTHROPIC_API_KEY/],
    ["--timeline without a file", ["--timeline"], /--timeline needs a value/],
    ["--timeline twice", ["--timeline", "a.svg", "--timeline", "b.svg"], /--timeline .*can be given once/],
    ["a timeline that is neither page nor image", ["--timeline", "run.png"], /writes \.html or \.svg, and run\.png is/],
    ["a timeline in no folder", ["--timeline", "/no/such/run.svg"], /\/no\/such\/run\.svg: there is no such folder/]
  ])("%s is told in one line, before anything is run", ([, args, line]) =>
    Effect.gen(function* () {
      const { code, err, out } = yield* run(args)
      assert.deepStrictEqual([code, out], [2, ""])
      assertLine(err, line)
    })
  )

  it.live("a timeline that cannot be written is told before anything is run", () =>
    inFolder((folder, files) =>
      Effect.gen(function* () {
        yield* files.makeDirectory(`${folder}/taken.html`)
        const { code, err, out } = yield* run(["--timeline", `${folder}/taken.html`, "--json"])
        assert.deepStrictEqual([code, out], [2, ""])
        assertLine(err, /taken\.html: it is a folder/)
      })
    )
  )
})

describe("npm start -- --timeline", { timeout: 60_000 }, () => {
  it.live("writes a page of the run, or an image, and replaces an older one", () =>
    inFolder((folder, files) =>
      Effect.gen(function* () {
        yield* files.writeFileString(`${folder}/run.svg`, "x".repeat(100_000))
        const image = yield* run(["--timeline", `${folder}/run.svg`])
        assert.deepStrictEqual([image.code, image.err], [0, ""])
        const svg = yield* files.readFileString(`${folder}/run.svg`)
        assert.match(svg, /^<svg [^]*<\/svg>\n$/)
        assert.include(svg, "3 batches, 7 calls: 4 succeeded, 1 fallback, 2 failed; 8 attempts")
        for (const words of ["track_parcel, attempt 1: failed", "backs off for", "failed, in doubt"]) {
          assert.include(svg, words)
        }
        const page = yield* run(["--json", "--timeline", `${folder}/run.html`])
        assert.strictEqual(page.code, 0)
        assert.strictEqual((yield* decode(page.out)).lost, 0)
        assert.match(yield* files.readFileString(`${folder}/run.html`), /^<!doctype html>[^]*<\/html>\n$/)
      })
    )
  )

  it.live("shows what Promise.all makes of it: all calls of a turn fail with one", () =>
    inFolder((folder, files) =>
      Effect.gen(function* () {
        const { code } = yield* run(["--naive", "--json", "--timeline", `${folder}/naive.svg`])
        assert.strictEqual(code, 1)
        const svg = yield* files.readFileString(`${folder}/naive.svg`)
        assert.match(svg, /2 batches, 6 calls: 1 succeeded, 5 failed; 12 attempts/)
        assert.match(svg, /look_up_order, attempt 2: succeeded/)
        assert.match(svg, /look_up_order: failed/)
        assert.match(svg, /attempt 1: abandoned/)
      })
    )
  )

  it.live("draws a run that was interrupted, too", () =>
    inFolder((folder, files) =>
      Effect.gen(function* () {
        const { code } = yield* run(["--timeline", `${folder}/run.svg`], { interruptAt: "> exchange_rate" })
        assert.strictEqual(code, 130)
        const svg = yield* files.readFileString(`${folder}/run.svg`)
        assert.match(svg, /exchange_rate: (outcome unknown|unfinished)/)
      })
    )
  )
})

describe("a closed pipe", { timeout: 60_000 }, () => {
  it.live.each<readonly [string, ReadonlyArray<string>, string]>([
    ["at once", ["--json"], ""],
    ["while the run is told", [], "> look_up_order"],
    ["before the help", ["--help"], ""]
  ])("%s ends the program with one line and the exit code of SIGPIPE", ([, args, leaveAt]) =>
    Effect.gen(function* () {
      const { code, err } = yield* run(args, { leaveAt })
      assertLine(err, /^Standard output was closed before everything was written\.$/m)
      assert.strictEqual(code, 141)
    })
  )

  it.live("costs the picture nothing", () =>
    inFolder((folder, files) =>
      Effect.gen(function* () {
        yield* run(["--timeline", `${folder}/run.svg`], { leaveAt: "> look_up_order" })
        assert.include(yield* files.readFileString(`${folder}/run.svg`), "look_up_order")
      })
    )
  )
})
