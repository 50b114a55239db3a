/** How calls of a batch are named by others: by id, by label, by position; also before they are there. */

/** `id`: only an id is meant. `any`: a position, else a label, else an id. */
export type Kind = "id" | "any"

export interface Names {
  /** A call is there; gives those who asked for it before. */
  readonly add: (i: number, id: string, label: string | undefined) => ReadonlyArray<Expecting>
  /** The calls of that name, as far as they are there. */
  readonly find: (name: string, kind: Kind) => ReadonlyArray<number>
  readonly expect: (name: string, kind: Kind, by: number) => void
  /** Whether every name that was asked for is that of a call, and none that of several. */
  readonly isClear: () => boolean
}

/** Call `by` waits for a call of that name. */
export interface Expecting {
  readonly name: string
  readonly by: number
}

const none: ReadonlyArray<never> = []

/** Gives how many there are now. */
const append = <A>(map: Map<string, Array<A>>, key: string, value: A): number => {
  const known = map.get(key)
  if (known !== undefined) return known.push(value)
  map.set(key, [value])
  return 1
}

const wholeNumber = /^[1-9]\d{0,8}$/

export const make = (): Names => {
  const byId = new Map<string, Array<number>>()
  const byLabel = new Map<string, Array<number>>()
  const expected = new Map<string, Array<Expecting>>()
  let count = 0
  let isUnique = true
  return {
    add: (i, id, label) => {
      count = i + 1
      if (append(byId, id, i) > 1) isUnique = false
      if (label !== undefined && append(byLabel, label, i) > 1) isUnique = false
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
    expect: (name, kind, by) => void append(expected, `${kind} ${name}`, { name, by }),
    isClear: () => isUnique && expected.size === 0
  }
}
