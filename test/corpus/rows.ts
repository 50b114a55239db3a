/** The workloads of the corpus, which is not part of the repository. */
import { existsSync, readFileSync } from "node:fs"

export type JsonSchema = Readonly<Record<string, unknown>>

export interface Ref {
  /** A JSON pointer into the input. */
  readonly path: string
  /** The call it points to; null where there is none. */
  readonly from: string | null
  /** A JSON pointer into that call's output. */
  readonly pointer: string
  readonly raw: string
  readonly embedded?: boolean
  readonly missing_field?: string
  readonly type_mismatch?: string
}

export interface Call {
  readonly id: string
  readonly name: string
  readonly input: Readonly<Record<string, unknown>>
  readonly raw?: string
  /** What the model wrote could not be parsed; `input` is a guess. */
  readonly malformed?: boolean
  readonly invalid?: boolean
  readonly invalid_reasons?: ReadonlyArray<string>
  readonly depends_on: ReadonlyArray<string>
  readonly refs: ReadonlyArray<Ref>
  readonly resource?: string
}

export interface Row {
  readonly id: string
  readonly source: string
  readonly dependency: "none" | "data" | "order" | "data+link"
  readonly tools: ReadonlyArray<{
    readonly name: string
    readonly description?: string
    readonly input_schema: JsonSchema
    readonly output_schema?: JsonSchema
  }>
  readonly calls: ReadonlyArray<Call>
  readonly outputs?: Readonly<Record<string, unknown>>
  readonly issues?: ReadonlyArray<string>
}

const file = new URL("../../../shared/corpus/workloads.jsonl", import.meta.url)

export const isThere = existsSync(file)

export const load = (): ReadonlyArray<Row> =>
  readFileSync(file, "utf8")
    // Three rows write `<Node-1>` or `<node_1>` for what all others write `<node-1>`.
    .replaceAll(/<node[-_](?=\d)/gi, "<node-")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Row) // Its format is the corpus' own promise.

/** The calls that have to succeed before this one; in `order` rows there are none, they only take turns. */
export const needs = ({ dependency }: Row, call: Call): ReadonlyArray<string> =>
  dependency === "order" ? [] : call.depends_on

/** Those of them that nothing in the input tells. */
export const links = (row: Row, call: Call): ReadonlyArray<string> =>
  needs(row, call).filter((id) => !call.refs.some(({ from }) => from === id))
