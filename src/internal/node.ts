/** A call in the scheduler's graph: whom it waits for, who waits for it, and what it has come to. */
import * as Deferred from "effect/Deferred"
import type * as Either from "effect/Either"
import * as FiberId from "effect/FiberId"
import type { ToolCall } from "../ToolCall.ts"
import type { Parsed } from "../Reference.ts"
import type * as ToolResult from "../ToolResult.ts"
import type * as Failed from "./failed.ts"
import type { Job } from "./job.ts"
import type { Looked, Ready } from "./jobs.ts"
import type { Kind } from "./names.ts"

/** A name of another call that this one needs. `within` is where a reference points into its output. */
export interface Target {
  readonly name: string
  /** As the model wrote it, where that is more than the name. */
  readonly raw?: string
  readonly kind: Kind
  readonly isReference: boolean
}

export interface Node {
  readonly index: number
  readonly call: ToolCall
  /** Its tool and arguments, or why there are none. */
  readonly looked: Either.Either<Looked, Failed.Failed>
  /** The references in its arguments; missing where the toolbox knows none. */
  readonly parsed: Parsed | undefined
  /** Decoded; missing where references have to be resolved first. */
  readonly ready: Either.Either<Ready, Failed.Failed> | undefined
  readonly targets: ReadonlyArray<Target>
  /** The positions of the calls it needs; `references` those whose output its input takes. */
  readonly needs: Array<number>
  readonly references: Set<number>
  /** The call before it that uses the same resource. */
  after: number | undefined
  /** How many things have to happen before it starts. */
  unmet: number
  /** Whether it waits for the batch to be sealed. */
  readonly waitsForSeal: boolean
  readonly awaitedBy: Array<Node>
  /** Why it fails before anything of it runs: its own fault, or that of what it waits for. */
  refused: Failed.Failed | undefined
  queued: boolean
  job: Job | undefined
  result: ToolResult.ToolResult | undefined
  readonly landed: Deferred.Deferred<ToolResult.ToolResult>
}

export const make = (
  own: Pick<Node, "index" | "call" | "looked" | "parsed" | "ready" | "targets" | "waitsForSeal" | "refused">
): Node => ({
  ...own,
  needs: [],
  references: new Set(),
  after: undefined,
  unmet: own.waitsForSeal ? 1 : 0,
  awaitedBy: [],
  queued: false,
  job: undefined,
  result: undefined,
  landed: Deferred.unsafeMake<ToolResult.ToolResult>(FiberId.none)
})
