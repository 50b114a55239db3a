/** Makes the jobs of a batch: each call with its tool's policy and guards. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Tool from "../Tool.ts"
import type { ToolCall } from "../ToolCall.ts"
import * as ToolError from "../ToolError.ts"
import type { Toolbox } from "../Toolbox.ts"
import * as CallRun from "./callRun.ts"
import { canonical } from "./canonical.ts"
import * as Failed from "./failed.ts"
import * as Input from "./input.ts"
import { type Answer, type CallEvent, type Job, notBegun } from "./job.ts"
import { nearest } from "./nearest.ts"
import { prepare, type Prepared } from "./prepare.ts"
import type { Protection, Runner } from "./runner.ts"

/** A call that may start, as far as its own input goes. */
export interface Ready extends Prepared {
  readonly protection: Protection
}

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
  readonly maxExecutions: number
  /** Whether the batch may hold several calls of that tool, which may then be identical. */
  readonly mayRepeat: (name: string) => boolean
}

export const make = <Tools extends Tool.Tool>(
  batch: Batch<Tools>,
  context: Context.Context<never>,
  batchDeadline: number,
  emitter: (call: ToolCall) => (event: CallEvent) => Effect.Effect<void>
) => {
  const { id: batchId, mayRepeat, runner, toolbox } = batch
  const under = runner.under(toolbox)
  /** The tools that are called, with what protects their calls. */
  const tools = new Map<string, Known>()
  const executions = { left: batch.maxExecutions }

  /** Worked out only where it is needed: for a cache, or where another call of the batch may be the same. */
  const keyOf = ({ definition, protection, written }: Ready): string | undefined => {
    const { guards, policy } = protection
    const shares = guards.cache !== undefined || (policy.coalesce && mayRepeat(definition.name))
    const input = shares && definition.effects === "read" ? canonical(written) : undefined
    return input === undefined ? undefined : `${definition.name} ${input}`
  }

  const assemble = (
    call: ToolCall,
    ready: Ready,
    own: Pick<Job, "idempotencyKey" | "dependencies" | "progress">
  ): Job => {
    const job: Job = {
      call,
      definition: ready.definition,
      handler: ready.handler,
      written: ready.written,
      input: ready.input,
      key: keyOf(ready),
      policy: ready.protection.policy,
      guards: ready.protection.guards,
      resources: runner.resources,
      holds: undefined,
      executions,
      batchId,
      batchDeadline,
      outputStore: runner.outputStore,
      emit: emitter(call),
      instead: (tool, input) => insteadOf(job, tool, input),
      ...own
    }
    return job
  }

  const insteadOf = (job: Job, tool: Tool.Tool, input: unknown): Effect.Effect<Answer, Failed.Failed> =>
    Effect.gen(function* () {
      const prepared = Either.flatMap(
        Either.mapLeft(Input.read(input), (error) => Failed.of(error, tool.definition)),
        (written) => prepare(tool, written, context, batchId)
      )
      if (Either.isLeft(prepared)) return yield* Effect.fail(prepared.left)
      const protection = yield* runner.protectionOf(tool.definition, under)
      // Its executions are its own, but an interruption has to know that something of this call is running.
      const progress = { ...notBegun(), running: job.progress.running }
      const call = { ...job.call, name: tool.definition.name, input }
      const { dependencies, idempotencyKey } = job
      return yield* CallRun.answer(
        assemble(
          call,
          { ...prepared.right, protection },
          {
            dependencies,
            idempotencyKey: `${idempotencyKey}/${tool.definition.name}`,
            progress
          }
        )
      )
    })

  return {
    maxOutputBytes: under.maxOutputBytes,
    /** Has to be asked once before a call to a tool is looked at. */
    learn: (calls: Iterable<ToolCall>): Effect.Effect<void> =>
      Effect.gen(function* () {
        for (const { name } of calls) {
          const tool = tools.has(name) ? undefined : toolbox.byName.get(name)
          if (tool !== undefined) {
            tools.set(name, { tool, protection: yield* runner.protectionOf(tool.definition, under) })
          }
        }
      }),
    lookUp: (call: ToolCall): Either.Either<Looked, Failed.Failed> => {
      // A member of one of Anthropic's own toolsets is not one of ours, whatever its name.
      const known = typeof call.toolset_name === "string" ? undefined : tools.get(call.name)
      if (known === undefined) return Either.left(unknownTool(toolbox, call.name))
      return Either.mapBoth(Input.read(call.input), {
        onLeft: (error) => Failed.of(error, known.tool.definition),
        onRight: (written) => ({ ...known, written })
      })
    },
    /** Decodes the arguments, with all references in them resolved. */
    prepare: ({ protection, tool, written }: Looked): Either.Either<Ready, Failed.Failed> =>
      Either.map(prepare(tool, written, context, batchId), (prepared) => ({ ...prepared, protection })),
    job: (i: number, call: ToolCall, ready: Ready, dependencies: ReadonlyMap<string, unknown>): Job =>
      assemble(call, ready, {
        idempotencyKey: `${batchId}/${i}/${call.id}`,
        dependencies,
        progress: notBegun()
      })
  }
}
