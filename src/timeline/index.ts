/**
 * `salvo/timeline`: a picture of what happened, as a page or an image.
 *
 * @since 0.1.0
 */
export * as Timeline from "./Timeline.ts"
