/** How the program ends: its exit codes, and the one line it gives on standard error when something is in the way. */
import * as Data from "effect/Data"

/** All invariants held. */
export const ok = 0
/** It ran, but not as it should have; `--naive` ends so on purpose. */
export const broken = 1
/** Nothing was run: the command line, the environment or a file is not as it has to be. */
export const misused = 2
/** What a shell expects of a program that was ended by Ctrl-C. */
export const interrupted = 130
/** The same for one whose reader left. */
export const readerLeft = 141

/** What ends the program early. `message` is one line, and says what to do about it. */
export class Failure extends Data.TaggedError("Failure")<{ readonly message: string; readonly code: number }> {}

export const misuse = (message: string): Failure => new Failure({ message, code: misused })
