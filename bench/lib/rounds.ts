/** Rounds in which all cells of a table are measured in turn, after a warm-up. */
import type { Ask } from "./child.ts"

/** One number of a table: what is asked of which peer. */
export interface Cell {
  readonly peer: string
  readonly request: unknown
}

export interface Measured<C extends Cell> {
  readonly cell: C
  /** What the peer answered, round by round. Those of two cells with the same index are of the same round. */
  readonly answers: ReadonlyArray<unknown>
  /** Why there are no more of them. */
  readonly error: string | undefined
}

interface Options {
  readonly rounds: number
  /** Rounds before those, which do not count. Default: 1. */
  readonly warmUp?: number
  /** How long may be spent on one cell. One that takes longer has fewer answers, but one at least. Default: 5,000. */
  readonly budgetMillis?: number
  /** How many cells are asked for at the same time. More than one for peers that do little but wait. Default: 1. */
  readonly most?: number
}

/** Few enough at once that those who wait do not wait for each other. */
const atOnce = 4

/** For what is not timed: some at once. The results are in the order of `all`. */
export const someAtOnce = async <A, B>(
  all: ReadonlyArray<A>,
  run: (one: A) => Promise<B>,
  most = atOnce
): Promise<ReadonlyArray<B>> => {
  const results: Array<B> = []
  const waiting = all.entries()
  const worker = async () => {
    for (const [i, one] of waiting) results[i] = await run(one)
  }
  await Promise.all(Array.from({ length: most }, worker))
  return results
}

/** Asks for all cells in turn, round by round. A cell that fails is not asked again. */
export const inRounds = async <C extends Cell>(
  ask: Ask,
  cells: ReadonlyArray<C>,
  { budgetMillis = 5000, most = 1, rounds, warmUp = 1 }: Options
): Promise<ReadonlyArray<Measured<C>>> => {
  const all = cells.map((cell) => ({
    cell,
    answers: new Array<unknown>(),
    error: undefined as string | undefined,
    spentMillis: 0
  }))
  const known = new Set<string>()
  const once = async (one: (typeof all)[number], counts: boolean): Promise<void> => {
    if (one.error !== undefined || one.spentMillis > budgetMillis) return
    const started = performance.now()
    try {
      const answer = await ask(one.cell.peer, one.cell.request)
      // The first answer of a peer takes as long as its start.
      if (known.has(one.cell.peer)) one.spentMillis += performance.now() - started
      known.add(one.cell.peer)
      if (counts || one.spentMillis > budgetMillis) one.answers.push(answer)
    } catch (error) {
      one.error = error instanceof Error ? error.message : String(error)
    }
  }
  for (let round = -warmUp; round < rounds; round++) {
    await someAtOnce(all, (one) => once(one, round >= 0), most)
  }
  return all
}

/** The answers as numbers. */
export const numbers = (measured: Measured<Cell>): ReadonlyArray<number> =>
  measured.answers.filter((answer) => typeof answer === "number")
