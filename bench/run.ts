/**
 * `npm run bench -- [part …] [--rounds n] [--smoke] [--json] [--write]`
 *
 * A part is `bench/<part>.ts` or `bench/<part>/index.ts` and exports `run(options: Options)`. What it resolves with is
 * printed: arrays of rows as tables. A row that could not be measured says why in its `error`.
 */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { writeReadme } from "./lib/readme.ts"
import { someAtOnce } from "./lib/rounds.ts"
import { failures, markdown } from "./lib/table.ts"

const parts = ["overhead", "faults", "stream", "dag", "breaker", "journal", "memory"]

const here = (path: string) => new URL(path, import.meta.url)

const fail = (why: string): never => {
  console.error(`bench: ${why}`)
  process.exit(1)
}

const command = (name: string, args: ReadonlyArray<string>) =>
  spawnSync(name, args, { cwd: here("../"), stdio: ["ignore", 2, 2] }).status

/** The peers, and Salvo as users get it. */
const prepare = () => {
  if (!existsSync(here("node_modules")) && command("npm", ["ci", "--prefix", "bench", "--loglevel=error"]) !== 0) {
    fail("npm ci --prefix bench failed")
  }
  const tsc = fileURLToPath(here("../node_modules/.bin/tsc"))
  if (command(tsc, ["-p", "tsconfig.build.json", "--outDir", "bench/.build/salvo"]) !== 0) {
    console.error("bench: Salvo has type errors, and is measured all the same")
  }
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string" },
    smoke: { type: "boolean", default: false },
    write: { type: "boolean", default: false }
  }
})

const rounds = Number(values.rounds ?? (values.smoke ? 1 : 7))
if (positionals.some((name) => !parts.includes(name)) || !Number.isInteger(rounds) || rounds < 1) {
  fail(`takes parts of ${parts.join(", ")}, --rounds with a whole number, --smoke, --json and --write`)
}

interface Part {
  /** Measures, in so many rounds; with `smoke` as little as shows that everything still works. */
  readonly run: (options: { readonly rounds: number; readonly smoke: boolean }) => Promise<unknown>
}

prepare()
const results: Record<string, unknown> = {}
let broken = false

const runPart = async (name: string): Promise<void> => {
  const file = [`./${name}.ts`, `./${name}/index.ts`].find((path) => existsSync(here(path)))
  if (file === undefined) return fail(`there is no part ${name} yet`)
  const started = performance.now()
  try {
    const part = (await import(here(file).href)) as Part
    const result = await part.run({ rounds, smoke: values.smoke })
    results[name] = result
    if (!values.json && !values.smoke) console.log(`\n${name}\n\n${markdown(result)}`)
    for (const failure of failures(result)) console.error(`bench: ${name}: ${failure}`)
    // Nobody looks at the tables of a smoke run.
    broken ||= values.smoke && failures(result).length > 0
  } catch (error) {
    console.error(`bench: ${name} crashed:`, error)
    broken = true
  }
  console.error(`bench: ${name} took ${((performance.now() - started) / 1000).toFixed(1)} s`)
}

await someAtOnce(positionals.length === 0 ? parts : positionals, runPart, values.smoke ? undefined : 1)

const environment = { node: process.version, rounds }
if (values.json) console.log(JSON.stringify({ ...environment, ...results }, null, 2))
if (values.write) writeReadme(results)
// Whatever a part has left behind does not hold the process.
process.exit(broken ? 1 : 0)
