/**
 * Where the whole of an answer is kept that is too long for the model, and the tool with which the model reads on.
 *
 * @since 0.1.0
 */
import type * as KeyValueStore from "@effect/platform/KeyValueStore"
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Fault from "../Fault.ts"
import * as Tool from "../Tool.ts"

/**
 * The store could not do what it was asked for.
 *
 * @since 0.1.0
 * @category errors
 */
export class OutputStoreError extends Schema.TaggedError<OutputStoreError>("salvo/OutputStoreError")(
  "OutputStoreError",
  { method: Schema.Literal("put", "get"), key: Schema.String, cause: Schema.Defect }
) {
  override get message() {
    return `The output store failed (${this.method} ${JSON.stringify(this.key)})`
  }
}

/**
 * @since 0.1.0
 * @category tags
 */
export class OutputStore extends Context.Tag("salvo/OutputStore")<
  OutputStore,
  {
    /** Keeps a text; one that is there already is replaced. */
    readonly put: (key: string, text: string) => Effect.Effect<void, OutputStoreError>
    /** None where nothing is kept under that key. */
    readonly get: (key: string) => Effect.Effect<Option.Option<string>, OutputStoreError>
  }
>() {}

/** A store may also throw: not every string can be a file's name. */
const failing = <A>(
  method: OutputStoreError["method"],
  key: string,
  ask: () => Effect.Effect<A, unknown>
): Effect.Effect<A, OutputStoreError> => {
  const fail = (cause: unknown) => Effect.fail(new OutputStoreError({ method, key, cause }))
  return Effect.suspend(ask).pipe(Effect.catchAll(fail), Effect.catchAllDefect(fail))
}

const prefix = "salvo/output/"

/**
 * Texts in the `KeyValueStore` of the environment, under keys that begin with `salvo/output/`. None is ever removed.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerKeyValueStore: Layer.Layer<OutputStore, never, KeyValueStore.KeyValueStore> = Layer.effect(
  OutputStore,
  Effect.gen(function* () {
    // Loaded where it is used: it would double the time that loading Salvo takes.
    const module = yield* Effect.promise(() => import("@effect/platform/KeyValueStore"))
    const outputs = module.prefix(yield* module.KeyValueStore, prefix)
    return {
      put: (key: string, text: string) => failing("put", key, () => outputs.set(key, text)),
      get: (key: string) => failing("get", key, () => outputs.get(key))
    }
  })
)

/** Enough for what a model still remembers. */
const kept = 256

/**
 * The last 256 texts, in memory.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<OutputStore> = Layer.effect(
  OutputStore,
  // Not a Cache: Effect 3's forgets nothing of what is only ever `set`.
  Effect.map(Ref.make<ReadonlyArray<readonly [key: string, text: string]>>([]), (texts) => ({
    put: (key, text) =>
      Ref.update(texts, (all) =>
        Arr.takeRight([...all.filter(([known]) => known !== key), [key, text] as const], kept)
      ),
    get: (key) =>
      Effect.map(Ref.get(texts), (all) =>
        Option.map(
          Arr.findFirst(all, ([known]) => known === key),
          ([, text]) => text
        )
      )
  }))
)

/**
 * Nothing is kept under that key (any more).
 *
 * @since 0.1.0
 * @category errors
 */
export class NoSuchOutput extends Schema.TaggedError<NoSuchOutput>("salvo/NoSuchOutput")("NoSuchOutput", {
  key: Schema.String
}) {
  override get message() {
    return `No output is kept under ${JSON.stringify(this.key)}`
  }
}

const maxLength = 20_000

/** A character of text takes six bytes of JSON at most. */
const maxOutputBytes = 6 * maxLength + 1024

/**
 * Lets the model read what was cut out of a long answer. Put it into the toolbox, with `layerReadOutput` to implement it.
 *
 * @since 0.1.0
 * @category tools
 */
export class ReadOutput extends Tool.Service<ReadOutput>()("read_output", {
  description:
    "Reads a part of a tool's answer that was too long to be shown in full. Give the key that was named where the answer " +
    "was cut, and the position to read from. The result says where the part begins and how long the whole is; " +
    "read on from `from` plus the length of `text`.",
  input: Schema.Struct({
    key: Schema.NonEmptyString.annotations({ description: "The key named where the answer was cut" }),
    from: Schema.optionalWith(Schema.NonNegativeInt.annotations({ description: "The first character to read" }), {
      default: () => 0
    }),
    length: Schema.optionalWith(
      Schema.Int.pipe(Schema.between(1, maxLength)).annotations({ description: "How many characters to read" }),
      { default: () => 10_000 }
    )
  }),
  output: Schema.Struct({
    text: Schema.String,
    from: Schema.NonNegativeInt,
    total: Schema.NonNegativeInt
  }),
  failure: Schema.Union(NoSuchOutput, OutputStoreError),
  effects: "read",
  policy: { maxOutputBytes },
  classify: (failure) => (failure._tag === "NoSuchOutput" ? Fault.model() : Fault.transient()),
  describe: (failure) =>
    failure._tag === "NoSuchOutput"
      ? `${failure.message}. It has to be the key exactly as it was given.`
      : "The kept outputs cannot be read at the moment."
}) {}

const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff

/** Whether a cut here would go through the middle of a character. */
const splits = (text: string, at: number): boolean => isLow(text.charCodeAt(at)) && isHigh(text.charCodeAt(at - 1))

/** Where a slice would begin or end within a character, it takes in the whole of it. */
const slice = (text: string, from: number, length: number) => {
  const wanted = Math.min(from, text.length)
  const start = splits(text, wanted) ? wanted - 1 : wanted
  const end = wanted + length
  return { text: text.slice(start, splits(text, end) ? end + 1 : end), from: start, total: text.length }
}

/**
 * Reads from the `OutputStore` of the environment.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerReadOutput: Layer.Layer<ReadOutput, never, OutputStore> = ReadOutput.layerEffect(
  Effect.map(
    OutputStore,
    (store) =>
      ({ from, key, length }) =>
        Effect.flatMap(store.get(key), (found) =>
          Option.isSome(found)
            ? Effect.succeed(slice(found.value, from, length))
            : Effect.fail(new NoSuchOutput({ key }))
        )
  )
)
