/** A number that is the same for the same arguments, whatever the order of their names; most others have another. */
import * as Hash from "effect/Hash"

const ofValue = (value: unknown): number => {
  switch (typeof value) {
    case "string":
      return Hash.string(value)
    case "number":
      return Hash.number(value)
    case "boolean":
      return value ? 1 : 2
    default:
      return 3
  }
}

export const fingerprint = (tool: string, written: object): number => {
  let sum = Hash.string(tool)
  // What writes itself as JSON says anything.
  if ("toJSON" in written) return sum
  for (const name of Object.keys(written)) {
    const value: unknown = Reflect.get(written, name)
    // JSON leaves it out.
    if (value !== undefined && typeof value !== "function" && typeof value !== "symbol") {
      sum += Hash.string(name) ^ ofValue(value)
    }
  }
  return sum
}
