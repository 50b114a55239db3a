/** JSON values as text that is the same for the same value: RFC 8785, JSON Canonicalization Scheme. */
import * as Option from "effect/Option"

/** Far from the end of the stack, and far more than any real input has. */
const maxDepth = 1000

class NotJson extends Error {}

const refuse = (reason: string): never => {
  throw new NotJson(reason)
}

/** Half a character is not Unicode: the RFC wants an error for it. */
const string = (text: string): string => (text.isWellFormed() ? JSON.stringify(text) : refuse("half a character"))

const hasToJson = (u: object): u is { toJSON: (key: string) => unknown } =>
  "toJSON" in u && typeof u.toJSON === "function"

/** `undefined` for `undefined` alone. A cycle ends at the greatest depth. */
const write = (given: unknown, key: string, depth: number): string | undefined => {
  const value: unknown = typeof given === "object" && given !== null && hasToJson(given) ? given.toJSON(key) : given
  switch (typeof value) {
    case "string":
      return string(value)
    case "boolean":
      return String(value)
    case "number":
      // ECMAScript's own way to write numbers is the RFC's.
      return Number.isFinite(value) ? JSON.stringify(value) : refuse("not a number")
    case "undefined":
      return undefined
    case "object":
      return value === null ? "null" : container(value, depth)
    default:
      return refuse(typeof value)
  }
}

/** Around a primitive, which nothing of theirs would tell. */
const boxes = new Set(["String", "Number", "Boolean", "BigInt", "Symbol"].map((name) => `[object ${name}]`))

const container = (value: object, depth: number): string => {
  if (boxes.has(Object.prototype.toString.call(value))) return refuse("a boxed primitive")
  if (depth === maxDepth) return refuse("a cycle, or too deep")
  return Array.isArray(value) ? array(value, depth + 1) : record(value, depth + 1)
}

const array = (value: ReadonlyArray<unknown>, depth: number): string => {
  let items = ""
  for (let i = 0; i < value.length; i++) items += `${i === 0 ? "" : ","}${write(value[i], String(i), depth) ?? "null"}`
  return `[${items}]`
}

const record = (value: object, depth: number): string => {
  let members = ""
  // Without a comparator the order is that of UTF-16 code units, as the RFC has it.
  for (const key of Object.keys(value).toSorted()) {
    const text = write(Reflect.get(value, key), key, depth)
    if (text !== undefined) members += `${members === "" ? "" : ","}${string(key)}:${text}`
  }
  return `{${members}}`
}

/**
 * The canonical form; `undefined` for what JSON cannot say: a cycle, a BigInt, a function, a symbol, a boxed primitive,
 * `NaN`, half a character, a getter that throws, more than a thousand levels. Members that are `undefined` are left out,
 * and `toJSON` is honoured, as by `JSON.stringify`.
 */
export const canonical = (value: unknown): string | undefined =>
  Option.getOrUndefined(Option.liftThrowable(() => write(value, "", 0))())
