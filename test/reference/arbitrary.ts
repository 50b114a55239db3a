import * as FastCheck from "effect/FastCheck"

/** Keys that trip up copies and syntaxes, none of them a mark of the standard syntax. */
const key = FastCheck.oneof(
  FastCheck.constantFrom("__proto__", "constructor", "toString", "$", "$set", "$refs", "ref", "0", "", "a/b", "m~n"),
  FastCheck.string({ unit: "binary", maxLength: 4 }).filter((text) => !/^\$(ref|text|literal|label)$/.test(text))
)

/** `__proto__` as the ordinary key it is in JSON. */
export const object = (entries: ReadonlyArray<readonly [string, unknown]>): object => Object.fromEntries(entries)

const leaf = FastCheck.oneof(
  FastCheck.constantFrom(null, true, false, "#1", "${#1}", "${$}", "#1/a"),
  FastCheck.string({ unit: "binary" }),
  FastCheck.integer(),
  FastCheck.double({ noNaN: true, noDefaultInfinity: true })
)

/** JSON values, with the given values among the leaves. */
const tree = <A>(leaf: FastCheck.Arbitrary<A>): FastCheck.Arbitrary<unknown> =>
  FastCheck.letrec((tie) => ({
    value: FastCheck.oneof({ maxDepth: 4, withCrossShrink: true }, leaf, tie("array"), tie("object")),
    array: FastCheck.array(tie("value"), { maxLength: 4 }),
    object: FastCheck.array(FastCheck.tuple(key, tie("value")), { maxLength: 4 }).map(object)
  })).value

export const json = tree(leaf)

export const jsonObject = FastCheck.dictionary(key, json, { maxKeys: 5, noNullPrototype: true })

/** A place for a value that comes from elsewhere. */
export class Hole {
  readonly value: unknown
  constructor(value: unknown) {
    this.value = value
  }
}

export const withHoles = FastCheck.dictionary(
  key,
  tree(
    FastCheck.oneof(
      leaf,
      json.map((value) => new Hole(value))
    )
  ),
  { maxKeys: 5, noNullPrototype: true }
)

type Path = ReadonlyArray<string | number>

/** The same value with the holes filled, in document order. */
export const fillHoles = (value: unknown, fill: (hole: Hole, path: Path) => unknown, path: Path = []): unknown => {
  if (value instanceof Hole) return fill(value, path)
  if (Array.isArray(value)) return value.map((item, i) => fillHoles(item, fill, [...path, i]))
  if (typeof value !== "object" || value === null) return value
  return object(Object.entries(value).map(([key, item]) => [key, fillHoles(item, fill, [...path, key])]))
}

/** Every place of a value, with what is there. */
export const places = (value: unknown, path: Path = []): Array<readonly [Path, unknown]> => [
  [path, value] as const,
  ...(Array.isArray(value)
    ? value.flatMap((item, i) => places(item, [...path, i]))
    : typeof value === "object" && value !== null
      ? Object.entries(value).flatMap(([key, item]) => places(item, [...path, key]))
      : [])
]

export const toPointer = (path: Path): string =>
  path.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("")
