/**
 * What is written for readers: README.md, CONTRIBUTING.md and all pages under docs/. Every TypeScript block compiles and
 * runs as it stands, against the package as it is published, and prints what a `text` block right below it shows. A mark
 * in the fence says where it does not run: `ts no-run` is compiled only, `ts redis` runs where there is a redis-server.
 * Links, files and scripts that are named have to be there.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as Command from "@effect/platform/Command"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { describeRedis, server } from "./redis/server.ts"

/** A project of a user of Salvo. */
const folder = ".build/docs"
const installed = `${folder}/node_modules/salvo`
/** Whatever the blocks leave behind goes with the project. */
const temporary = `${folder}/tmp`

const pages = [
  "README.md",
  "CONTRIBUTING.md",
  ...readdirSync("docs", { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name))
].map((path) => ({ path, text: readFileSync(path, "utf8") }))

const marks = new Set(["", "no-run", "redis"])

/** A fence, and the `text` block that shows what it prints. */
const fence = /^```(\w+)(?: ([\w-]+))?\n([\s\S]*?)^```$(?:\n\n```text\n([\s\S]*?)^```$)?/gm

const blocks = pages.flatMap(({ path, text }) =>
  [...text.matchAll(fence)]
    .filter(([, language]) => language === "ts")
    .map(([, , mark = "", code = "", prints], i) => ({
      name: `${path}, TypeScript block ${i + 1}`,
      file: `${path.replaceAll(/\W+/g, "-")}-${i + 1}`,
      mark,
      code,
      prints
    }))
)

type Block = (typeof blocks)[number]

const run = (command: string, args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
  Effect.gen(function* () {
    const started = yield* Command.start(Command.env(Command.make(command, ...args), env))
    const text = (stream: typeof started.stdout) => Stream.mkString(Stream.decodeText(stream))
    const [output, errors, code] = yield* Effect.all([text(started.stdout), text(started.stderr), started.exitCode], {
      concurrency: "unbounded"
    })
    return { output, errors, code }
  }).pipe(Effect.scoped)

/** Without the lines of Effect's logger, which tell the time. */
const printed = (output: string) => output.replaceAll(/^timestamp=.*\n/gm, "")

/** What is wrong with a block, if anything is. */
const fault = (block: Block, env?: Record<string, string>) =>
  run("node", [`${folder}/out/${block.file}.js`], { ...env, TMPDIR: temporary }).pipe(
    Effect.map(({ code, errors, output }) => {
      if (code !== 0) return Either.left(`${block.name} ends with ${code}:\n${errors}${output}`)
      return block.prints === undefined || block.prints === printed(output)
        ? Either.right(block)
        : Either.left(`${block.name} prints\n${printed(output)}instead of\n${block.prints}`)
    }),
    Effect.timeoutTo({
      duration: "1 minute",
      onSuccess: (end) => end,
      onTimeout: () => Either.left(`${block.name} hangs`)
    })
  )

/** A few at a time, and all of them, whatever is wrong with one. */
const runAll = (mark: string, env?: Record<string, string>) =>
  Effect.gen(function* () {
    const chosen = blocks.filter((block) => block.mark === mark)
    assert.isNotEmpty(chosen)
    const ran = yield* Effect.forEach(chosen, (block) => fault(block, env), { concurrency: 3 })
    assert.deepStrictEqual(
      ran.flatMap((one) => (Either.isLeft(one) ? [one.left] : [])),
      []
    )
  }).pipe(Effect.provide(NodeContext.layer))

const tsc = (...args: ReadonlyArray<string>) =>
  Effect.map(run("node_modules/.bin/tsc", args), ({ code, errors, output }) =>
    code === 0 ? "" : `${output}${errors}` || `tsc ends with ${code}`
  )

/** Writes the project, and gives what the compiler has to say of it. JavaScript is there even where it complains. */
const compile = Effect.gen(function* () {
  const files = yield* FileSystem.FileSystem
  yield* files.remove(folder, { recursive: true, force: true })
  yield* files.makeDirectory(installed, { recursive: true })
  yield* files.makeDirectory(temporary)
  yield* files.copyFile("package.json", `${installed}/package.json`)
  // A package of its own: in Salvo's it would be Salvo itself that is meant by its name.
  yield* files.writeFileString(`${folder}/package.json`, JSON.stringify({ private: true, type: "module" }))
  const compilerOptions = { paths: {}, noEmit: false, rootDir: ".", outDir: "out" }
  const config = { extends: "../../tsconfig.json", compilerOptions, include: ["*.ts"] }
  yield* files.writeFileString(`${folder}/tsconfig.json`, JSON.stringify(config))
  yield* Effect.forEach(blocks, ({ code, file }) => files.writeFileString(`${folder}/${file}.ts`, code))
  return `${yield* tsc("-p", "tsconfig.build.json", "--outDir", `${installed}/dist`)}${yield* tsc("-p", folder)}`
}).pipe(Effect.provide(NodeContext.layer))

describe("the TypeScript of README.md, CONTRIBUTING.md and docs/", () => {
  let complaints = "not compiled"

  beforeAll(async () => {
    complaints = await Effect.runPromise(compile)
  }, 240_000)

  it("compiles", () => {
    assert.strictEqual(complaints, "")
  })

  it("is marked in no other way than is known here", () => {
    assert.deepStrictEqual(
      blocks.filter(({ mark }) => !marks.has(mark)).map(({ mark, name }) => `${name}: ${mark}`),
      []
    )
    const hidden = /^```(?:typescript|tsx|js|javascript)\b/m
    assert.deepStrictEqual(
      pages.filter(({ text }) => hidden.test(text)).map(({ path }) => path),
      []
    )
  })

  it("begins in the README with an example of 30 lines at most", () => {
    const first = blocks.find(({ name }) => name.startsWith("README.md"))
    assert.include(first?.code, "ToolRunner.run")
    assert.isAtMost(first?.code.trimEnd().split("\n").length ?? 0, 30)
  })

  it.live("runs, and prints what is shown below it", () => runAll(""), 240_000)

  describeRedis("with a Redis", () => {
    it.scopedLive(
      "runs, and prints what is shown below it",
      () => Effect.flatMap(server(), ({ url }) => runAll("redis", { REDIS_URL: url })),
      120_000
    )
  })
})

/** As GitHub and TypeDoc make it. */
const anchor = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-")

const headings = (text: string) => [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => anchor(heading))

/** Whether a link from that page leads anywhere. */
const leads = (link: string, from: string): boolean => {
  const [file = "", fragment] = link.split("#")
  const target = file === "" ? from : join(dirname(from), file)
  if (fragment === undefined) return existsSync(target)
  const page = pages.find(({ path }) => path === target)
  return page !== undefined && headings(page.text).includes(fragment)
}

/** What a pattern finds in the pages, and does not hold there. */
const wrong = (pattern: RegExp, holds: (found: string, path: string) => boolean, prose = (text: string) => text) =>
  pages.flatMap(({ path, text }) =>
    [...prose(text).matchAll(pattern)]
      .map(([, found = ""]) => found)
      .filter((found) => !holds(found, path))
      .map((found) => `${path}: ${found}`)
  )

describe("README.md, CONTRIBUTING.md and docs/ name only what is there", () => {
  it("links", () => {
    const withoutCode = (text: string) => text.replaceAll(/^```[\s\S]*?^```$/gm, "")
    assert.deepStrictEqual(wrong(/\]\((?![a-z]+:)([^)]*)\)/g, leads, withoutCode), [])
  })

  it("files", () => {
    const file = /(?<![\w/.])((?:src|test|bench|examples|docs|docs-api)\/[\w./-]*\w)/g
    assert.deepStrictEqual(wrong(file, existsSync), [])
  })

  it("scripts", () => {
    const scripts = Schema.decodeUnknownSync(
      Schema.parseJson(Schema.Struct({ scripts: Schema.Record({ key: Schema.String, value: Schema.String }) }))
    )(readFileSync("package.json", "utf8")).scripts
    assert.deepStrictEqual(
      wrong(/npm run (?:--silent )?([\w:-]+)/g, (name) => Object.hasOwn(scripts, name)),
      []
    )
  })
})
