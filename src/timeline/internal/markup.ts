/** XML that cannot be broken from inside: text is escaped unless it is markup already. Valid as HTML, too. */

export interface Markup {
  readonly markup: string
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "\n": "&#10;"
}

const escape = (text: string): string => text.replaceAll(/[&<>"'\n]/g, (character) => entities[character] ?? "")

/** Trusted text of the program's own, such as a style sheet. */
export const raw = (markup: string): Markup => ({ markup })

export type Child = Markup | string | undefined | ReadonlyArray<Child>

const render = (child: Child): string => {
  if (child === undefined) return ""
  if (typeof child === "string") return escape(child)
  return "markup" in child ? child.markup : child.map(render).join("")
}

export type Attributes = Readonly<Record<string, string | number | undefined>>

/** Coordinates need no more than hundredths. */
const value = (given: string | number): string =>
  typeof given === "number" ? String(Math.round(given * 100) / 100) : escape(given)

/** Always closed by a tag of its own, which means the same in XML and HTML. */
export const element = (name: string, attributes: Attributes, ...children: ReadonlyArray<Child>): Markup => {
  const written = Object.entries(attributes)
    .map(([key, given]) => (given === undefined ? "" : ` ${key}="${value(given)}"`))
    .join("")
  return raw(`<${name}${written}>${render(children)}</${name}>`)
}
