/**
 * Rich answers of a tool: text, images, documents and search results instead of one JSON value.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * One block. Kinds the model's interface takes (`text`, `image`, `document`, `search_result`) are passed on in the
 * Messages API's own shape; any other kind becomes a text note, because the tool did succeed.
 *
 * @since 0.1.0
 * @category models
 */
export const Block = Schema.Struct(
  { type: Schema.String },
  Schema.Record({ key: Schema.String, value: Schema.Unknown })
)

/**
 * @since 0.1.0
 * @category models
 */
export type Block = typeof Block.Type

/**
 * The output schema of a tool that answers with blocks: `output: Tool.Content`, built by `Tool.content`.
 *
 * @since 0.1.0
 * @category models
 */
export const Content = Schema.TaggedStruct("salvo/Content", { blocks: Schema.Array(Block) })

/**
 * @since 0.1.0
 * @category models
 */
export interface Content extends Schema.Schema.Type<typeof Content> {}

/**
 * @since 0.1.0
 * @category guards
 */
export const isContent: (u: unknown) => u is Content = Schema.is(Content)

/**
 * @since 0.1.0
 * @category constructors
 */
export const content = (...blocks: ReadonlyArray<Block>): Content => ({ _tag: "salvo/Content", blocks })

/**
 * @since 0.1.0
 * @category constructors
 */
export const text = (text: string): Block => ({ type: "text", text })

/**
 * An image from base64 data. The Messages API takes PNG, JPEG, GIF and WebP.
 *
 * @since 0.1.0
 * @category constructors
 */
export const image = (options: { readonly mediaType: string; readonly base64: string }): Block => ({
  type: "image",
  source: { type: "base64", media_type: options.mediaType, data: options.base64 }
})
