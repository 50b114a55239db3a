/** The graphs that every peer runs: the same in every process and every run. */
export type Shape = "wide" | "chain" | "layered" | "random"

export const shapes: ReadonlyArray<Shape> = ["wide", "chain", "layered", "random"]

/** How long the nodes take. Log-normal is what tools are like: mostly quick, now and then very slow. */
export type Durations = "uniform" | "log-normal"

export interface Node {
  readonly id: string
  /** Its place in the plan. */
  readonly n: number
  readonly dependsOn: ReadonlyArray<string>
}

export interface Plan {
  readonly nodes: ReadonlyArray<Node>
  /** By place: the nodes it needs, all of them before it. */
  readonly needs: ReadonlyArray<ReadonlyArray<number>>
}

/** A pseudo-random number from 0 to 1, always the same one for the same two. */
const part = (i: number, k: number): number => {
  let hash = Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(k + 7, 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39)
  return ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 32
}

const pick = (i: number, k: number, below: number): number => Math.floor(part(i, k) * below)

const widest = 50

const needsOf: Readonly<Record<Shape, (i: number, size: number) => ReadonlyArray<number>>> = {
  wide: () => [],
  chain: (i) => (i === 0 ? [] : [i - 1]),
  /** Three of the layer before. */
  layered: (i, size) => {
    const width = Math.min(widest, Math.round(Math.sqrt(size)))
    const start = Math.floor(i / width) * width
    return start === 0 ? [] : [0, 1, 2].map((k) => start - width + pick(i, k, width))
  },
  /** Two of the hundred before. */
  random: (i) => (i === 0 ? [] : [0, 1].map((k) => Math.max(0, i - 1 - pick(i, k, 100))))
}

export const planOf = (shape: Shape, size: number): Plan => {
  const needs = Array.from({ length: size }, (_, i) => [...new Set(needsOf[shape](i, size))])
  return { needs, nodes: needs.map((own, n) => ({ id: `c${n}`, n, dependsOn: own.map((need) => `c${need}`) })) }
}

/** Ten milliseconds, so that there are not as many moments as nodes. */
const grain = 10

/** In whole milliseconds, by index: 100 in the middle. */
export const durationsOf = (durations: Durations, size: number): ReadonlyArray<number> =>
  Array.from({ length: size }, (_, i) => {
    const [u, v] = [1 - part(i, 101), part(i, 102)]
    const millis =
      durations === "uniform" ? 200 * u : 100 * Math.exp(Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v))
    return Math.max(grain, Math.round(millis / grain) * grain)
  })

/** What no way of running the plan can be faster than. */
export const criticalPath = ({ needs }: Plan, millis: ReadonlyArray<number>): number => {
  const ends: Array<number> = []
  for (const [i, own] of needs.entries()) {
    ends.push((millis[i] ?? 0) + own.reduce((latest, need) => Math.max(latest, ends[need] ?? 0), 0))
  }
  return ends.reduce((latest, end) => Math.max(latest, end), 0)
}

/** The nodes that are lost when that one fails: itself and what hangs on it. */
export const lostWith = ({ needs }: Plan, failing: number): ReadonlySet<number> => {
  const lost = new Set([failing])
  for (const [i, own] of needs.entries()) if (own.some((need) => lost.has(need))) lost.add(i)
  return lost
}
