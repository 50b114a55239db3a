/**
 * A process is killed while it pays; the next one knows what was done, asks what became of the rest, and pays once.
 *
 *     npx tsx examples/resume-after-a-crash.ts
 */
import * as NodeKeyValueStore from "@effect/platform-node/NodeKeyValueStore"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { spawnSync } from "node:child_process"
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Journal, Tool, Toolbox, ToolRunner } from "salvo"

class FindOrder extends Tool.Service<FindOrder>()("find_order", {
  description: "An order by number",
  input: Schema.Struct({ order: Schema.Number }),
  output: Schema.Struct({ cents: Schema.Number }),
  effects: "read"
}) {}

class Refund extends Tool.Service<Refund>()("refund", {
  description: "Pays money back",
  input: Schema.Struct({ cents: Schema.Number }),
  output: Schema.String,
  effects: "write"
}) {}

const [, , given] = process.argv
const isFirst = given !== undefined
const folder = given ?? mkdtempSync(join(tmpdir(), "salvo-"))

// The bank: it remembers what was paid, and under which key.
const bank = join(folder, "bank")
const pay = (key: string) => Effect.sync(() => appendFileSync(bank, `${key}\n`))
const wasPaid = (key: string) => Effect.sync(() => readFileSync(bank, "utf8").split("\n").includes(key))

const tools = Layer.merge(
  FindOrder.layer(({ order }) => Effect.as(Console.log(`looks for order ${order}`), { cents: 4200 })),
  Refund.layer(
    Tool.withReconcile(
      (_, { idempotencyKey }) =>
        pay(idempotencyKey).pipe(
          // The money is gone, and so is this process.
          Effect.map(() => isFirst && process.kill(process.pid, "SIGKILL")),
          Effect.as("paid")
        ),
      (_, { idempotencyKey }) =>
        Effect.map(wasPaid(idempotencyKey), (is) => (is ? Option.some("paid, as the bank says") : Option.none()))
    )
  )
)

const turn = ToolRunner.run(
  Toolbox.make(FindOrder, Refund),
  [
    { id: "toolu_1", name: "find_order", input: { order: 1007 } },
    { id: "toolu_2", name: "refund", input: { cents: 4200 }, dependsOn: ["toolu_1"] }
  ],
  { id: "conversation-9/turn-3" }
)

const main = Effect.gen(function* () {
  if (isFirst) return yield* turn
  const script = fileURLToPath(import.meta.url)
  const { signal } = spawnSync(process.execPath, [...process.execArgv, script, folder], { stdio: "inherit" })
  yield* Console.log(`the first process: ${signal}`)
  const { succeeded } = yield* turn
  for (const { call, encoded, source } of succeeded) {
    yield* Console.log(`${call.name}: ${JSON.stringify(encoded)}, from the ${source}`)
  }
  yield* Console.log(`${readFileSync(bank, "utf8").trimEnd().split("\n").length} payment`)
  return rmSync(folder, { recursive: true })
})

const journal = Layer.provide(Journal.layerKeyValueStore(), NodeKeyValueStore.layerFileSystem(join(folder, "journal")))

await Effect.runPromise(Effect.provide(main, Layer.mergeAll(tools, journal, ToolRunner.layer)))
