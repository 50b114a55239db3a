/** The syntax the model is taught unless another is provided: `$ref`, `$text`, `$literal` and `$label`. */
import * as Either from "effect/Either"
import type { UnresolvedReference } from "../../ToolError.ts"
import { kindOf } from "../definition.ts"
import type { Found, Grammar, Parsed, Pointed } from "./model.ts"
import { guarded, parser, refuse } from "./parser.ts"
import { tokens } from "./pointer.ts"
import { widen } from "./widen.ts"

const asItIs = 'to pass the object on as it is, write {"$literal": …} around it'

/** "#1/user/id": the target ends at the first slash. */
const pointed = (raw: string): Either.Either<Pointed, UnresolvedReference> => {
  const bad = (reason: string) => Either.left(refuse(raw, reason))
  if (!raw.startsWith("#")) return bad('a reference begins with "#" and the call, such as "#1/user/id"')
  const slash = raw.indexOf("/")
  const end = slash === -1 ? raw.length : slash
  const target = raw.slice(1, end)
  if (target.trim() === "") return bad('"#" is followed by the call, such as "#1/user/id" for the first of the turn')
  const pointer = raw.slice(end)
  const path = tokens(pointer)
  return Either.isLeft(path) ? bad(path.left) : Either.right({ raw, target, pointer })
}

/** A dollar sign; `$${#1}` is one before a value, as in many languages, so it cannot be the escape as well. */
const dollar = "${$}"
const begin = "${#"

const template = (text: string): Either.Either<Found, UnresolvedReference> => {
  const parts: Array<string | Pointed> = []
  let done = 0
  for (let next = text.indexOf("${"); next !== -1; next = text.indexOf("${", next)) {
    if (text.startsWith(dollar, next)) {
      parts.push(text.slice(done, next), "$")
      done = next += dollar.length
    } else if (text.startsWith(begin, next)) {
      const close = text.indexOf("}", next)
      if (close === -1) {
        return Either.left(
          refuse(text.slice(next), 'the reference has no closing "}"; a literal "${" is written "${$}{" in a $text')
        )
      }
      const reference = pointed(text.slice(next + 2, close))
      if (Either.isLeft(reference)) return Either.left(reference.left)
      parts.push(text.slice(done, next), reference.right)
      done = next = close + 1
    } else {
      next += 2
    }
  }
  parts.push(text.slice(done))
  return Either.right({ _tag: "Text", parts: parts.filter((part) => part !== "") })
}

/** The string that stands alone under the key. */
const alone = (value: object, key: "$ref" | "$text", such: string): Either.Either<string, UnresolvedReference> => {
  const held: unknown = Reflect.get(value, key)
  const shown = typeof held === "string" ? held : key
  if (typeof held !== "string") {
    return Either.left(refuse(shown, `${key} takes a string such as ${such}, not ${kindOf(held)}; ${asItIs}`))
  }
  return Object.keys(value).length > 1
    ? Either.left(refuse(shown, `${key} stands alone in its object, without other keys; ${asItIs}`))
    : Either.right(held)
}

const none = Either.right(undefined)

const read = (value: unknown): Either.Either<Found | undefined, UnresolvedReference> => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return none
  if (Object.hasOwn(value, "$ref")) {
    return Either.map(Either.flatMap(alone(value, "$ref", '"#1/user/id"'), pointed), (pointed) => ({
      _tag: "Value",
      pointed
    }))
  }
  if (Object.hasOwn(value, "$text")) {
    return Either.flatMap(alone(value, "$text", '"Hello ${#1/user/name}"'), template)
  }
  if (Object.hasOwn(value, "$literal")) {
    return Object.keys(value).length > 1
      ? Either.left(refuse("$literal", `$literal stands alone in its object, without other keys; ${asItIs}`))
      : Either.right({ _tag: "Literal", value: Reflect.get(value, "$literal") })
  }
  return none
}

/** A label has to be one that "#label/path" and "${#label}" can say, and that is not taken for a position. */
const label = /^(?!\d+$)[^\s/}](?:[^/}]{0,62}[^\s/}])?$/

const withoutLabel = (input: object): Either.Either<readonly [object, string | undefined], UnresolvedReference> => {
  if (!Object.hasOwn(input, "$label")) return Either.right([input, undefined])
  const { $label, ...rest } = input as { readonly $label: unknown } // It is there, as just seen.
  if (typeof $label === "string" && label.test($label)) return Either.right([rest, $label])
  return Either.left(
    refuse(
      typeof $label === "string" ? $label : "$label",
      'a $label is a string of 1 to 64 characters that is not a number and has no "/" or "}" in it' +
        (typeof $label === "string" ? "" : `, not ${kindOf($label)}`)
    )
  )
}

const parseBody = parser(read)

const parse = (input: object): Either.Either<Parsed, UnresolvedReference> =>
  Either.flatMap(
    guarded(() => withoutLabel(input), "it cannot be read"),
    ([body, label]) => Either.map(parseBody(body), (parsed) => ({ ...parsed, label }))
  )

const guidance = [
  "A call may use the output of another call of the same turn: plan calls that depend on each other in one turn, each starts as soon as the calls it points at have succeeded.",
  'In place of any value of an input write {"$ref": "#1/user/id"}: "#1" is the first call of the turn, "/user/id" the way into its output by keys and, in lists, positions from 0. "#1" alone is the whole output.',
  'Inside a text write {"$text": "Dear ${#1/user/name}, …"}.',
  'To name a call instead of counting, add "$label": "user" to its arguments and write "#user/id".',
  'Example, two calls in one turn: find_user {"email": "ada@example.com"} and list_orders {"customer": {"$ref": "#1/id"}, "limit": 5}.',
  "Point only at what you know will be in the output. If a call fails, the calls that point at it are not run.",
  'A value that has itself a key "$ref", "$text" or "$literal" is written inside {"$literal": …}.'
].join("\n")

export const standard: Grammar = { parse, widen, guidance }
