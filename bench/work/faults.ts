/** What becomes of a turn in which tools go wrong. */
import { setTimeout as sleep } from "node:timers/promises"
import type { Answer, Call, Input, Model, Output, Peer, Tool, Turn } from "./peer.ts"

/** What an execution may take: of a tool, or of the whole turn where the peer gives up no tool. */
export const deadlineMillis = 600
/** So long the application waits where only what happens counts, not when. */
const patienceMillis = 2000
/** Nothing takes so long where tools have deadlines. */
const endlessMillis = 10_000

const input: Input = { city: "Oslo", country: "NO", days: 3, units: "metric", detailed: true }

const call = (name: string, text = JSON.stringify(input), id = `toolu_${name}`): Call => ({ id, name, input: text })

const good: Output = { city: "Oslo", celsius: 21 }

const isGood = ({ isError, text }: Answer): boolean => !isError && text.includes("celsius") && text.includes("21")

const never = () => new Promise<never>(() => {})

/** As `fetch` does: hangs until its signal is aborted. */
const hang = (signal: AbortSignal | undefined) =>
  new Promise<never>((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true })
  })

const after = async (millis: number, signal: AbortSignal | undefined): Promise<Output> => {
  await sleep(millis, undefined, signal === undefined ? {} : { signal })
  return good
}

const agentOf = (peer: Peer, tools: ReadonlyArray<Tool>, toolMillis: number): Promise<Turn> =>
  peer.agent(tools, { toolMillis, expectsFaults: true })

/** The turn, under a deadline of the application's own where the peer has none. Says why it was lost. */
const attempted = async (
  { hasDeadline }: Peer,
  turn: Turn,
  model: Model,
  turnMillis: number
): Promise<string | undefined> => {
  const millis = hasDeadline ? endlessMillis : turnMillis
  const abort = new AbortController()
  const done = new AbortController()
  // A turn that was given up may go on, but nobody answers it.
  const whileItLasts: Model = (read) => (abort.signal.aborted ? [] : model(read))
  const deadline = sleep(millis, undefined, { signal: done.signal }).then(() => {
    const late = new Error(`no answer within ${millis} ms`)
    abort.abort(late)
    throw late
  })
  try {
    await Promise.race([turn(whileItLasts, abort.signal), deadline])
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    done.abort()
    deadline.catch(() => {})
  }
}

export interface Recovery {
  /** Until the model has all that can be had. */
  readonly millis: number
  readonly rounds: number
  readonly executions: number
  /** Executions that succeeded for nothing: the model never read their results. */
  readonly lost: number
}

const most = 6

/**
 * Five tools of 50 to 400 milliseconds. One throws after 100 and works when it is run again, one hangs and works when
 * it is run again. The model asks again for whatever it has no good answer to.
 */
export const recovery = async (peer: Peer, deadline: number): Promise<Recovery> => {
  let executions = 0
  let succeeded = 0
  const tool = (name: string, run: (signal: AbortSignal | undefined, execution: number) => Promise<Output>): Tool => {
    let executed = 0
    return {
      name,
      run: async (_, signal) => {
        executions += 1
        executed += 1
        const output = await run(signal, executed)
        succeeded += 1
        return output
      }
    }
  }
  const tools = [
    tool("fast", (signal) => after(50, signal)),
    tool("flaky", async (signal, execution) => {
      const output = await after(100, signal)
      if (execution === 1) throw new Error("socket hang up")
      return output
    }),
    tool("stuck", (signal, execution) => (execution === 1 ? hang(signal) : after(150, signal))),
    tool("slow", (signal) => after(200, signal)),
    tool("slowest", (signal) => after(400, signal))
  ]
  const turn = await agentOf(peer, tools, deadline)
  const had = new Set<string>()
  const started = performance.now()
  let rounds = 0
  let millis = Number.NaN
  const model: Model = (read) => {
    for (const one of read()) if (isGood(one)) had.add(one.id.split(":")[0] ?? "")
    if (had.size === tools.length) {
      millis = performance.now() - started
      return []
    }
    rounds += 1
    if (rounds > most) return []
    const missing = tools.filter(({ name }) => !had.has(name))
    return missing.map(({ name }) => call(name, undefined, `${name}:${rounds}`))
  }
  const asksAgain = () => rounds < most
  let why: string | undefined
  do why = await attempted(peer, turn, model, deadline)
  while (had.size < tools.length && asksAgain())
  if (had.size < tools.length) throw new Error(`${had.size} of ${tools.length} results after ${most} rounds: ${why}`)
  return { millis, rounds, executions, lost: succeeded - had.size }
}

const secret = "s3cret"

const cyclic = () => {
  const one: Record<string, unknown> = { celsius: 21 }
  one["self"] = one
  return one
}

interface Bad {
  readonly call: Call
  readonly run?: Tool["run"]
}

const bad = {
  throws: { call: call("bad"), run: () => Promise.reject(new Error("no such station")) },
  hangs: { call: call("bad"), run: (_, signal) => hang(signal) },
  "hangs, deaf to its signal": { call: call("bad"), run: never },
  "bad input": { call: call("bad", JSON.stringify({ ...input, days: "many" })) },
  "invented name": { call: call("badly") },
  "malformed JSON": { call: call("bad", '{"city": "Oslo", "days": three}') },
  "answers with a BigInt": { call: call("bad"), run: async () => ({ city: "Oslo", celsius: 21n }) },
  "answers with a cycle": { call: call("bad"), run: async () => cyclic() },
  "answers with undefined": { call: call("bad"), run: async () => undefined },
  "throws a secret": {
    call: call("bad"),
    run: () => Promise.reject(new Error(`connect ECONNREFUSED postgres://admin:${secret}@10.0.0.4/db`))
  }
} satisfies Record<string, Bad>

export type BadCall = keyof typeof bad

export const badCalls = Object.keys(bad) as ReadonlyArray<BadCall>

export interface Isolation {
  /** Good answers of the four beside it that the model reads. */
  readonly kept: number
  /** How the model is told: marked as an error, in words only, as if all were well, or not at all. */
  readonly told: "marked" | "in words" | "as success" | "not at all"
  /** What the model reads of the bad call. */
  readonly reads: string
  readonly showsSecret: boolean
  /** Why the turn was lost. */
  readonly turn: string | undefined
}

const told = (answer: Answer | undefined): Isolation["told"] => {
  if (answer === undefined) return "not at all"
  if (answer.isError) return "marked"
  return /error|fail|timed out|invalid|not found/i.test(answer.text) ? "in words" : "as success"
}

/** Four good calls, and one of that kind in the middle. What the model reads next. */
export const withBadCall = async (peer: Peer, kind: BadCall): Promise<Isolation> => {
  const { call: badCall, run = async () => good }: Bad = bad[kind]
  const names = ["one", "two", "three", "four"]
  const tools: ReadonlyArray<Tool> = [
    ...names.map((name, i) => ({
      name,
      run: (_: Input, signal: AbortSignal | undefined) => after(10 + 10 * i, signal)
    })),
    { name: "bad", run }
  ]
  const calls = [call("one"), call("two"), badCall, call("three"), call("four")]
  let asked = 0
  let answers: ReadonlyArray<Answer> | undefined
  const model: Model = (read) => {
    asked += 1
    if (asked === 1) return calls
    answers = read()
    return []
  }
  const lost = await attempted(peer, await agentOf(peer, tools, deadlineMillis), model, patienceMillis)
  const ofBad = answers?.find(({ id }) => id === badCall.id)
  return {
    kept: answers?.filter((one) => one.id !== badCall.id && isGood(one)).length ?? 0,
    told: told(ofBad),
    reads: ofBad?.text ?? "",
    showsSecret: ofBad?.text.includes(secret) ?? false,
    turn: answers === undefined ? lost : undefined
  }
}
