/** `npm run bench -- [part …] [--json] [--rounds n]` */
import { parseArgs } from "node:util"
import * as Dag from "./dag.ts"
import * as StreamPart from "./stream.ts"

const parts = { dag: Dag.run, stream: StreamPart.run }

const isPart = (name: string): name is keyof typeof parts => Object.hasOwn(parts, name)

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean", default: false }, rounds: { type: "string", default: "9" } }
})

const wrong = positionals.find((name) => !isPart(name))
const rounds = Number(values.rounds)
if (wrong !== undefined || !Number.isInteger(rounds) || rounds < 1) {
  console.error(`bench: takes parts of ${Object.keys(parts).join(", ")}, --json, and --rounds with a whole number`)
  process.exit(1)
}

const chosen = positionals.length === 0 ? Object.keys(parts) : positionals
const results: Record<string, unknown> = {}
for (const name of chosen) if (isPart(name)) results[name] = await parts[name](rounds)

if (values.json) {
  console.log(JSON.stringify({ node: process.version, rounds, ...results }, null, 2))
} else {
  for (const [name, result] of Object.entries(results)) {
    console.log(`\n${name}`)
    for (const [key, value] of Object.entries(result as object)) {
      if (Array.isArray(value)) console.table(value)
      else console.log(key, value)
    }
  }
}
