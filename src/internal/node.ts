/** A call in the scheduler's graph: whom it waits for, who waits for it, and what it has come to. */
import type * as Either from "effect/Either"
import type * as Fiber from "effect/Fiber"
import type { ToolCall } from "../ToolCall.ts"
import type { Parsed } from "../Reference.ts"
import type * as ToolResult from "../ToolResult.ts"
import type * as Failed from "./failed.ts"
import type { Answer, Job } from "./job.ts"
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

/** What is known of a call when it is added. */
export interface Own {
  readonly call: ToolCall
  /** Its tool and arguments, or why there are none. */
  readonly looked: Either.Either<Looked, Failed.Failed>
  /** The references in its arguments; missing where the toolbox knows none. */
  readonly parsed: Parsed | undefined
  /** Decoded; missing where references have to be resolved first. */
  readonly ready: Either.Either<Ready, Failed.Failed> | undefined
  readonly targets: ReadonlyArray<Target>
  /** Whether it waits for the batch to be sealed. */
  readonly waitsForSeal: boolean
  /** Why it fails before anything of it runs: its own fault, or that of what it waits for. */
  readonly refused: Failed.Failed | undefined
}

const none: ReadonlyArray<never> = []

/** A class, and lists only where there is something in them: a batch makes one for every call, and most need nobody. */
export class Node implements Own {
  readonly call: ToolCall
  readonly looked: Own["looked"]
  readonly parsed: Own["parsed"]
  readonly ready: Own["ready"]
  readonly targets: Own["targets"]
  readonly waitsForSeal: boolean
  readonly index: number
  /** The calls of the batch with the same id that came before: models repeat ids. */
  readonly repeats: number
  /** The positions of the calls it needs; `references` those whose output its input takes. */
  needs: ReadonlyArray<number> = none
  references: ReadonlyArray<number> = none
  awaitedBy: ReadonlyArray<Node> = none
  /** The call before it that uses the same resource. */
  after: number | undefined = undefined
  /** How many things have to happen before it starts. */
  unmet: number
  /** How many names it needs that no call has yet. */
  expected = 0
  refused: Failed.Failed | undefined
  queued = false
  /** From where on in the journal's log an answer to it is not out of date. */
  since = -1
  job: Job | undefined = undefined
  /** While it runs. */
  fiber: Fiber.RuntimeFiber<Answer, Failed.Failed> | undefined = undefined
  result: ToolResult.ToolResult | undefined = undefined
  /** Told of the result, where somebody waits for it. */
  onLand: (() => void) | undefined = undefined

  constructor(own: Own, index: number, repeats: number) {
    this.call = own.call
    this.looked = own.looked
    this.parsed = own.parsed
    this.ready = own.ready
    this.targets = own.targets
    this.waitsForSeal = own.waitsForSeal
    this.index = index
    this.repeats = repeats
    this.unmet = own.waitsForSeal ? 1 : 0
    this.refused = own.refused
  }
}

/** Adds to a list of a node. The lists of nodes that have none are one and the same. */
export const push = <A>(list: ReadonlyArray<A>, item: A): ReadonlyArray<A> => {
  if (list.length === 0) return [item]
  // It was made here, by the line above.
  ;(list as Array<A>).push(item)
  return list
}
