import { AsyncLocalStorage, AsyncResource } from "node:async_hooks"
import { setTimeout } from "node:timers/promises"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { expect, it } from "vitest"
import { Tool, Toolbox, ToolRunner } from "../src/index.ts"

const Numbered = Schema.Struct({ n: Schema.Number })

class Work extends Tool.Service<Work>()("work", {
  description: "Does something",
  input: Numbered,
  output: Numbered,
  effects: "read"
}) {}

const toolbox = Toolbox.make(Work)

const calls = Array.from({ length: 5 }, (_, n) => ({ id: `c${n}`, name: "work", input: { n } }))

const run = (work: (n: number) => Effect.Effect<void>, policy: NonNullable<ToolRunner.Options["policy"]> = {}) =>
  ToolRunner.run(toolbox, calls).pipe(
    Effect.provide(
      Layer.merge(
        Work.layer((input) => Effect.as(work(input.n), input)),
        ToolRunner.layerWith({ policy })
      )
    )
  )

it("a batch runs where nothing is waited for, also if its handlers yield", () => {
  const { succeeded } = Effect.runSync(run(() => Effect.yieldNow()))
  expect(succeeded.map(({ output }) => output.n)).toEqual([0, 1, 2, 3, 4])
})

it("a handler that yields for ever keeps no timer from its turn", async () => {
  const forever = Effect.forever(Effect.yieldNow())
  const { failed, succeeded } = await Effect.runPromise(
    run((n) => (n === 2 ? forever : Effect.sleep("5 millis")), { timeout: { attempt: "50 millis" }, retry: false })
  )
  expect(succeeded).toHaveLength(4)
  expect(failed.map(({ error }) => error._tag)).toEqual(["Timeout"])
})

it("no handler goes on in the async context of another", async () => {
  const storage = new AsyncLocalStorage<number>()
  const seen: Array<readonly [number, number | undefined]> = []
  const waiting: Array<() => void> = []
  const enter = (n: number) =>
    Effect.async<void>((resume) => {
      storage.run(n, () => waiting.push(AsyncResource.bind(() => resume(Effect.void))))
      // The last one lets all go on at once, each from its own context.
      if (waiting.length === calls.length) void setTimeout(1).then(() => waiting.forEach((go) => go()))
    })
  await Effect.runPromise(
    run((n) =>
      Effect.zipRight(
        enter(n),
        Effect.sync(() => void seen.push([n, storage.getStore()]))
      )
    )
  )
  expect(seen).toHaveLength(5)
  for (const [n, store] of seen) expect(store).toBe(n)
})
