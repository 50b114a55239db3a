/** Salvo: `Agent.run` on its Anthropic layer. Reads start while the model still writes, or, told so, wait. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Agent, Tool, Toolbox, ToolRunner } from "salvo"
import * as Anthropic from "salvo/anthropic"
import type { Turn } from "../turn.ts"

class Read extends Tool.Service<Read>()("read", {
  description: "Reads for half a second",
  input: Schema.Struct({ n: Schema.Number }),
  output: Schema.Number,
  effects: "read"
}) {}

export const salvo =
  (earlyStart: boolean): Turn =>
  async (url, read) => {
    const tools = Read.layer(({ n }) => Effect.promise(() => read(n)))
    const model = Anthropic.layer({ apiKey: Redacted.make("embedded"), baseURL: url })
    await Agent.run({ prompt: "Go.", toolbox: Toolbox.make(Read), earlyStart }).pipe(
      Effect.provide(Layer.mergeAll(tools, ToolRunner.layer, model)),
      Effect.runPromise
    )
  }
