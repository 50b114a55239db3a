/** The names that look most like a wrong one. */

/** Case and separators are what models get wrong most: `getWeather` for `get_weather`. */
const plain = (name: string) => name.toLowerCase().replaceAll(/[^a-z0-9]/g, "")

/** Levenshtein distance. */
const distance = (a: string, b: string): number => {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(substitution, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
    previous = row
  }
  return previous[b.length] ?? 0
}

/** Longer names are no slip of a tool's name (64 characters at most). */
const longest = 128

/** Up to `count` of `names`, those most like `name` first; none that has little in common with it. */
export const nearest = (name: string, names: Iterable<string>, count = 3): ReadonlyArray<string> => {
  const wanted = plain(name)
  if (wanted.length === 0 || wanted.length > longest) return []
  return [...names]
    .map((candidate) => {
      const given = plain(candidate)
      const contained = given.includes(wanted) || wanted.includes(given)
      return { candidate, far: contained ? 0.25 : distance(wanted, given) / Math.max(wanted.length, given.length) }
    })
    .filter(({ far }) => far <= 0.5)
    .toSorted((a, b) => a.far - b.far)
    .slice(0, count)
    .map(({ candidate }) => candidate)
}
