/** What a syntax of references is and what it finds. `Reference` documents and exports these. */
import type * as Either from "effect/Either"
import type { UnresolvedReference } from "../../ToolError.ts"
import type { JsonSchema } from "../jsonSchema.ts"

/** What a written reference says: which call (a position, a label or a call id, undecided), and where in its output. */
export interface Pointed {
  readonly raw: string
  readonly target: string
  readonly pointer: string
}

export interface Ref extends Pointed {
  readonly path: ReadonlyArray<string | number>
  readonly embedded: boolean
}

export type Resolve = (reference: Ref) => Either.Either<unknown, UnresolvedReference>

export interface Parsed {
  readonly references: ReadonlyArray<Ref>
  readonly label: string | undefined
  /** The arguments with the values that the references point to. */
  readonly fill: (resolve: Resolve) => Either.Either<object, UnresolvedReference>
}

export interface Grammar {
  /** Finds the references in what the model wrote. */
  readonly parse: (input: object) => Either.Either<Parsed, UnresolvedReference>
  /** A tool's input schema, as the model is given it, with references allowed in it. */
  readonly widen: (schema: JsonSchema) => JsonSchema
  readonly guidance: string
}

export type Found =
  | { readonly _tag: "Value"; readonly pointed: Pointed }
  | { readonly _tag: "Text"; readonly parts: ReadonlyArray<string | Pointed> }
  | { readonly _tag: "Literal"; readonly value: unknown }

export type Read = (value: unknown) => Either.Either<Found | undefined, UnresolvedReference>
