/** Search in the policy files: plain words, best paragraph first. */
import * as Schema from "effect/Schema"

export const PolicyHit = Schema.Struct({
  file: Schema.String,
  title: Schema.String,
  excerpt: Schema.String
})

export interface PolicyHit extends Schema.Schema.Type<typeof PolicyHit> {}

export interface PolicyDocument {
  readonly file: string
  readonly text: string
}

/** Shorter words ("the", "of") are everywhere. */
const minWordLength = 4
const maxHits = 3

const wordsOf = (text: string): ReadonlySet<string> =>
  new Set((text.toLowerCase().match(/[a-z]+/g) ?? []).filter((word) => word.length >= minWordLength))

/** "refund" finds "refunds" and "refunded". */
const countMatches = (wanted: ReadonlySet<string>, text: string): number => {
  const present = [...wordsOf(text)]
  return [...wanted].filter((word) => present.some((other) => other.startsWith(word) || word.startsWith(other))).length
}

/** The best paragraph of each document that shares a word with the query; a word of the title counts double. */
export const search = (documents: ReadonlyArray<PolicyDocument>, query: string): ReadonlyArray<PolicyHit> => {
  const wanted = wordsOf(query)
  return documents
    .flatMap(({ file, text }) => {
      const [heading = "", ...paragraphs] = text.split(/\n\s*\n/).map((paragraph) => paragraph.trim())
      const title = heading.replace(/^#\s*/, "")
      const [best] = paragraphs
        .map((excerpt) => ({ excerpt, score: countMatches(wanted, excerpt) }))
        .toSorted((a, b) => b.score - a.score)
      const score = (best?.score ?? 0) + 2 * countMatches(wanted, title)
      return best === undefined || score === 0 ? [] : [{ score, hit: { file, title, excerpt: best.excerpt } }]
    })
    .toSorted((a, b) => b.score - a.score)
    .slice(0, maxHits)
    .map(({ hit }) => hit)
}
