/** Timing: a warm-up, then rounds in which everything is run in turn, so that a slow moment hits all alike. */

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** The median time of each, in milliseconds. */
export const interleaved = async (
  all: ReadonlyArray<() => Promise<void>>,
  rounds: number
): Promise<ReadonlyArray<number>> => {
  const times: Array<Array<number>> = all.map(() => [])
  for (const once of all) await once()
  for (let round = 0; round < rounds; round++) {
    for (const [i, once] of all.entries()) {
      const started = performance.now()
      await once()
      times[i]?.push(performance.now() - started)
    }
  }
  return times.map(median)
}
