/** Writes the tables of a run into a README, between `<!-- bench:part -->` and `<!-- /bench:part -->`. */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { markdown } from "./table.ts"

const bench = new URL("../", import.meta.url)

const json = (url: URL) => JSON.parse(readFileSync(url, "utf8"))

/** As it is installed here, or else in the root. */
const versionOf = (name: string): string => {
  const [own, root] = [`node_modules/${name}/package.json`, `../node_modules/${name}/package.json`]
  return json(new URL(existsSync(new URL(own, bench)) ? own : root, bench)).version
}

const versions = (): string => {
  const peers = Object.keys(json(new URL("package.json", bench)).dependencies).filter((name) => name !== "effect-4")
  const named = ["effect", "@effect/workflow", "ioredis", ...peers].map((name) => `${name} ${versionOf(name)}`)
  const all = [...named, `effect ${versionOf("effect-4")} as effect-4`].toSorted()
  return `Node ${process.version} on ${availableParallelism()} cores; ${all.join(", ")}.`
}

/** The lines between the markers of `name`, replaced. */
const replaced = (text: string, name: string, body: string): string => {
  const [open, close] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`]
  const [from, to] = [text.indexOf(open), text.indexOf(close)]
  if (from < 0 || to < from) throw new Error(`the README has no ${open} … ${close}`)
  return `${text.slice(0, from + open.length)}\n\n${body}\n\n${text.slice(to)}`
}

/** The parts that are not in `results` stay as they are. */
export const writeReadme = (results: Readonly<Record<string, unknown>>): void => {
  const readme = new URL("README.md", bench)
  const bodies = Object.entries(results).map(([name, result]) => [name, markdown(result)] as const)
  const text = [["versions", versions()] as const, ...bodies].reduce(
    (text, [name, body]) => replaced(text, name, body),
    readFileSync(readme, "utf8")
  )
  writeFileSync(readme, text)
  // It is checked by the formatter like any other file.
  spawnSync(fileURLToPath(new URL("../node_modules/.bin/oxfmt", bench)), [fileURLToPath(readme)])
}
