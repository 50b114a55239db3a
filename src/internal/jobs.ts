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
import { type Answer, type CallEvent, type Job, notBegun } from "./job.ts"
import { nearest } from "./nearest.ts"
import { prepare, type Prepared } from "./prepare.ts"
import type { Protection, Runner } from "./runner.ts"

/** A call that may start, as far as its own input goes. */
export interface Ready extends Prepared {
  readonly protection: Protection
}

interface Known {
  readonly tool: Tool.Tool
  readonly protection: Protection
}

const unknownTool = (toolbox: Toolbox, name: string): Failed.Failed =>
  Failed.of(new ToolError.UnknownTool({ name, nearest: nearest(name, toolbox.byName.keys()) }))

/** Tools with more than one call here, whose calls may be identical. */
const repeated = (calls: ReadonlyArray<ToolCall>): ReadonlySet<string> => {
  const [once, more] = [new Set<string>(), new Set<string>()]
  for (const { name } of calls) (once.has(name) ? more : once).add(name)
  return more
}

export const make = <Tools extends Tool.Tool>(
  batch: {
    readonly id: string
    readonly toolbox: Toolbox<Tools>
    readonly calls: ReadonlyArray<ToolCall>
    readonly runner: Runner
    readonly maxExecutions: number
  },
  context: Context.Context<never>,
  batchDeadline: number,
  emitter: (call: ToolCall) => (event: CallEvent) => Effect.Effect<void>
) =>
  Effect.gen(function* () {
    const { calls, id: batchId, runner, toolbox } = batch
    const under = runner.under(toolbox)
    /** The tools that are called, with what protects their calls. */
    const tools = new Map<string, Known>()
    for (const { name } of calls) {
      const tool = tools.has(name) ? undefined : toolbox.byName.get(name)
      if (tool !== undefined) tools.set(name, { tool, protection: yield* runner.protectionOf(tool.definition, under) })
    }
    const mayRepeat = repeated(calls)
    const executions = { left: batch.maxExecutions }

    /** Worked out only where it is needed: for a cache, or where another call of the batch may be the same. */
    const keyOf = ({ definition, protection, written }: Ready): string | undefined => {
      const { guards, policy } = protection
      const shares = guards.cache !== undefined || (policy.coalesce && mayRepeat.has(definition.name))
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
        const prepared = prepare(tool, input, context, batchId)
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
      /** Look up, decode. */
      prepare: (call: ToolCall): Either.Either<Ready, Failed.Failed> => {
        // A member of one of Anthropic's own toolsets is not one of ours, whatever its name.
        const known = typeof call.toolset_name === "string" ? undefined : tools.get(call.name)
        return known === undefined
          ? Either.left(unknownTool(toolbox, call.name))
          : Either.map(prepare(known.tool, call.input, context, batchId), (prepared) => ({
              ...prepared,
              protection: known.protection
            }))
      },
      job: (i: number, call: ToolCall, ready: Ready, dependencies: ReadonlyMap<string, unknown>): Job =>
        assemble(call, ready, {
          idempotencyKey: `${batchId}/${i}/${call.id}`,
          dependencies,
          progress: notBegun()
        })
    }
  })
