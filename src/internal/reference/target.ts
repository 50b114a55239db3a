/** Which call of the turn a reference means. */
import * as Either from "effect/Either"
import type { UnresolvedReference } from "../../ToolError.ts"
import { refuse } from "./parser.ts"
import { quote } from "./pointer.ts"

export interface Calls {
  readonly count: number
  readonly byLabel: ReadonlyMap<string, ReadonlyArray<number>>
  readonly byId: ReadonlyMap<string, ReadonlyArray<number>>
}

const maxLabels = 8

const positions = (names: ReadonlyArray<string | undefined>): ReadonlyMap<string, ReadonlyArray<number>> => {
  const found = new Map<string, Array<number>>()
  names.forEach((name, i) => {
    const known = name === undefined ? undefined : found.get(name)
    if (known !== undefined) known.push(i)
    else if (name !== undefined) found.set(name, [i])
  })
  return found
}

export const calls = (of: ReadonlyArray<{ readonly id: string; readonly label?: string | undefined }>): Calls => ({
  count: of.length,
  byLabel: positions(of.map(({ label }) => label)),
  byId: positions(of.map(({ id }) => id))
})

/** What the model could have written. */
const there = ({ byLabel, count }: Calls): string => {
  if (count === 0) return "the turn has no calls"
  const labels = [...byLabel.keys()]
  const more = labels.length > maxLabels ? ` and ${labels.length - maxLabels} more` : ""
  const named =
    labels.length === 0
      ? ""
      : `, with the label${labels.length === 1 ? "" : "s"} ${labels
          .slice(0, maxLabels)
          .map((label) => quote(label))
          .join(", ")}${more}`
  return count === 1 ? `the turn has one call, #1${named}` : `the turn has the calls #1 to #${count}${named}`
}

const several = (at: ReadonlyArray<number>, what: string): string =>
  `${at.length} calls of this turn have that ${what} (${at
    .slice(0, maxLabels)
    .map((i) => `#${i + 1}`)
    .join(", ")}${at.length > maxLabels ? ", …" : ""}); write the position of one`

/** A likely slip: "#1.user.id" or "#1[0]". */
const slip = (target: string): string =>
  /^\w+[.[]/.test(target) ? '; the way into its output is written with slashes, such as "#1/user/id"' : ""

export const lookUp = (
  reference: { readonly raw: string; readonly target: string },
  calls: Calls
): Either.Either<number, UnresolvedReference> => {
  const { raw, target } = reference
  const bad = (reason: string) => Either.left(refuse(raw, reason))
  const position = /^[1-9]\d*$/.test(target) ? Number(target) : Number.NaN
  if (position <= calls.count) return Either.right(position - 1)
  const [labelled, ...otherLabelled] = calls.byLabel.get(target) ?? []
  if (labelled !== undefined) {
    return otherLabelled.length === 0 ? Either.right(labelled) : bad(several([labelled, ...otherLabelled], "label"))
  }
  const [identified, ...otherIdentified] = calls.byId.get(target) ?? []
  if (identified !== undefined) {
    return otherIdentified.length === 0
      ? Either.right(identified)
      : bad(several([identified, ...otherIdentified], "id"))
  }
  return bad(`no call of this turn is ${quote(target)}${slip(target)}; ${there(calls)}`)
}
