/** How the program ends: its exit codes, and the one line it gives on standard error when something is in the way. */
import type { PlatformError } from "@effect/platform/Error"
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

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such folder",
  ENOTDIR: "there is no such folder",
  EEXIST: "it is no folder",
  EISDIR: "it is a folder",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOSPC: "there is no space left"
}

const codeOf = (u: unknown): string => (typeof u === "object" && u !== null ? String(Reflect.get(u, "code")) : "")

/** What is wrong with a file, in a few words. */
export const why = (error: PlatformError): string =>
  reasons[codeOf(error.cause)] ?? error.message.replaceAll(/\s+/g, " ")
