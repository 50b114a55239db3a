/** What calls do to the world, and which of two things says more of it. */
import type { TookEffect } from "../Fault.ts"
import type * as Tool from "../Tool.ts"

const effects: ReadonlyArray<Tool.Effects> = ["read", "idempotent", "write"]

const took: ReadonlyArray<TookEffect> = ["no", "maybe", "yes"]

/** The tool that may answer in this one's place. */
export const insteadOf = ({ policy: { fallback } }: Tool.Definition): Tool.Definition | undefined =>
  typeof fallback === "object" && "tool" in fallback ? fallback.tool.definition : undefined

/** What a call may do, the tool that may answer in its place included. */
export const ofCall = (definition: Tool.Definition): Tool.Effects => {
  const other = insteadOf(definition)
  const instead = other === undefined ? "read" : ofCall(other)
  return effects.indexOf(instead) > effects.indexOf(definition.effects) ? instead : definition.effects
}

/** What two executions together have done. */
export const ofBoth = (one: TookEffect, other: TookEffect): TookEffect =>
  took.indexOf(other) > took.indexOf(one) ? other : one
