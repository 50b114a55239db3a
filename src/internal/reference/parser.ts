/** Finds references in an input and puts values in their place, whatever they look like. Pure. */
import * as Either from "effect/Either"
import { identity } from "effect/Function"
import { UnresolvedReference } from "../../ToolError.ts"
import { clip } from "../text.ts"
import type { Found, Parsed, Pointed, Read, Ref, Resolve } from "./model.ts"

/** Every reference carries its path, so both are bounded; inputs without references may be as deep as they like. */
const maxDepth = 200
const maxReferences = 1000
/** In all texts of an input: a short one could otherwise ask for the same long output again and again. */
const maxEmbedded = 10_000_000

const maxShown = 200

type Path = Ref["path"]

/** Something other than what was written goes to this place. */
interface Edit {
  readonly path: Path
  readonly value: (resolve: Resolve, embedded: { characters: number }) => Either.Either<unknown, UnresolvedReference>
}

/** A container whose members are being visited. */
interface Open {
  readonly container: object
  /** `undefined` for an array. */
  readonly keys: ReadonlyArray<string> | undefined
  readonly size: number
  visited: number
}

const currentKey = ({ keys, visited }: Open): string | number => keys?.[visited - 1] ?? visited - 1

const opened = (container: object): Open => {
  const keys = Array.isArray(container) ? undefined : Object.keys(container)
  return { container, keys, size: Array.isArray(container) ? container.length : (keys?.length ?? 0), visited: 0 }
}

const at = (path: Path): string => (path.length === 0 ? "" : ` (at ${clip(path.join("."), maxShown)})`)

export const refuse = (reference: string, reason: string): UnresolvedReference =>
  new UnresolvedReference({ reference: clip(reference, maxShown), reason })

const rendered = (value: unknown): string =>
  typeof value === "object" && value !== null ? JSON.stringify(value) : String(value)

const joined =
  (parts: ReadonlyArray<string | Ref>): Edit["value"] =>
  (resolve, embedded) => {
    let text = ""
    for (const part of parts) {
      const value = typeof part === "string" ? Either.right(part) : resolve(part)
      if (Either.isLeft(value)) return value
      const piece = rendered(value.right)
      if (typeof part !== "string") {
        embedded.characters += piece.length
        if (embedded.characters > maxEmbedded) {
          return Either.left(refuse(part.raw, `a text takes ${maxEmbedded} characters of outputs at most`))
        }
      }
      text += piece
    }
    return Either.right(text)
  }

const editFor = (found: Found, path: Path, note: (pointed: Pointed, embedded: boolean) => Ref): Edit => {
  switch (found._tag) {
    case "Value": {
      const reference = note(found.pointed, false)
      return { path, value: (resolve) => resolve(reference) }
    }
    case "Text":
      return { path, value: joined(found.parts.map((part) => (typeof part === "string" ? part : note(part, true)))) }
    case "Literal":
      return { path, value: () => Either.right(found.value) }
  }
}

/** Every member of a copy is its own and can be written to, even one named `__proto__`. */
const copy = (container: object): object => (Array.isArray(container) ? container.slice() : { ...container })

/** Copies what lies on the way to an edit, once, and shares the rest with the input. No edit lies inside another. */
const apply = (
  input: object,
  edits: ReadonlyArray<Edit>,
  resolve: Resolve
): Either.Either<object, UnresolvedReference> => {
  if (edits.length === 0) return Either.right(input)
  const result = copy(input)
  const fresh = new Set<unknown>([result])
  const embedded = { characters: 0 }
  for (const edit of edits) {
    const value = edit.value(resolve, embedded)
    if (Either.isLeft(value)) return Either.left(value.left)
    if (edit.path.length === 0) return whole(value.right)
    let container = result
    edit.path.forEach((key, i) => {
      if (i === edit.path.length - 1) return Reflect.set(container, key, value.right)
      let inner = Reflect.get(container, key) as object // Every step but the last of a path leads to a container.
      if (!fresh.has(inner)) {
        inner = copy(inner)
        fresh.add(inner)
        Reflect.set(container, key, inner)
      }
      container = inner
    })
  }
  return Either.right(result)
}

const whole = (value: unknown): Either.Either<object, UnresolvedReference> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Either.right(value)
    : Either.left(refuse("the whole input", "the arguments of a call are an object, and this is none"))

/** Getters and proxies are not JSON, and JSON can be nested too deep to be written. */
export const guarded = <A>(
  run: () => Either.Either<A, UnresolvedReference>,
  reason: string
): Either.Either<A, UnresolvedReference> =>
  Either.flatMap(Either.try({ try: run, catch: () => refuse("the input", reason) }), identity)

/** A loop with its own stack: how deep an input is nested is the model's choice. */
const scan = (input: object, read: Read): Either.Either<Parsed, UnresolvedReference> => {
  const references: Array<Ref> = []
  const edits: Array<Edit> = []
  const open: Array<Open> = []
  const inside = new Set<object>()

  const take = (found: Found): UnresolvedReference | undefined => {
    const path = open.map(currentKey)
    edits.push(
      editFor(found, path, (pointed, embedded) => {
        const reference = { ...pointed, path, embedded }
        references.push(reference)
        return reference
      })
    )
    return edits.length > maxReferences || references.length > maxReferences
      ? refuse(`the input${at(path)}`, `one input takes ${maxReferences} references at most`)
      : undefined
  }

  const visit = (value: unknown): UnresolvedReference | undefined => {
    const found = read(value)
    if (Either.isLeft(found)) {
      const { reason, reference } = found.left
      return refuse(reference, `${reason}${at(open.slice(0, maxDepth).map(currentKey))}`)
    }
    if (found.right !== undefined) {
      return open.length > maxDepth
        ? refuse("the input", `a reference is nested in ${maxDepth} levels of objects and arrays at most`)
        : take(found.right)
    }
    // What contains itself is no JSON; it is left to the decoder.
    if (typeof value === "object" && value !== null && !inside.has(value)) {
      inside.add(value)
      open.push(opened(value))
    }
    return undefined
  }

  let refused = visit(input)
  for (let last = open.at(-1); last !== undefined && refused === undefined; last = open.at(-1)) {
    if (last.visited === last.size) {
      open.pop()
      inside.delete(last.container)
    } else {
      last.visited++
      refused = visit(Reflect.get(last.container, currentKey(last)))
    }
  }
  return refused === undefined
    ? Either.right({
        references,
        label: undefined,
        fill: (resolve) => guarded(() => apply(input, edits, resolve), "it cannot be put together")
      })
    : Either.left(refused)
}

export const parser =
  (read: Read) =>
  (input: object): Either.Either<Parsed, UnresolvedReference> =>
    guarded(() => scan(input, read), "it cannot be read")
