/** What outcomes look like: a colour, a pattern and a glyph each, so that any one of the three is enough. */
import { element, type Markup, raw } from "./markup.ts"
import type { Outcome } from "../model.ts"

export type Shape = Outcome | "abandoned"

/** Colours on light and on dark paper. */
const palette: Readonly<Record<string, readonly [light: string, dark: string]>> = {
  paper: ["#ffffff", "#0d1117"],
  ink: ["#1f2328", "#e6edf3"],
  dim: ["#59636e", "#9198a1"],
  line: ["#d1d9e0", "#30363d"],
  band: ["#f6f8fa", "#151b23"],
  wait: ["#6e7781", "#8b949e"],
  focus: ["#0969da", "#58a6ff"],
  succeeded: ["#1a7f37", "#3fb950"],
  elsewhere: ["#0969da", "#58a6ff"],
  failed: ["#cf222e", "#f85149"],
  timedOut: ["#9a6700", "#d29922"],
  invalid: ["#bc4c00", "#f0883e"],
  rejected: ["#8250df", "#a371f7"],
  skipped: ["#59636e", "#9198a1"],
  unknown: ["#bf3989", "#db61a2"]
}

const colours: Readonly<Record<Shape, string>> = {
  succeeded: "succeeded",
  fallback: "elsewhere",
  cache: "elsewhere",
  coalesced: "elsewhere",
  journal: "elsewhere",
  failed: "failed",
  timedOut: "timedOut",
  invalid: "invalid",
  rejected: "rejected",
  skipped: "skipped",
  unknown: "unknown",
  unfinished: "unknown",
  abandoned: "skipped"
}

/** In the order of the legend. */
export const all: ReadonlyArray<Shape> = [
  "succeeded",
  "fallback",
  "cache",
  "coalesced",
  "journal",
  "failed",
  "timedOut",
  "invalid",
  "rejected",
  "skipped",
  "unknown",
  "unfinished",
  "abandoned"
]

/** Drawn around 0, 0, twelve wide and high. */
const glyphs: Readonly<Record<Shape, string>> = {
  succeeded: "M-5 0.5 L-1.5 4 L5 -4",
  failed: "M-4 -4 L4 4 M-4 4 L4 -4",
  timedOut: "M5 0 A5 5 0 1 1 -5 0 A5 5 0 1 1 5 0 M0 -3 L0 0 L2.5 1.5",
  rejected: "M5 0 A5 5 0 1 1 -5 0 A5 5 0 1 1 5 0 M-3.5 3.5 L3.5 -3.5",
  invalid: "M0 -5 L5.5 4.5 L-5.5 4.5 Z M0 -2 L0 1.2 M0 3 L0 3.1",
  skipped: "M-5 -4 L-1 0 L-5 4 M0 -4 L4 0 L0 4",
  unknown: "M-3 -2.5 A3 3 0 1 1 1.5 0 Q0 0.8 0 2 M0 4.8 L0 4.9",
  unfinished: "M-4.5 0 L-4.4 0 M0 0 L0.1 0 M4.5 0 L4.6 0",
  abandoned: "M-4 0 L4 0",
  fallback: "M-5 -4 L-5 -1 Q-5 2 -2 2 L4 2 M1 -1.5 L4.5 2 L1 5.5",
  cache:
    "M-4.5 -3.5 A4.5 1.8 0 1 1 4.5 -3.5 A4.5 1.8 0 1 1 -4.5 -3.5 M-4.5 -3.5 L-4.5 3.5 A4.5 1.8 0 0 0 4.5 3.5 L4.5 -3.5",
  coalesced: "M-5 -2 L5 -2 M-5 2 L5 2",
  journal: "M-4 -5 L4 -5 L4 5 L-4 5 Z M-1.5 -2 L1.5 -2 M-1.5 1 L1.5 1"
}

/** Stripes in the paper's colour over a bar of the outcome's. What has none is a full bar, or a hollow one. */
const stripes: Partial<Readonly<Record<Shape, readonly [width: number, height: number, path: string]>>> = {
  failed: [6, 6, "M-1 7 L7 -1 M-1 1 L1 -1 M5 7 L7 5"],
  timedOut: [5, 5, "M2.5 0 L2.5 5"],
  rejected: [6, 6, "M0 0 L6 6 M6 0 L0 6"],
  unknown: [5, 5, "M0 2.5 L5 2.5"],
  unfinished: [8, 5, "M0 2.5 L4 2.5"]
}

export const patternOf = (shape: Shape): string | undefined =>
  shape in stripes ? `url(#salvo-pattern-${shape})` : undefined

export const glyphOf = (shape: Shape): string => `#salvo-glyph-${shape}`

/** Every pattern, glyph and arrow head, to be used by their ids. */
export const definitions: Markup = element(
  "defs",
  {},
  Object.entries(stripes).map(([shape, [width, height, d]]) =>
    element(
      "pattern",
      { id: `salvo-pattern-${shape}`, width, height, patternUnits: "userSpaceOnUse" },
      element("path", { d, class: "stripe" })
    )
  ),
  Object.entries(glyphs).map(([shape, d]) =>
    element("symbol", { id: `salvo-glyph-${shape}`, viewBox: "-7 -7 14 14" }, element("path", { d }))
  ),
  element(
    "marker",
    {
      id: "salvo-arrow",
      viewBox: "0 0 8 8",
      refX: 7,
      refY: 4,
      markerWidth: 7,
      markerHeight: 7,
      markerUnits: "userSpaceOnUse",
      orient: "auto"
    },
    element("path", { d: "M0 0.5 L8 4 L0 7.5 Z", class: "head" })
  )
)

const variables = (side: 0 | 1): string =>
  Object.entries(palette)
    .map(([name, colours]) => `--${name}:${colours[side]}`)
    .join(";")

const root = ".salvo-timeline"

/** A rule that holds inside a timeline alone. */
const rule = (selector: string, declarations: string): string =>
  `${selector
    .split(",")
    .map((one) => `${root} ${one}`)
    .join(",")}{${declarations}}`

const sans = `ui-sans-serif,system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif`
const mono = `ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace`

/** The styles of everything that is drawn. */
export const style: string = [
  `${root}{${variables(0)};font-family:${sans};color:var(--ink)}`,
  `@media (prefers-color-scheme:dark){${root}{${variables(1)}}}`,
  ...Object.entries(colours).map(([shape, colour]) => rule(`.${shape}`, `color:var(--${colour})`)),
  rule("text", "fill:var(--ink);unicode-bidi:isolate"),
  rule("text.dim", "fill:var(--dim)"),
  rule("text.verdict", "fill:currentColor"),
  rule("text.inside", "fill:var(--paper);font-weight:600"),
  rule(".name", `font-family:${mono}`),
  rule(".paper", "fill:var(--paper);stroke:var(--line)"),
  rule(".sheet", "fill:var(--paper)"),
  rule(".band", "fill:var(--band)"),
  rule(".life,.grid", "stroke:var(--line)"),
  rule(".bar", "fill:currentColor"),
  rule(".hollow", "fill:var(--paper);stroke:currentColor;stroke-dasharray:3 2"),
  rule(".stripe", "fill:none;stroke:var(--paper);stroke-width:1.6"),
  rule(".glyph", "fill:none;stroke:currentColor;stroke-width:2;stroke-linecap:round;stroke-linejoin:round"),
  rule(".mark", "fill:var(--paper);stroke:var(--ink)"),
  rule(".wait", "stroke:var(--wait);stroke-width:3"),
  rule(".wait.calls", "stroke-dasharray:.1 5;stroke-linecap:round"),
  rule(".wait.queue", "stroke-dasharray:2 2;stroke-width:5"),
  rule(".wait.retry", "stroke-dasharray:8 4;stroke-width:2"),
  rule(".touch", "fill:none;pointer-events:all"),
  rule(".arrow", "stroke:var(--dim);stroke-width:1.25;fill:none"),
  rule(".arrow.resource", "stroke-dasharray:4 3"),
  rule(".arrow.identical", "stroke-dasharray:1 3;stroke-linecap:round"),
  rule(".head", "fill:var(--dim)"),
  rule(".circuit", "stroke-width:1.5;stroke-dasharray:6 3;stroke:currentColor"),
  rule(".Open,.Isolated", "color:var(--failed)"),
  rule(".HalfOpen", "color:var(--timedOut)"),
  rule(".Closed", "color:var(--succeeded)"),
  rule(".cut", "stroke:var(--dim);stroke-dasharray:2 4")
].join("\n")

export const styleElement: Markup = element("style", {}, raw(style))
