/** Text that tools, models and errors bring with them, made fit to be shown: it may be hostile. */
import { clip, withoutSecrets } from "../../internal/text.ts"

/** Read before it is clipped, so that a secret is seen whole, but not all of a megabyte. */
const looked = 4

/** What XML forbids, what moves the cursor or turns the writing around, and what is not seen at all. */
const unseen =
  /[\p{Cc}\u00AD\u061C\u180E\u200B\u200E\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB\uFFFE\uFFFF\u{E0000}-\u{E0FFF}]/gu

const named = (character: string): string =>
  `\\u{${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}}`

/** A letter under a tower of accents covers its neighbours. */
const towers = /(\p{M}{2})\p{M}+/gu

const fromRightToLeft = /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFC\u{10800}-\u{10FFF}\u{1E800}-\u{1EFFF}]/u
const [isolate, endOfIsolate] = ["\u2068", "\u2069"]

/** On one line, of so many characters at most, well-formed, without secrets, unable to touch what stands around it. */
export const plain = (text: string, characters: number): string => {
  const seen = withoutSecrets(text.slice(0, looked * characters).toWellFormed())
    .replaceAll(/\s+/gu, " ")
    .trim()
    .replaceAll(unseen, named)
    .replaceAll(towers, "$1")
  const shown = text.length > looked * characters && seen.length <= characters ? `${seen}…` : clip(seen, characters)
  return fromRightToLeft.test(shown) ? `${isolate}${shown}${endOfIsolate}` : shown
}

const wide =
  /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{20000}-\u{3FFFD}]|\p{Emoji_Presentation}/u

const columnsOf = (character: string): number => (/\p{M}/u.test(character) ? 0 : wide.test(character) ? 2 : 1)

/** How wide a text is, in columns of a fixed font. */
export const columns = (text: string): number => [...text].reduce((sum, character) => sum + columnsOf(character), 0)

/** As much of a text as fits into so many columns. */
export const fitted = (text: string, room: number): string => {
  if (columns(text) <= room) return text
  let left = room - 1
  let shown = ""
  for (const character of text) {
    left -= columnsOf(character)
    if (left < 0) break
    shown += character
  }
  // A text that is cut short must not leave its isolate open.
  return shown.includes(isolate) ? `${shown}…${endOfIsolate}` : `${shown}…`
}

const rounded = (value: number, digits: number): string => String(Number(value.toFixed(digits)))

/** What need not be said of a length of time. */
const detail = (millis: number): number => (millis < 10 ? 0.1 : millis < 1000 ? 1 : millis < 60_000 ? 10 : 1000)

/** A length of time as people say it; differences of `step` are seen. Both in milliseconds. */
export const duration = (millis: number, step = detail(millis)): string => {
  if (!Number.isFinite(millis)) return "for ever"
  if (millis < 999.5) return `${rounded(millis, step < 1 ? 1 : 0)} ms`
  const digits = Math.max(0, Math.ceil(Math.log10(1000 / step) - 1e-9))
  const seconds = Number((millis / 1000).toFixed(digits))
  if (seconds < 60) return `${seconds} s`
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  const rest = rounded(seconds % 60, digits)
  const parts = [hours > 0 ? `${hours} h` : "", minutes > 0 ? `${minutes} min` : "", rest === "0" ? "" : `${rest} s`]
  return parts.filter((part) => part !== "").join(" ")
}

export const counted = (count: number, noun: string, plural = `${noun}s`): string =>
  `${count} ${count === 1 ? noun : plural}`
