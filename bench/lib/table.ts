/** Results as Markdown tables, for the terminal and the README. */
import type { Summary } from "./stats.ts"

type Row = Readonly<Record<string, unknown>>

const isRows = (value: unknown): value is ReadonlyArray<Row> =>
  Array.isArray(value) && value.length > 0 && value.every((row) => typeof row === "object" && row !== null)

/** Three digits that mean something, the thousands set apart. */
const shortNumber = (n: number): string => {
  if (!Number.isFinite(n)) return "-"
  const digits = Math.max(0, Math.min(3, 2 - Math.floor(Math.log10(Math.abs(n) || 1))))
  return n.toLocaleString("en-US", { maximumFractionDigits: digits })
}

/** What fits a cell. */
const longest = 160

const cut = (text: string): string => (text.length > longest ? `${text.slice(0, longest)} …` : text)

const isSummary = (value: unknown): value is Summary =>
  typeof value === "object" && value !== null && "median" in value && "q1" in value && "q3" in value

const cellText = (value: unknown): string => {
  if (value === undefined || value === null) return ""
  if (typeof value === "number") return shortNumber(value)
  if (isSummary(value)) {
    const spread = value.q1 < value.q3 ? ` (${shortNumber(value.q1)} - ${shortNumber(value.q3)})` : ""
    return shortNumber(value.median) + spread
  }
  return cut((typeof value === "string" ? value : JSON.stringify(value)).replaceAll(/\s+/g, " ")).replaceAll("|", "\\|")
}

const isFigure = (value: unknown): boolean => value === undefined || typeof value === "number" || isSummary(value)

const table = (rows: ReadonlyArray<Row>): string => {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row).filter((column) => row[column] !== undefined)))]
  const right = columns.map((column) => rows.every((row) => isFigure(row[column])))
  const body = rows.map((row) => columns.map((column) => cellText(row[column])))
  const widths = columns.map((column, i) => Math.max(3, column.length, ...body.map((line) => line[i]?.length ?? 0)))
  const padded = (line: ReadonlyArray<string>) =>
    `| ${line.map((text, i) => (right[i] ? text.padStart(widths[i] ?? 0) : text.padEnd(widths[i] ?? 0))).join(" | ")} |`
  const rule = widths.map((width, i) => (right[i] ? `${"-".repeat(width - 1)}:` : "-".repeat(width)))
  return [columns, rule, ...body].map(padded).join("\n")
}

/** The result of a part: arrays of rows as tables, anything else as it is, each under its name; `details` not at all. */
export const markdown = (result: unknown): string => {
  if (isRows(result)) return table(result)
  if (typeof result !== "object" || result === null || Array.isArray(result)) return cellText(result)
  return Object.entries(result)
    .filter(([name]) => name !== "details")
    .map(([name, value]) => (isRows(value) ? `${name}\n\n${table(value)}` : `${name}: ${cellText(value)}`))
    .join("\n\n")
}

/** What went wrong in the rows of a result, in a line each. */
export const failures = (result: unknown): ReadonlyArray<string> => {
  if (typeof result !== "object" || result === null) return []
  if (!isRows(result)) return Object.values(result).flatMap(failures)
  return result
    .filter(({ error }) => error !== undefined)
    .map(({ error, ...row }) => {
      const name = Object.values(row).find((value) => typeof value === "string")
      return `${cellText(name)}: ${cellText(error)}`
    })
}
