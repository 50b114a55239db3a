/** Text for the model: well-formed, without secrets, of bounded length. */

/** A lone surrogate makes the API refuse this request and every later one. */
export const wellFormed = (text: string): string => (text.isWellFormed() ? text : text.toWellFormed())

/** The same for every string and key of a JSON value: `JSON.stringify` escapes the halves, in lower case. */
export const wellFormedJson = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value).replaceAll(/\\(?:ud[89a-f]..|.)/g, (escape) =>
      escape.startsWith("\\ud") ? "\\ufffd" : escape
    )
  )

const hidden = "[hidden]"

/** What must not reach a model even where an author put it into a message by mistake. */
const secrets: ReadonlyArray<readonly [RegExp, string]> = [
  [/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/"'<>]+@/gi, `$1${hidden}@`],
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, `$1 ${hidden}`],
  [/\b(?:(?:sk|pk|rk|gh[oprsu]|github_pat|xox[abprs])[-_]|AKIA|ASIA|AIza)[-_A-Za-z0-9]{12,}/g, hidden],
  [/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, hidden],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, hidden],
  [
    /\b((?:[\w-]*(?:passw(?:or)?d|secret|token|api[-_]?key|access[-_]?key|credential)[\w-]*)\\*["']?\s*[:=]\s*)("(?:[^"\\]|\\.)*(?:"|$)|\\+"[^"]*(?:"|$)|'[^']*'|[^\s,;&}]+)/gi,
    `$1${hidden}`
  ]
]

export const withoutSecrets = (text: string): string =>
  secrets.reduce((shown, [pattern, replacement]) => shown.replace(pattern, replacement), text)

const secretName = /passw(or)?d|secret|token|api[-_]?key|access[-_]?key|credential|authorization|cookie/i

export const isSecretName = (name: string): boolean => secretName.test(name)

/** The first `count` characters, never half of one. */
export const clip = (text: string, count: number): string =>
  text.length <= count ? text : `${wellFormed(text.slice(0, count)).replace(/\uFFFD$/, "")}…`

const encoder = new TextEncoder()

/** In UTF-8. */
export const byteLength = (text: string): number => encoder.encode(text).length

/** As much of the start as fits into so many bytes; whole characters only. */
const head = (text: string, bytes: number): string =>
  text.slice(0, encoder.encodeInto(text, new Uint8Array(bytes)).read)

const tail = (text: string, bytes: number): string => {
  let from = Math.max(0, text.length - bytes)
  let excess = encoder.encode(text.slice(from)).length - bytes
  while (excess > 0) {
    // A UTF-16 unit is three bytes at most, so this never goes too far.
    from += Math.ceil(excess / 3)
    excess = encoder.encode(text.slice(from)).length - bytes
  }
  return text.slice(from).replace(/^[\uDC00-\uDFFF]/, "")
}

/** UTF-8 length, up to where it is certain that it is over `bytes`. */
const fits = (text: string, bytes: number): boolean =>
  text.length * 3 <= bytes || (text.length <= bytes && encoder.encode(text).length <= bytes)

export const exceeds = (text: string, bytes: number): boolean => !fits(text, bytes)

/** Keeps head and tail, two to one, and says between them how much was left out, and `where` the whole of it is. */
export const cut = (text: string, bytes: number, where = ""): string => {
  if (fits(text, bytes)) return text
  const start = head(text, Math.ceil((bytes * 2) / 3))
  const end = tail(text, Math.floor(bytes / 3))
  const left = text.length - start.length - end.length
  return `${start}\n[… ${left} characters left out: the answer was over ${bytes} bytes${where} …]\n${end}`
}
