/** Makes the jobs of a batch: each call with its tool's policy and guards. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Hash from "effect/Hash"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import * as ToolError from "../ToolError.ts"
import type { Toolbox } from "../Toolbox.ts"
import * as CallRun from "./callRun.ts"
import { canonical } from "./canonical.ts"
import * as Failed from "./failed.ts"
import * as Input from "./input.ts"
import { type Answer, type Job, notBegun, type Shared } from "./job.ts"
import type * as Entry from "./journal/entry.ts"
import { nearest } from "./nearest.ts"
import type { Node } from "./node.ts"
import { prepare, type Prepared } from "./prepare.ts"
import type { Protection, Runner } from "./runner.ts"

/** A call that may start, as far as its own input goes. */
export type Ready = Prepared<Protection>

/** A call to a tool that is there, with arguments. */
export interface Looked {
  readonly tool: Tool.Tool
  readonly protection: Protection
  readonly written: object
}

type Known = Omit<Looked, "written">

const unknownTool = (toolbox: Toolbox, name: string): Failed.Failed =>
  Failed.of(new ToolError.UnknownTool({ name, nearest: nearest(name, toolbox.byName.keys()) }))

export interface Batch<Tools extends Tool.Tool> {
  readonly id: string
  readonly toolbox: Toolbox<Tools>
  readonly runner: Runner
  /** Whether the batch may hold several calls of that tool, which may then be identical. */
  readonly mayRepeat: (name: string) => boolean
}

const entryOf = (
  entries: Entry.Entries,
  call: ToolCall,
  definition: Tool.Definition,
  input: string | undefined,
  nameOf: (input: string | undefined) => string,
  isHere: (id: string) => boolean
): Entry.Entry => {
  const operation = { key: nameOf(input), callId: call.id, tool: definition.name }
  return entries.entry(definition, input === undefined ? operation : { ...operation, input }, isHere)
}

const noOutputs: ReadonlyMap<string, unknown> = new Map()

/**
 * The same in every process that runs this batch again. The input is told apart by a hash alone: two operations of one
 * call id differ in it only where the model gave an id twice.
 */
const keyOf = (batchId: string, callId: string, tool: string, input: string | undefined, repeats: number): string =>
  `${batchId}/${callId}/${tool}/${(Hash.string(input ?? "") >>> 0).toString(36)}${repeats === 0 ? "" : `/${repeats}`}`

export const make = <Tools extends Tool.Tool>(
  batch: Batch<Tools>,
  context: Context.Context<never>,
  shared: Shared,
  entries: Entry.Entries | undefined
) => {
  const { id: batchId, mayRepeat, runner, toolbox } = batch
  const under = runner.under(toolbox)
  /** The tools that are called, with what protects their calls. */
  const tools = new Map<string, Known>()

  /** Worked out only where it is needed: for a cache, or where another call of the batch may be the same. */
  const shareKeyOf = ({ definition, protection, written }: Ready): string | undefined => {
    const { guards, policy } = protection
    const shares = guards.cache !== undefined || (policy.coalesce && mayRepeat(definition.name))
    const input = shares && definition.effects === "read" ? canonical(written) : undefined
    return input === undefined ? undefined : `${definition.name} ${input}`
  }

  const assemble = (
    call: ToolCall,
    index: number,
    ready: Ready,
    own: Pick<Job, "dependencies" | "progress">,
    /** Its name among the operations of the batch, by its canonical input. */
    nameOf: (input: string | undefined) => string,
    isHere: (id: string) => boolean
  ): Job => {
    const { definition, written } = ready
    const entry =
      entries === undefined ? undefined : entryOf(entries, call, definition, canonical(written), nameOf, isHere)
    let key = entry?.operation.key
    const job: Job = {
      shared,
      call,
      index,
      definition,
      handler: ready.handler,
      written,
      input: ready.input,
      key: shareKeyOf(ready),
      policy: ready.protection.policy,
      guards: ready.protection.guards,
      metrics: shared.telemetry.metrics(definition.name),
      get idempotencyKey() {
        return (key ??= nameOf(canonical(written)))
      },
      dependencies: own.dependencies,
      progress: own.progress,
      entry,
      instead: (tool, input) => insteadOf(job, tool, input),
      goOn: undefined,
      span: undefined,
      holds: undefined,
      letGo: undefined
    }
    return job
  }

  const insteadOf = (job: Job, tool: Tool.Tool, input: unknown): Effect.Effect<Answer, Failed.Failed> =>
    Effect.gen(function* () {
      const { definition } = tool
      const protection = yield* runner.protectionOf(definition, under)
      const prepared = Either.flatMap(
        Either.mapLeft(Input.read(input), (error) => Failed.of(error, tool.definition)),
        (written) => prepare(tool, written, context, batchId, protection)
      )
      if (Either.isLeft(prepared)) return yield* Effect.fail(prepared.left)
      // Its executions are its own, but an interruption has to know that something of this call is running.
      const progress = { ...notBegun(), running: job.progress.running }
      const call = { ...job.call, name: definition.name, input }
      const own = { dependencies: job.dependencies, progress }
      const key = `${job.idempotencyKey}/${definition.name}`
      const other = assemble(
        call,
        job.index,
        prepared.right,
        own,
        () => key,
        () => true
      )
      other.span = job.span
      return yield* CallRun.answer(other)
    })

  return {
    maxOutputBytes: under.maxOutputBytes,
    /** Has to be asked once before a call to a tool is looked at. */
    learn: (calls: Iterable<ToolCall>): Effect.Effect<void> => {
      const unknown = new Set<Tool.Tool>()
      for (const { name } of calls) {
        const tool = tools.has(name) ? undefined : toolbox.byName.get(name)
        if (tool !== undefined) unknown.add(tool)
      }
      return Effect.forEach(
        unknown,
        (tool) =>
          Effect.map(runner.protectionOf(tool.definition, under), (protection) =>
            tools.set(tool.definition.name, { tool, protection })
          ),
        { discard: true }
      )
    },
    lookUp: (call: ToolCall): Either.Either<Looked, Failed.Failed> => {
      // A member of one of Anthropic's own toolsets is not one of ours, whatever its name.
      const known = typeof call.toolset_name === "string" ? undefined : tools.get(call.name)
      if (known === undefined) return Either.left(unknownTool(toolbox, call.name))
      const { protection, tool } = known
      const written = Input.read(call.input)
      return Either.isLeft(written)
        ? Either.left(Failed.of(written.left, tool.definition))
        : Either.right({ tool, protection, written: written.right })
    },
    /** Decodes the arguments, with all references in them resolved. */
    prepare: ({ protection, tool, written }: Looked): Either.Either<Ready, Failed.Failed> =>
      prepare(tool, written, context, batchId, protection),
    job: (
      { call, index, repeats }: Pick<Node, "call" | "index" | "repeats">,
      ready: Ready,
      dependencies: ReadonlyMap<string, unknown> = noOutputs,
      isHere: (id: string) => boolean
    ): Job =>
      assemble(
        call,
        index,
        ready,
        { dependencies, progress: notBegun() },
        (input) => keyOf(batchId, call.id, ready.definition.name, input, repeats),
        isHere
      )
  }
}
