/**
 * `@effect/workflow` on its in-memory engine: a workflow for each batch, an activity for each call, whose result is
 * recorded and answers it when the workflow is run again. The intent is not.
 */
import { Activity, Workflow, WorkflowEngine } from "@effect/workflow"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { outputText, type ResultBlock } from "../../work/peer.ts"
import { failed, ForecastFailed, handlerOf, Input, Output } from "../../work/schema.ts"
import { serveBatches } from "../batches.ts"

const Batch = Workflow.make({
  name: "batch",
  payload: {
    id: Schema.String,
    calls: Schema.Array(Schema.Struct({ id: Schema.String, input: Schema.String }))
  },
  success: Schema.Array(Schema.Struct({ id: Schema.String, text: Schema.String, isError: Schema.Boolean })),
  idempotencyKey: ({ id }) => id
})

const decode = Schema.decodeUnknown(Schema.parseJson(Input))

serveBatches(async (_, tool) => {
  const activity = (id: string, input: string) =>
    Activity.make({
      name: `forecast/${id}`,
      success: Output,
      error: ForecastFailed,
      execute: Effect.flatMap(Effect.mapError(decode(input), failed), handlerOf(tool))
    })
  const workflow = Batch.toLayer(({ calls }) =>
    Effect.forEach(
      calls,
      ({ id, input }) =>
        Effect.match(activity(id, input), {
          onFailure: ({ reason }) => ({ id, text: reason, isError: true }),
          onSuccess: (output) => ({ id, text: outputText(output), isError: false })
        }),
      { concurrency: "unbounded" }
    )
  )
  const runtime = ManagedRuntime.make(Layer.provideMerge(workflow, WorkflowEngine.layerMemory))
  await runtime.runtime()
  return (id, calls) =>
    runtime.runPromise(
      Effect.map(Batch.execute({ id, calls }), (answers) =>
        answers.map(({ id, isError, text }): ResultBlock => ({
          type: "tool_result",
          tool_use_id: id,
          content: text,
          is_error: isError
        }))
      )
    )
})
