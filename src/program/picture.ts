/** The picture of a run, from its events alone, written to a file. */
import * as FileSystem from "@effect/platform/FileSystem"
import type { PlatformError } from "@effect/platform/Error"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { Timeline } from "../timeline/index.ts"
import * as Failure from "./failure.ts"

export interface Target {
  readonly path: string
  readonly draw: (timeline: Timeline.Timeline, title: string) => string
}

const drawings: ReadonlyArray<readonly [extension: string, draw: Target["draw"]]> = [
  [".html", (timeline, title) => Timeline.toHtml(timeline, { title })],
  [".svg", (timeline, title) => Timeline.toSvg(timeline, { title })]
]

const unwritable = (path: string, code: number) => (error: PlatformError) =>
  new Failure.Failure({ message: `The timeline cannot be written to ${path}: ${Failure.why(error)}.`, code })

/** Looks, before anything is run and paid for, whether that file can be written. Leaves no file behind. */
export const target = Effect.fnUntraced(function* (path: string) {
  const draw = drawings.find(([extension]) => path.toLowerCase().endsWith(extension))?.[1]
  if (draw === undefined) {
    return yield* Failure.misuse(`--timeline writes .html or .svg, and ${path} is neither.`)
  }
  const files = yield* FileSystem.FileSystem
  const before = yield* Effect.orElseSucceed(files.exists(path), () => true)
  yield* Effect.scoped(files.open(path, { flag: "a" })).pipe(
    Effect.zipRight(before ? Effect.void : files.remove(path)),
    Effect.mapError(unwritable(path, Failure.misused))
  )
  return { path, draw } satisfies Target
})

/** Runs the effect and writes what happened meanwhile, however it ended. */
export const of = <A, E, R>(effect: Effect.Effect<A, E, R>, { draw, path }: Target, title: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const timeline = yield* Timeline.collect
      const files = yield* FileSystem.FileSystem
      const write = Effect.flatMap(timeline, (timeline) => files.writeFileString(path, draw(timeline, title))).pipe(
        Effect.mapError(unwritable(path, Failure.broken))
      )
      return yield* effect.pipe(
        Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : Effect.ignoreLogged(write))),
        Effect.zipLeft(write)
      )
    })
  )
