import { assert, describe, it } from "@effect/vitest"
import * as Command from "@effect/platform/Command"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

const folder = ".build/readme"

const run = (command: string, ...args: ReadonlyArray<string>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const process = yield* Command.start(Command.make(command, ...args))
      const [output, code] = yield* Effect.all(
        [Stream.runCollect(Stream.decodeText(Stream.merge(process.stdout, process.stderr))), process.exitCode],
        { concurrency: "unbounded" }
      )
      return { output: Chunk.join(output, ""), code }
    })
  )

describe("README", () => {
  it.live(
    "every TypeScript block compiles and runs",
    () =>
      Effect.gen(function* () {
        const files = yield* FileSystem.FileSystem
        const readme = yield* files.readFileString("README.md")
        const blocks = [...readme.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? "")
        assert.isAtLeast(blocks.length, 3)
        assert.isAtMost(blocks[0]?.split("\n").length ?? 0, 31, "the first example has at most 30 lines")
        yield* files.makeDirectory(folder, { recursive: true })
        const paths = yield* Effect.forEach(blocks, (block, i) =>
          Effect.as(files.writeFileString(`${folder}/block${i}.ts`, block), `${folder}/block${i}.ts`)
        )
        yield* files.writeFileString(
          `${folder}/tsconfig.json`,
          JSON.stringify({ extends: "../../tsconfig.json", include: ["*.ts"] })
        )
        const types = yield* run("npx", "tsc", "--noEmit", "-p", `${folder}/tsconfig.json`)
        assert.strictEqual(types.code, 0, types.output)
        for (const path of paths) {
          const ran = yield* run("npx", "tsx", path)
          assert.strictEqual(ran.code, 0, ran.output)
          if (path === paths[0]) assert.match(ran.output, /succeeded: 2/)
        }
      }).pipe(Effect.provide(NodeContext.layer)),
    120_000
  )
})
