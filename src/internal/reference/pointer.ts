/** JSON pointers (RFC 6901) into the output of a call, and what to say where they lead nowhere. */
import * as Either from "effect/Either"
import { identity } from "effect/Function"
import { clip } from "../text.ts"

const maxShown = 120
const maxKey = 40
const maxKeys = 8

export const quote = (text: string, most = maxKey): string => JSON.stringify(clip(text, most))

/** The reference tokens of a pointer, or why it is none. */
export const tokens = (pointer: string): Either.Either<ReadonlyArray<string>, string> => {
  if (pointer === "") return Either.right([])
  if (!pointer.startsWith("/")) return Either.left('a path into an output begins with "/"')
  if (/~(?![01])/.test(pointer)) return Either.left('in a path "~" is written as "~0", and a "/" in a key as "~1"')
  // The order matters: "~01" is the key "~1".
  return Either.right(
    pointer
      .slice(1)
      .split("/")
      .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"))
  )
}

/** No sign, no leading zero; "-", the place after the last element, never has a value. */
const index = /^(?:0|[1-9]\d*)$/

const isContainer = (value: unknown): value is object => typeof value === "object" && value !== null

/** Own members only, so that no pointer reaches a prototype. What is `undefined` is not in the JSON of the output. */
const member = (value: unknown, token: string): unknown =>
  isContainer(value) && Object.hasOwn(value, token) && (!Array.isArray(value) || index.test(token))
    ? Reflect.get(value, token)
    : undefined

/** The kind of a value and what it could be asked for; nothing of the values in it, which may be secrets. */
const described = (value: unknown): string => {
  if (Array.isArray(value)) {
    return value.length === 0 ? "is an empty array" : `is an array of ${value.length}, counted from 0`
  }
  if (!isContainer(value)) return value === null ? "is null" : `is a ${typeof value}`
  const keys = Object.keys(value)
  if (keys.length === 0) return "is an empty object"
  const more = keys.length > maxKeys ? ` and ${keys.length - maxKeys} more` : ""
  return `has the keys ${keys
    .slice(0, maxKeys)
    .map((key) => quote(key))
    .join(", ")}${more}`
}

const place = (taken: number, pointer: string): string =>
  taken === 0
    ? "the output"
    : clip(
        pointer
          .split("/")
          .slice(0, taken + 1)
          .join("/"),
        maxShown
      )

const walk = (output: unknown, pointer: string): Either.Either<unknown, string> =>
  Either.flatMap(tokens(pointer), (path) => {
    if (output === undefined) return Either.left("that call has no output")
    let value = output
    for (const [taken, token] of path.entries()) {
      const next = member(value, token)
      if (next === undefined) {
        return Either.left(`there is no ${quote(token)}, ${place(taken, pointer)} ${described(value)}`)
      }
      value = next
    }
    return Either.right(value)
  })

export const pointerInto = (output: unknown, pointer: string): Either.Either<unknown, string> =>
  Either.flatMap(
    Either.try({ try: () => walk(output, pointer), catch: () => "the output cannot be read there" }),
    identity
  )
