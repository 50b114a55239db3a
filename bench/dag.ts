/**
 * What the scheduler costs per call of a batch whose calls depend on each other. Handlers do nothing, so all that is
 * measured is Salvo: look-up, decoding, graph, fibers, policies, encoding, report of the batch.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { Tool, Toolbox, ToolRunner } from "salvo"
import { interleaved } from "./measure.ts"

class Node extends Tool.Service<Node>()("node", {
  description: "Does nothing",
  input: Schema.Struct({ n: Schema.Number }),
  output: Schema.Struct({ n: Schema.Number }),
  effects: "read"
}) {}

const toolbox = Toolbox.make(Node)

type Shape = (i: number, size: number) => ReadonlyArray<number>

/** A pseudo-random whole number below `below`, the same in every run. */
const pick = (i: number, k: number, below: number): number =>
  Math.abs(Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(k + 7, 0x85ebca6b)) % below

const layerSize = 50

const shapes: Readonly<Record<string, Shape>> = {
  wide: () => [],
  chain: (i) => (i === 0 ? [] : [i - 1]),
  layered: (i) => {
    const start = Math.floor(i / layerSize) * layerSize
    return start === 0 ? [] : [0, 1, 2].map((k) => start - layerSize + pick(i, k, layerSize))
  },
  random: (i) => (i === 0 ? [] : [0, 1].map((k) => Math.max(0, i - 1 - pick(i, k, 100))))
}

const callsOf = (shape: Shape, size: number) =>
  Array.from({ length: size }, (_, i) => ({
    id: `c${i}`,
    name: "node",
    input: { n: i },
    dependsOn: [...new Set(shape(i, size))].map((need) => `c${need}`)
  }))

const sizes = [10, 100, 1000, 10_000]

export interface Row {
  readonly shape: string
  readonly size: number
  readonly microsPerCall: number
}

/** Microseconds per call, medians of interleaved rounds. */
export const run = async (rounds: number) => {
  const runtime = ManagedRuntime.make(
    Layer.merge(
      Node.layer(({ n }) => Effect.succeed({ n })),
      ToolRunner.layer
    )
  )
  const cells = Object.entries(shapes).flatMap(([name, shape]) =>
    sizes.map((size) => {
      const calls = callsOf(shape, size)
      return {
        shape: name,
        size,
        once: async () => {
          const batch = await runtime.runPromise(ToolRunner.run(toolbox, calls))
          if (batch.summary.succeeded !== size) throw new Error(`${batch.summary.failed} calls failed`)
        }
      }
    })
  )
  const millis = await interleaved(
    cells.map(({ once }) => once),
    rounds
  )
  await runtime.dispose()
  const rows: ReadonlyArray<Row> = cells.map(({ shape, size }, i) => ({
    shape,
    size,
    microsPerCall: ((millis[i] ?? Number.NaN) * 1000) / size
  }))
  const at = (shape: string, size: number) =>
    rows.find((row) => row.shape === shape && row.size === size)?.microsPerCall ?? Number.NaN
  const growth = Object.fromEntries(Object.keys(shapes).map((shape) => [shape, at(shape, 10_000) / at(shape, 1000)]))
  return { rows, growth }
}
