import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import ts from "typescript"

const root = fileURLToPath(new URL("../", import.meta.url))
const { exports } = JSON.parse(readFileSync(`${root}package.json`, "utf8"))

/** What users import, by the source it comes from. */
const entries = new Map(
  Object.entries(exports).flatMap(([path, target]) =>
    typeof target === "string"
      ? []
      : [[target.types.replace("./dist/", `${root}src/`).replace(".d.ts", ".ts"), path.replace(".", "salvo")]]
  )
)

/**
 * The first comment of a file speaks of the file, as in Effect's own packages. TypeDoc takes it for that of the first
 * declaration, unless it has a `@module` tag; so the compiler is given one to read.
 */
const moduleComments = () => {
  const { readFile } = ts.sys
  ts.sys.readFile = (path, encoding) => {
    const text = readFile(path, encoding)
    const isSource = path.startsWith(`${root}src/`) && text?.startsWith("/**")
    return isSource ? text.replace("*/", `\n * @module ${entries.get(path) ?? ""}\n */`) : text
  }
}

/** @type {Partial<import("typedoc").TypeDocOptions>} */
export default {
  name: "Salvo",
  entryPoints: [...entries.keys()],
  tsconfig: "tsconfig.json",
  out: "../.build/api",
  readme: "../README.md",
  projectDocuments: ["../docs/*.md", "../docs/decisions/*.md", "../CONTRIBUTING.md"],
  plugin: [moduleComments],
  excludeInternal: true,
  excludePrivate: true,
  excludeExternals: true,
  disableSources: true,
  // Types are checked by the TypeScript of the project itself.
  skipErrorChecking: true,
  // By `@category` alone, not by kind of declaration first.
  categorizeByGroup: false,
  validation: { notExported: true, invalidLink: true, notDocumented: true },
  requiredToBeDocumented: ["Module", "Namespace", "Class", "Interface", "TypeAlias", "Variable", "Function"]
}
