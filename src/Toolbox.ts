/**
 * A set of tools: look-up by name, and their description for the model. Its type carries the union of its tools, so
 * that running it requires exactly their implementations.
 *
 * @since 0.1.0
 */
import { InvalidDefinition } from "./internal/definition.ts"
import type { JsonSchema } from "./internal/jsonSchema.ts"
import * as Policy from "./policies/Policy.ts"
import * as Reference from "./Reference.ts"
import type * as Tool from "./Tool.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Toolbox<out Tools extends Tool.Tool = Tool.Tool> {
  readonly tools: ReadonlyArray<Tools>
  readonly byName: ReadonlyMap<string, Tools>
  /** Laid under each tool's own policy and over the runner's. */
  readonly policy: Policy.Policy
  /** Whether the model may point into the outputs of other calls of its turn (`Reference`). */
  readonly references: boolean
}

/**
 * Throws `InvalidDefinition` where two tools have one name.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <const Tools extends ReadonlyArray<Tool.Tool>>(...tools: Tools): Toolbox<Tools[number]> => {
  const byName = new Map<string, Tools[number]>()
  for (const tool of tools) {
    const { name } = tool.definition
    if (byName.has(name)) {
      throw new InvalidDefinition({
        subject: "Toolbox",
        field: "tools",
        actual: `two tools named ${JSON.stringify(name)}`,
        accepts: "one tool of each name"
      })
    }
    byName.set(name, tool)
  }
  return { tools, byName, policy: {}, references: false }
}

/**
 * The same tools under a common policy; each tool's own policy still comes first.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withPolicy = <Tools extends Tool.Tool>(toolbox: Toolbox<Tools>, policy: Policy.Policy): Toolbox<Tools> => {
  Policy.check(policy, "Toolbox")
  return { ...toolbox, policy }
}

/**
 * The same tools, and the model may plan calls in one turn that depend on each other: in place of any value of an input
 * it may point into the output of another call (`Reference`). The tools' schemas for the model, and the guidance, say so.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withReferences = <Tools extends Tool.Tool>(toolbox: Toolbox<Tools>): Toolbox<Tools> => ({
  ...toolbox,
  references: true
})

/**
 * A tool as the Messages API takes it in `tools`.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolDescription {
  readonly name: string
  readonly description: string
  readonly input_schema: JsonSchema & { readonly type: "object" }
}

/**
 * The `tools` of a request to the Messages API. `grammar` is how references are written, where the toolbox allows them.
 *
 * @since 0.1.0
 * @category combinators
 */
export const describe = (toolbox: Toolbox, grammar: Reference.Grammar = Reference.standard): Array<ToolDescription> =>
  toolbox.tools.map(({ definition }) => ({
    name: definition.name,
    description: definition.description,
    input_schema: {
      ...(toolbox.references ? grammar.widen(definition.inputSchema) : definition.inputSchema),
      type: "object" as const
    }
  }))
