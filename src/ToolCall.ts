/**
 * What the model asked for.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * One tool call. Anthropic `tool_use` blocks fit as they are.
 *
 * `input` is whatever the model produced: an object, or the JSON text of one (a block whose JSON did not parse keeps
 * its raw text here, so that only this call fails). `dependsOn` names calls of the same batch that have to succeed
 * before this one starts; with `tolerates` it starts when they have landed, however they ended. `toolset_name` belongs to Anthropic's own toolsets and is echoed in the answer.
 *
 * @since 0.1.0
 * @category models
 */
export const ToolCall = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  input: Schema.Unknown,
  dependsOn: Schema.optional(Schema.UndefinedOr(Schema.Array(Schema.String))),
  tolerates: Schema.optional(Schema.UndefinedOr(Schema.Boolean)),
  toolset_name: Schema.optional(Schema.NullishOr(Schema.String))
})

/**
 * @since 0.1.0
 * @category models
 */
export interface ToolCall extends Schema.Schema.Type<typeof ToolCall> {}
