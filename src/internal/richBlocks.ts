/** The rich blocks the Messages API takes inside a tool result, as schemas: what does not fit, or is blank, is refused. */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Block } from "../Content.ts"
import { wellFormedJson } from "./text.ts"

const Text = Schema.String.pipe(Schema.filter((text) => text.trim() !== ""))
const Data = Schema.String.pipe(
  Schema.pattern(/^[A-Za-z0-9+/]+={0,2}$/),
  Schema.filter((data) => data.length % 4 === 0)
)
const Url = Schema.Struct({ type: Schema.Literal("url"), url: Schema.String.pipe(Schema.pattern(/^https?:\/\/\S+$/)) })

const base64 = <const MediaTypes extends ReadonlyArray<string>>(...mediaTypes: MediaTypes) =>
  Schema.Struct({ type: Schema.Literal("base64"), media_type: Schema.Literal(...mediaTypes), data: Data })

const Image = Schema.Struct({
  type: Schema.Literal("image"),
  source: Schema.Union(base64("image/png", "image/jpeg", "image/gif", "image/webp"), Url)
})

const Document = Schema.Struct({
  type: Schema.Literal("document"),
  source: Schema.Union(
    base64("application/pdf"),
    Url,
    Schema.Struct({ type: Schema.Literal("text"), media_type: Schema.Literal("text/plain"), data: Text })
  ),
  title: Schema.optional(Text),
  context: Schema.optional(Text)
})

const SearchResult = Schema.Struct({
  type: Schema.Literal("search_result"),
  source: Text,
  title: Text,
  content: Schema.NonEmptyArray(Schema.Struct({ type: Schema.Literal("text"), text: Text }))
})

const Rich = Schema.Union(Image, Document, SearchResult)

export type Rich = typeof Rich.Type

const decode = Schema.decodeUnknownOption(Rich)

/** The block with exactly the fields the API knows; none where it would be refused. */
export const supported = (block: Block): Option.Option<Rich> =>
  Option.flatMap(Option.liftThrowable(wellFormedJson)(block), decode)
