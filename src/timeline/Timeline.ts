/**
 * A picture of what happened in a run: a lane per call with its attempts and waits, hedges, dependencies as arrows, and
 * the changes of circuit breakers. Drawn from `BatchEvents` alone, as a page of its own or as an image.
 *
 * The outcome of a call is told by its colour, its pattern and its sign, any of which is enough. Both follow the
 * reader's light or dark scheme. The same events give the same text.
 *
 * Names, notes and errors are shown as text, clipped, and without what looks like a secret. Inputs and outputs, and
 * words that may quote them, are not in the picture at all unless `details` asks for them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { BatchEvent, BatchEvents } from "../services/BatchEvents.ts"
import * as Collect from "./internal/collect.ts"
import * as Fold from "./internal/fold.ts"
import * as Image from "./internal/image.ts"
import * as Page from "./internal/page.ts"
import type { Timeline } from "./model.ts"

export * from "./model.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface HtmlOptions {
  /** Default: "Tool calls". */
  readonly title?: string | undefined
  /**
   * Whether inputs, outputs and the whole text of errors are shown, clipped and without what looks like a secret.
   * Default: false.
   */
  readonly details?: boolean | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface SvgOptions extends HtmlOptions {
  /** In pixels, 480 at least. Default: 960. The height is as needed. */
  readonly width?: number | undefined
}

/**
 * What happened, from the events that tell of it, of any number of batches. Takes a run as it is: calls without a
 * result are drawn as unfinished, calls whose first events are missing from the first event of all.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromEvents: (events: Iterable<BatchEvent>) => Timeline = Fold.fromEvents

/**
 * Listens to `BatchEvents` from now on until the scope closes, and gives an effect that answers with the timeline up to
 * the moment at which it is run, whether the run has ended, failed or been interrupted.
 *
 * @since 0.1.0
 * @category constructors
 */
export const collect: Effect.Effect<Effect.Effect<Timeline>, never, BatchEvents | Scope.Scope> = Effect.map(
  Collect.collect,
  Effect.map(Fold.fromEvents)
)

const defaultTitle = "Tool calls"
const defaultWidth = 960

/**
 * A page of its own, without anything from outside: details on hover and on focus, arrow keys from bar to bar, zoom.
 * Its policy lets no script run but its own.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toHtml = (timeline: Timeline, options: HtmlOptions = {}): string =>
  Page.render(timeline, { title: options.title ?? defaultTitle, details: options.details ?? false })

/**
 * An image with its legend, for a README or a report. Stands on a ground of its own, and can be read on any.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toSvg = (timeline: Timeline, options: SvgOptions = {}): string =>
  Image.render(timeline, {
    title: options.title ?? defaultTitle,
    width: options.width ?? defaultWidth,
    details: options.details ?? false
  })
