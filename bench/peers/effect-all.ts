/** Effect 3 as one would write it first: `Effect.all` with a timeout and a retry around each call. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { type Call, loop, outputText, type ResultBlock } from "../work/peer.ts"
import { failed, handlerOf, Input } from "../work/schema.ts"
import { servePeer } from "../work/serve.ts"

const decode = Schema.decodeUnknown(Schema.parseJson(Input))

const again = Schedule.intersect(Schedule.jittered(Schedule.exponential("10 millis")), Schedule.recurs(2))

const block = (call: Call, answer: Either.Either<string, unknown> | undefined): ResultBlock =>
  answer !== undefined && Either.isRight(answer)
    ? { type: "tool_result", tool_use_id: call.id, content: answer.right }
    : { type: "tool_result", tool_use_id: call.id, content: String(answer?.left), is_error: true }

servePeer({
  kind: "library",
  hasDeadline: true,
  agent: async (tools, { toolMillis }) => {
    const byName = new Map(tools.map((tool) => [tool.name, tool]))
    const one = (call: Call) =>
      Effect.gen(function* () {
        const tool = byName.get(call.name)
        if (tool === undefined) return yield* Effect.fail(failed(`there is no tool ${call.name}`))
        const input = yield* decode(call.input)
        const output = yield* handlerOf(tool)(input).pipe(Effect.timeout(toolMillis), Effect.retry(again))
        return outputText(output)
      })
    return loop(async (calls, signal) => {
      const answers = await Effect.runPromise(
        Effect.all(calls.map(one), { concurrency: "unbounded", mode: "either" }),
        { signal }
      )
      return calls.map((call, i) => block(call, answers[i]))
    })
  }
})
