/** Makes the jobs of a batch: each call with its tool's policy and guards. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { constTrue } from "effect/Function"
import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import * as ToolError from "../ToolError.ts"
import type { Toolbox } from "../Toolbox.ts"
import * as CallRun from "./callRun.ts"
import * as AtOnce from "./atOnce.ts"
import { canonical } from "./canonical.ts"
import * as Failed from "./failed.ts"
import type { Guards } from "./guards.ts"
import * as Input from "./input.ts"
import type { Decoded } from "./input.ts"
import { type Answer, type Fork, type Job, notBegun, type Progress, type Shared } from "./job.ts"
import * as Entry from "./journal/entry.ts"
import type * as Record from "./journal/record.ts"
import { nearest } from "./nearest.ts"
import type { Node } from "./node.ts"
import { prepare, type Prepared } from "./prepare.ts"
import { unprovided } from "./provided.ts"
import type { Resolved } from "./resolve.ts"
import type { Protection, Runner } from "./runner.ts"
import type { ToolMetrics } from "./telemetry.ts"

/** A call that may start, as far as its own input goes. */
export interface Ready extends Prepared<Protection> {}

/** A call to a tool that is there, with arguments. */
export interface Looked {
  readonly tool: Tool.Tool
  readonly handler: Option.Option<Tool.Handler<never, unknown, unknown>>
  /** Starts a fiber in which the handler has what it needs. */
  readonly fork: Fork
  readonly protection: Protection
  readonly written: object
}

type Known = Omit<Looked, "written">

/** Whether the very call is in the batch that an operation of the journal is of. */
type IsHere = (operation: Record.Operation) => boolean

const unknownTool = (toolbox: Toolbox, name: string): Failed.Failed =>
  Failed.of(new ToolError.UnknownTool({ name, nearest: nearest(name, toolbox.byName.keys()) }))

export interface Batch<Tools extends Tool.Tool> {
  readonly id: string
  readonly toolbox: Toolbox<Tools>
  readonly runner: Runner
}

/**
 * What names an operation besides the call it serves: how many calls of the same id came before; where it is the work of
 * another tool in its place, the whole name.
 */
type Naming = number | string

/** So that no slash of an id is taken for one between two parts of a name. */
const part = (id: string): string => (/[%/]/.test(id) ? id.replaceAll("%", "%25").replaceAll("/", "%2F") : id)

/**
 * The same in every process that runs this batch again. The input is told apart by a hash alone: two operations of one
 * call id differ in it only where the model gave an id twice.
 */
const nameOf = (batchId: string, callId: string, tool: string, input: string | undefined, naming: Naming): string => {
  if (typeof naming === "string") return naming
  const hash = (Hash.string(input ?? "") >>> 0).toString(36)
  return `${batchId}/${part(callId)}/${tool}/${hash}${naming === 0 ? "" : `~${naming}`}`
}

type InsteadOf = (job: Job, tool: Tool.Tool, input: unknown) => Effect.Effect<Answer, Failed.Failed>

/** A class, because a batch makes one for every call. */
class JobOf implements Job {
  readonly shared: Shared
  readonly call: ToolCall
  readonly index: number
  readonly definition: Tool.Definition
  readonly handler: Tool.Handler<never, unknown, unknown>
  readonly written: object
  readonly input: Decoded
  readonly policy: Resolved
  readonly guards: Guards
  readonly metrics: ToolMetrics
  readonly progress: Progress
  readonly entry: Entry.Entry | undefined
  decoded: unknown = undefined
  ownsFiber = false
  span: Job["span"] = undefined
  holds: Job["holds"] = undefined
  letGo: Job["letGo"] = undefined
  readonly #naming: Naming
  readonly #insteadOf: InsteadOf
  #dependencies: ReadonlyMap<string, unknown> | undefined
  #name: string | undefined
  #canonical: string | undefined
  #isCanonical = false

  constructor(
    shared: Shared,
    call: ToolCall,
    index: number,
    ready: Ready,
    progress: Progress,
    naming: Naming,
    insteadOf: InsteadOf,
    entries: (() => Entry.Entries | undefined) | undefined,
    isHere: IsHere,
    since: number
  ) {
    const { definition, protection } = ready
    this.shared = shared
    this.call = call
    this.index = index
    this.definition = definition
    this.handler = ready.handler
    this.written = ready.written
    this.input = ready.input
    this.policy = protection.policy
    this.guards = protection.guards
    this.metrics = shared.telemetry.metrics(definition.name)
    this.progress = progress
    this.#naming = naming
    this.#insteadOf = insteadOf
    const known = entries?.()
    if (known === undefined) {
      this.entry = undefined
    } else {
      const operation = {
        key: this.idempotencyKey,
        callId: call.id,
        tool: definition.name,
        input: this.canonical,
        isInstead: typeof naming === "string" ? (true as const) : undefined
      }
      this.entry = known.entry(definition, operation, isHere, since)
      this.#name = this.entry.operation.key
    }
  }

  goOn(first: Effect.Effect<Answer, Failed.Failed>): void {
    CallRun.goOn(this, first)
  }

  get dependencies(): ReadonlyMap<string, unknown> {
    return (this.#dependencies ??= this.shared.outputsFor(this.index))
  }

  get canonical(): string | undefined {
    if (!this.#isCanonical) {
      this.#isCanonical = true
      this.#canonical = canonical(this.written)
    }
    return this.#canonical
  }

  get idempotencyKey(): string {
    const { call, definition, shared } = this
    return (this.#name ??= nameOf(shared.batchId, call.id, definition.name, this.canonical, this.#naming))
  }

  instead(tool: Tool.Tool, input: unknown): Effect.Effect<Answer, Failed.Failed> {
    return this.#insteadOf(this, tool, input)
  }
}

export const make = <Tools extends Tool.Tool>(
  batch: Batch<Tools>,
  /** Of the calls' fibers. */
  runtime: Runtime.Runtime<never>,
  shared: Shared,
  /** What is known of the batch, asked when a call starts; missing where it is not journaled. */
  entries: (() => Entry.Entries | undefined) | undefined
) => {
  const { runner, toolbox } = batch
  const under = runner.under(toolbox)
  /** The tools that are called, with what protects their calls. */
  const tools = new Map<string, Known>()
  /** The calls by id, where they are journaled. */
  const asked = new Map<string, Array<Looked>>()

  const ask = ({ id }: ToolCall, looked: Looked): void => {
    const same = asked.get(id)
    if (same === undefined) asked.set(id, [looked])
    else same.push(looked)
  }

  /** The arguments that hold references. */
  const referring = new Set<object>()

  /**
   * The id alone does not tell: models and gateways number the calls of a turn that is asked again as they did before. What
   * arguments with references come to is not known yet: a read leaves them their record, and nothing is paid twice for it.
   */
  const isHere: IsHere = ({ callId, input, tool: name }) =>
    asked
      .get(callId)
      ?.some(
        ({ tool: { definition }, written }) =>
          definition.name === name &&
          (canonical(written) === input || (definition.effects === "read" && referring.has(written)))
      ) ?? false

  const implementation = (tool: Tool.Tool): Pick<Known, "fork" | "handler"> => {
    const found = tool.handler(runtime.context)
    if (Option.isNone(found)) return { handler: found, fork: shared.fork }
    const { environment, handler } = unprovided(found.value, runtime.context)
    const fork =
      environment === runtime.context ? shared.fork : Runtime.runFork(Runtime.updateContext(runtime, () => environment))
    return { handler: Option.some(handler), fork }
  }

  const learn = (tool: Tool.Tool): Effect.Effect<void> =>
    AtOnce.flatMap(runner.protectionOf(tool.definition, under), (protection) => {
      tools.set(tool.definition.name, { tool, protection, ...implementation(tool) })
      return Effect.void
    })

  const insteadOf: InsteadOf = (job, tool, input) =>
    Effect.gen(function* () {
      const { definition } = tool
      const protection = yield* runner.protectionOf(definition, under)
      const prepared = Either.flatMap(
        Either.mapLeft(Input.read(input), (error) => Failed.of(error, definition)),
        (written) => prepare(tool, written, tool.handler(runtime.context), batch.id, protection)
      )
      if (Either.isLeft(prepared)) return yield* Effect.fail(prepared.left)
      const other = new JobOf(
        shared,
        { ...job.call, name: definition.name, input },
        job.index,
        prepared.right,
        // Its executions are its own, but an interruption has to know that something of this call is running.
        { ...notBegun(), running: job.progress.running, underWay: (job.progress.underWay ??= new Set()) },
        Entry.insteadKey(job.idempotencyKey, definition.name),
        insteadOf,
        entries,
        constTrue,
        // Whatever it was asked for then, it is asked for now.
        -1
      )
      other.span = job.span
      job.progress.instead = other
      return yield* CallRun.answer(other)
    })

  return {
    maxOutputBytes: under.maxOutputBytes,
    /** Has to be asked once before a call to a tool is looked at. To be run at once. */
    learn: (calls: Iterable<ToolCall>): Effect.Effect<void> => {
      const unknown = new Set<Tool.Tool>()
      for (const { name } of calls) {
        const tool = tools.has(name) ? undefined : toolbox.byName.get(name)
        if (tool !== undefined) unknown.add(tool)
      }
      let learned: Effect.Effect<void> = Effect.void
      for (const tool of unknown) learned = AtOnce.zipRight(learned, learn(tool))
      return learned
    },
    lookUp: (call: ToolCall): Either.Either<Looked, Failed.Failed> => {
      // A member of one of Anthropic's own toolsets is not one of ours, whatever its name.
      const known = typeof call.toolset_name === "string" ? undefined : tools.get(call.name)
      if (known === undefined) return Either.left(unknownTool(toolbox, call.name))
      const { fork, handler, protection, tool } = known
      const written = Input.read(call.input)
      if (Either.isLeft(written)) return Either.left(Failed.of(written.left, tool.definition))
      const looked = { tool, handler, fork, protection, written: written.right }
      if (entries !== undefined) ask(call, looked)
      return Either.right(looked)
    },
    /** Has to be told of arguments that hold references. */
    refers: ({ written }: Looked): void => {
      if (entries !== undefined) referring.add(written)
    },
    /** Decodes the arguments, with all references in them resolved. */
    prepare: ({ handler, protection, tool, written }: Looked): Either.Either<Ready, Failed.Failed> =>
      prepare(tool, written, handler, batch.id, protection),
    job: ({ call, index, repeats, since }: Pick<Node, "call" | "index" | "repeats" | "since">, ready: Ready): Job =>
      new JobOf(shared, call, index, ready, notBegun(), repeats, insteadOf, entries, isHere, since)
  }
}
