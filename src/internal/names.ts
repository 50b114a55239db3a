/** How calls of a batch are named by others: by id, by label, by position; also before they are there. */

/** `id`: only an id is meant. `any`: a position, else a label, else an id. */
export type Kind = "id" | "any"

export interface Names {
  /** A call is there; gives those who asked for it before. */
  readonly add: (i: number, id: string, label: string | undefined) => ReadonlyArray<Expecting>
  /** The calls of that name, as far as they are there. */
  readonly find: (name: string, kind: Kind) => ReadonlyArray<number>
  readonly expect: (name: string, kind: Kind, by: number) => void
}

/** Call `by` waits for a call of that name. */
export interface Expecting {
  readonly name: string
  readonly by: number
}

const none: ReadonlyArray<never> = []

const append = <A>(map: Map<string, Array<A>>, key: string, value: A): void => {
  const known = map.get(key)
  if (known === undefined) map.set(key, [value])
  else known.push(value)
}

const wholeNumber = /^[1-9]\d{0,8}$/

export const make = (): Names => {
  const byId = new Map<string, Array<number>>()
  const byLabel = new Map<string, Array<number>>()
  const expected = new Map<string, Array<Expecting>>()
  let count = 0
  return {
    add: (i, id, label) => {
      count = i + 1
      append(byId, id, i)
      if (label !== undefined) append(byLabel, label, i)
      if (expected.size === 0) return none
      const asked = new Set([`id ${id}`, `any ${id}`, `any ${label ?? id}`, `any ${i + 1}`])
      return [...asked].flatMap((key) => {
        const all = expected.get(key) ?? []
        expected.delete(key)
        return all
      })
    },
    find: (name, kind) => {
      if (kind === "id") return byId.get(name) ?? none
      const position = wholeNumber.test(name) ? Number(name) : undefined
      if (position !== undefined && position <= count) return [position - 1]
      return byLabel.get(name) ?? byId.get(name) ?? none
    },
    expect: (name, kind, by) => append(expected, `${kind} ${name}`, { name, by })
  }
}
