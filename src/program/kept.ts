/**
 * What outlives the process, in one folder: the journal, which run is the last one, and the ledger of the refund server.
 * That server lives in the program's own process and dies with it; what it has paid stays paid.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeKeyValueStore from "@effect/platform-node/NodeKeyValueStore"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Journal } from "../index.ts"
import * as Failure from "./failure.ts"
import * as Refunds from "./world/Refunds.ts"

/** How it is asked for. */
export interface Asked {
  readonly folder: string
  readonly isResumed: boolean
  /** Whether the process kills itself as soon as a refund is paid. */
  readonly killAfterRefund: boolean
}

export interface Kept {
  /** Names the conversation. */
  readonly id: string
  readonly isResumed: boolean
  readonly journal: Layer.Layer<Journal.Journal>
  readonly refunds: Refunds.Options
}

/** Where nothing else is said. */
export const defaultFolder = join(tmpdir(), `salvo-order-1007-${process.getuid?.() ?? "run"}`)

const LastRun = Schema.parseJson(Schema.Struct({ id: Schema.String }))

const Line = Schema.parseJson(Refunds.Refund)

const kill = Effect.zipRight(
  Effect.sync(() => process.kill(process.pid, "SIGKILL")),
  Effect.never
)

const unusable = (folder: string) => (error: Parameters<typeof Failure.why>[0]) =>
  Failure.misuse(`The journal cannot be kept in ${folder}: ${Failure.why(error)}.`)

const nothing = (folder: string) =>
  Failure.misuse(`There is no run to resume in ${folder}. Begin one with --kill-after refund. See --help.`)

/** The last run in the folder, or a new one. */
export const open = ({ folder, isResumed, killAfterRefund }: Asked) =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const lastRun = join(folder, "salvo-run.json")
    yield* isResumed ? Effect.void : files.makeDirectory(folder, { recursive: true })
    const id = isResumed
      ? (yield* Effect.orElseSucceed(Effect.flatMap(files.readFileString(lastRun), Schema.decode(LastRun)), () => ({
          id: undefined
        }))).id
      : `order-1007-${(yield* Random.nextIntBetween(0, 2 ** 48)).toString(36)}`
    if (id === undefined) return yield* nothing(folder)
    const ledger = join(folder, `salvo-refunds-${id}.jsonl`)
    yield* isResumed ? Effect.void : files.writeFileString(lastRun, JSON.stringify({ id }))
    const paid = yield* files.exists(ledger)
    const lines = paid ? (yield* files.readFileString(ledger)).trimEnd().split("\n") : []
    const onCommit = (refund: Refunds.Refund) =>
      Schema.encode(Line)(refund).pipe(
        Effect.flatMap((line) => files.writeFileString(ledger, `${line}\n`, { flag: "a" })),
        Effect.orDie,
        Effect.zipRight(killAfterRefund ? kill : Effect.void)
      )
    return {
      id,
      isResumed,
      journal: Layer.provide(
        Journal.layerKeyValueStore(),
        Layer.orDie(NodeKeyValueStore.layerFileSystem(join(folder, "journal")))
      ),
      refunds: { refunds: lines.flatMap((line) => Option.toArray(Schema.decodeOption(Line)(line))), onCommit }
    } satisfies Kept
  }).pipe(
    Effect.catchTags({
      SystemError: (error) => unusable(folder)(error),
      BadArgument: (error) => unusable(folder)(error)
    })
  )
