/**
 * Checks of JSON shapes that answer in the words of Anthropic's own validator.
 */

/** What the API answers instead of a message. */
export interface Rejection {
  readonly status: number
  readonly type: string
  readonly message: string
  readonly errorCode?: string | undefined
}

export type Json = Readonly<Record<string, unknown>>

/** `undefined`: the value at `path` is fine. */
export type Check = (value: unknown, path: string) => Rejection | undefined

export const isJson = (u: unknown): u is Json => typeof u === "object" && u !== null && !Array.isArray(u)

export const invalid = (message: string): Rejection => ({ status: 400, type: "invalid_request_error", message })

export const firstOf = <A>(
  items: Iterable<A>,
  check: (item: A, index: number) => Rejection | undefined
): Rejection | undefined => {
  let index = 0
  for (const item of items) {
    const rejection = check(item, index++)
    if (rejection !== undefined) return rejection
  }
  return undefined
}

const should =
  (ok: (value: unknown) => boolean, what: string): Check =>
  (value, path) =>
    ok(value) ? undefined : invalid(`${path}: Input should be ${what}`)

export const anything: Check = () => undefined
export const string: Check = should((u) => typeof u === "string", "a valid string")
export const boolean: Check = should((u) => typeof u === "boolean", "a valid boolean")
export const record: Check = should(isJson, "a valid dictionary")
export const positiveInteger: Check = (value, path) =>
  typeof value !== "number" || !Number.isInteger(value)
    ? invalid(`${path}: Input should be a valid integer`)
    : value < 1
      ? invalid(`${path}: Input should be greater than or equal to 1`)
      : undefined

export const nonEmptyString: Check = (value, path) =>
  string(value, path) ?? (value === "" ? invalid(`${path}: String should have at least 1 character`) : undefined)

export const literal = (...values: ReadonlyArray<string>): Check => {
  const quoted = values.map((value) => `'${value}'`)
  const last = quoted.pop() ?? ""
  return should(
    (u) => typeof u === "string" && values.includes(u),
    quoted.length === 0 ? last : `${quoted.join(", ")} or ${last}`
  )
}

export const pattern =
  (regex: RegExp): Check =>
  (value, path) =>
    string(value, path) ??
    (regex.test(String(value)) ? undefined : invalid(`${path}: String should match pattern '${regex.source}'`))

export const nullable =
  (check: Check): Check =>
  (value, path) =>
    value === null ? undefined : check(value, path)

export const array =
  (item: Check): Check =>
  (value, path) =>
    Array.isArray(value)
      ? firstOf(value, (element: unknown, index) => item(element, `${path}.${index}`))
      : invalid(`${path}: Input should be a valid list`)

export const stringOr =
  (check: Check, ofString: Check = anything): Check =>
  (value, path) =>
    typeof value === "string" ? ofString(value, path) : check(value, path)

/** All of them, in order. */
export const all =
  (...checks: ReadonlyArray<Check>): Check =>
  (value, path) =>
    firstOf(checks, (check) => check(value, path))

/** An object with these fields and no others. A field that is `undefined` is not sent, so it is not there. */
export const struct = (
  required: Readonly<Record<string, Check>>,
  optional: Readonly<Record<string, Check>> = {},
  extra: "forbidden" | "allowed" = "forbidden"
): Check => {
  const known: Readonly<Record<string, Check>> = { ...required, ...optional }
  return (value, path) => {
    if (!isJson(value)) return record(value, path)
    const at = (key: string) => (path === "" ? key : `${path}.${key}`)
    return (
      firstOf(Object.keys(required), (key) =>
        value[key] === undefined ? invalid(`${at(key)}: Field required`) : undefined
      ) ??
      firstOf(Object.entries(value), ([key, field]) => {
        if (field === undefined) return undefined
        const check = Object.hasOwn(known, key) ? known[key] : undefined
        if (check !== undefined) return check(field, at(key))
        return extra === "allowed" ? undefined : invalid(`${at(key)}: Extra inputs are not permitted`)
      })
    )
  }
}

/** A union told apart by `type`; the tag becomes part of the path, as in Anthropic's answers. */
export const tagged = (variants: Readonly<Record<string, Check>>): Check => {
  const expected = Object.keys(variants)
    .map((tag) => `'${tag}'`)
    .join(", ")
  return (value, path) => {
    if (!isJson(value)) return record(value, path)
    const tag = value["type"]
    if (tag === undefined) return invalid(`${path}.type: Field required`)
    const check = typeof tag === "string" && Object.hasOwn(variants, tag) ? variants[tag] : undefined
    return check === undefined
      ? invalid(
          `${path}: Input tag '${String(tag)}' found using 'type' does not match any of the expected tags: ${expected}`
        )
      : check(value, `${path}.${String(tag)}`)
  }
}
