/** What can be asked for, what it means, and which wishes do not go together. */
import { stripVTControlCharacters } from "node:util"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import type * as ValidationError from "@effect/cli/ValidationError"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Failure from "./failure.ts"
import * as Kept from "./kept.ts"
import * as Picture from "./picture.ts"

export interface Settings {
  readonly live: boolean
  readonly naive: boolean
  readonly json: boolean
  readonly timeline: Picture.Target | undefined
  /** Where the run is written down, if it is. */
  readonly kept: Kept.Asked | undefined
}

const flag = (name: string, description: string) => Options.boolean(name).pipe(Options.withDescription(description))

const options = {
  live: flag("live", "Ask the real API; needs ANTHROPIC_API_KEY. Otherwise an embedded server plays the model."),
  naive: flag("naive", "Run the tools on plain Promise.all with a blanket retry instead. Ends with exit code 1."),
  json: flag("json", "Print one JSON document at the end, and nothing else."),
  timeline: Options.text("timeline").pipe(
    Options.withPseudoName("file"),
    Options.withDescription("Write a picture of the run: a page (.html) or an image (.svg)."),
    Options.optional
  ),
  "kill-after": Options.choice("kill-after", ["refund"]).pipe(
    Options.withDescription(
      "Kill the process (SIGKILL) once the refund is paid, before anybody has written that down."
    ),
    Options.optional
  ),
  resume: flag("resume", "Go on with the run that was killed: finished calls are answered from its journal."),
  journal: Options.text("journal").pipe(
    Options.withPseudoName("folder"),
    Options.withDescription(
      "Keep the journal there (for --kill-after and --resume: in the folder for temporary files)."
    ),
    Options.optional
  )
}

type Asked = Command.Command.ParseConfig<typeof options>

const list = (entries: ReadonlyArray<readonly [term: string, meaning: string]>): HelpDoc.HelpDoc => {
  const width = Math.max(...entries.map(([term]) => term.length))
  return HelpDoc.p(entries.map(([term, meaning]) => `${term.padEnd(width)}  ${meaning}`).join("\n"))
}

const help = HelpDoc.blocks([
  HelpDoc.p(
    "A support agent handles order 1007 while everything around it breaks, once on Salvo and once on Promise.all."
  ),
  HelpDoc.p("Needs no key and no network: local servers play the model and the world."),
  HelpDoc.h1("EXAMPLES"),
  list([
    ["npm start", "the run as it happens, then what each way of running tools has cost"],
    ["npm start -- --json", "the same as one JSON document"],
    ["npm start -- --timeline run.html", "and a picture of it, as a page to look around in"],
    ["npm start -- --naive --timeline naive.svg", "what plain Promise.all makes of it, as an image"],
    ["npm start -- --kill-after refund", "the process is killed when the money is gone and nobody knows"],
    ["npm start -- --resume", "and the next one goes on: the refund is found, not paid again"],
    ["ANTHROPIC_API_KEY=... npm start -- --live", "with a real model"]
  ]),
  HelpDoc.h1("EXIT CODES"),
  list([
    [String(Failure.ok), "every call got a result of its own, and nothing was paid twice"],
    [String(Failure.broken), "it did not (so with --naive), or the run failed"],
    [String(Failure.misused), "nothing was run: wrong options, no key, a file that cannot be written"],
    [String(Failure.interrupted), "interrupted by Ctrl-C"],
    ["137", "killed, as by --kill-after"],
    [String(Failure.readerLeft), "standard output was closed by its reader"]
  ]),
  HelpDoc.h1("ENVIRONMENT"),
  list([
    ["ANTHROPIC_API_KEY", "the key for --live"],
    ["ANTHROPIC_MODEL", "the model for --live (default: claude-haiku-5-5)"],
    ["ANTHROPIC_BASE_URL", "where the API is (default: https://api.anthropic.com)"]
  ])
])

/** A rule about wishes that each are right: what is in the way, if anything. */
const rules: ReadonlyArray<(asked: Asked) => Effect.Effect<void, Failure.Failure>> = [
  ({ live }) =>
    live
      ? Config.nonEmptyString("ANTHROPIC_API_KEY").pipe(
          Effect.mapError(() =>
            Failure.misuse("--live needs a key for the real API in ANTHROPIC_API_KEY. Without --live no key is needed.")
          ),
          Effect.asVoid
        )
      : Effect.void,
  ({ journal, naive, resume, "kill-after": killAfter }) =>
    naive && (resume || Option.isSome(killAfter) || Option.isSome(journal))
      ? Failure.misuse("--naive keeps no journal: what was done before it is killed is lost.")
      : Effect.void,
  ({ resume, "kill-after": killAfter }) =>
    resume && Option.isSome(killAfter)
      ? Failure.misuse("--kill-after begins a run, and --resume goes on with one: ask for one at a time.")
      : Effect.void
]

/** What was asked for, once it is certain that it can be done. */
const settings = (asked: Asked) =>
  Effect.gen(function* () {
    for (const rule of rules) yield* rule(asked)
    const path = Option.getOrUndefined(asked.timeline)
    const [folder, killAfter] = [Option.getOrUndefined(asked.journal), Option.isSome(asked["kill-after"])]
    const isKept = folder !== undefined || killAfter || asked.resume
    return {
      ...asked,
      timeline: path === undefined ? undefined : yield* Picture.target(path),
      kept: isKept
        ? { folder: folder ?? Kept.defaultFolder, isResumed: asked.resume, killAfterRefund: killAfter }
        : undefined
    } satisfies Settings
  })

/** What is wrong with a command line, on one line. */
export const explain = ({ error }: ValidationError.ValidationError): string => {
  const said = stripVTControlCharacters(HelpDoc.toAnsiText(error)).replaceAll(/\s+/g, " ").trim()
  const unknown = /^Received unknown argument: '--(.*)'$/.exec(said)?.[1]
  // So the parser takes an option that lacks its value, or comes twice.
  const isKnown = unknown !== undefined && Object.hasOwn(options, unknown)
  return `${isKnown ? `--${unknown} needs a value, and can be given once` : said}. See --help.`
}

/** The command: checks what was asked for, then runs. */
export const command = <E, R>(run: (settings: Settings) => Effect.Effect<void, E, R>) =>
  Command.make("salvo", options, (asked) => Effect.flatMap(settings(asked), run)).pipe(Command.withDescription(help))
