/**
 * Peers run in child processes of their own, so that none pays for another's heap, hidden classes and timers. A child
 * is a module that calls `serve`; the parent asks the children in turn, so that a slow moment of the machine hits all.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { setTimeout as wait } from "node:timers/promises"
import { fileURLToPath } from "node:url"

interface Question {
  readonly id: number
  readonly request: unknown
}

type Answer = { readonly id: number } & ({ readonly value: unknown } | { readonly error: string })

/** In a child: answers requests one after the other, until the parent ends it. */
export const serve = (answer: (request: unknown) => Promise<unknown>): void => {
  const reply = async ({ id, request }: Question) => {
    try {
      process.send?.({ id, value: await answer(request) } satisfies Answer)
    } catch (error) {
      process.send?.({ id, error: String(error) } satisfies Answer)
    }
  }
  // A peer that leaves a rejected promise behind has not failed the question that is being answered.
  process.on("unhandledRejection", () => {})
  process.on("disconnect", () => process.exit())
  process.on("message", (question: Question) => void reply(question))
  process.send?.("ready")
}

/** Asks a child. Rejects when it cannot start, answers with an error, dies or is too slow; it is then started anew, once. */
export type Ask = (name: string, request: unknown) => Promise<unknown>

export interface Options {
  /** For the Node of the children, such as `--expose-gc`. */
  readonly execArgv?: ReadonlyArray<string> | undefined
  /** How long an answer may take. Default: 60,000 milliseconds. */
  readonly timeoutMillis?: number | undefined
  /** Leaves the children to whoever asks for the same modules next, and so to the end. Where nobody looks at times. */
  readonly keep?: boolean | undefined
}

const startMillis = 120_000

/** So often a child may hang or die. */
const mostLosses = 2

/** The child's last words: what a peer that cannot start has printed. */
const lastWords = (child: ChildProcess): (() => string) => {
  let text = ""
  child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    text = (text + chunk).slice(-4000)
  })
  return () => /^\s*(?:\w*Error.*)$/m.exec(text)?.[0].trim() ?? text.trim().split("\n").at(-1) ?? ""
}

/** The next thing the child says, or the reason why it says no more. */
const next = async (child: ChildProcess, words: () => string, timeoutMillis: number): Promise<unknown> => {
  const done = new AbortController()
  const { signal } = done
  try {
    return await Promise.race([
      once(child, "message", { signal }).then(([message]) => message as unknown),
      once(child, "close", { signal }).then(() => {
        throw new Error(words() || `ended with ${child.exitCode ?? child.signalCode}`)
      }),
      // Not a signal out of AbortSignal.any: on Node 20 that may be collected before it fires.
      wait(timeoutMillis, undefined, { signal }).then(() => {
        throw new Error(`no answer within ${timeoutMillis} ms`)
      })
    ])
  } finally {
    done.abort()
  }
}

interface Child {
  readonly ask: (request: unknown, timeoutMillis: number) => Promise<Answer>
  readonly end: () => void
}

let questions = 0

const start = async (module: URL, execArgv: ReadonlyArray<string>): Promise<Child> => {
  const child = fork(fileURLToPath(module), {
    execArgv: ["--import", import.meta.resolve("tsx"), ...execArgv],
    // What undefined, NaN and bytes are, they stay.
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"]
  })
  const words = lastWords(child)
  const end = () => child.kill("SIGKILL")
  try {
    await next(child, words, startMillis)
  } catch (error) {
    end()
    throw error
  }
  const one = async (request: unknown, timeoutMillis: number) => {
    if (!child.connected) throw new Error(words() || "it has ended")
    questions += 1
    child.send({ id: questions, request } satisfies Question)
    return (await next(child, words, timeoutMillis)) as Answer
  }
  let last: Promise<unknown> = Promise.resolve()
  return {
    end,
    // One after the other, whoever asks.
    ask: (request, timeoutMillis) => {
      const answer = last.then(() => one(request, timeoutMillis))
      last = answer.catch(() => {})
      return answer
    }
  }
}

/** So many start at the same time, or each would take as long as all of them. */
const startsAtOnce = 4

let starting = 0
const waiting: Array<() => void> = []

const startInTurn = async (module: URL, execArgv: ReadonlyArray<string>): Promise<Child> => {
  if (starting === startsAtOnce) await new Promise<void>((go) => waiting.push(go))
  else starting += 1
  try {
    return await start(module, execArgv)
  } finally {
    const go = waiting.shift()
    if (go === undefined) starting -= 1
    else go()
  }
}

/** By name and module. */
const kept = new Map<string, Promise<Child>>()

/** Starts a child for each module when it is first asked, lets `use` ask them, and ends them all. */
export const withChildren = async <A>(
  modules: Readonly<Record<string, URL>>,
  use: (ask: Ask) => Promise<A>,
  { execArgv = [], keep = false, timeoutMillis = 60_000 }: Options = {}
): Promise<A> => {
  const running = keep ? kept : new Map<string, Promise<Child>>()
  /** Those that are not asked any more: they cannot start, or have been lost too often. */
  const givenUp = new Map<string, unknown>()
  const lost = new Map<string, number>()

  const ask: Ask = async (name, request) => {
    const module = modules[name]
    if (module === undefined) throw new Error(`no such peer: ${name}`)
    if (givenUp.has(name)) throw givenUp.get(name)
    // Several may be of the same module.
    const key = `${name} ${module.href}`
    const starting = running.get(key) ?? startInTurn(module, execArgv)
    running.set(key, starting)
    let child: Child
    try {
      child = await starting
    } catch (error) {
      givenUp.set(name, error)
      throw error
    }
    let answer: Answer
    try {
      answer = await child.ask(request, timeoutMillis)
    } catch (error) {
      if (running.get(key) === starting) running.delete(key)
      child.end()
      lost.set(name, (lost.get(name) ?? 0) + 1)
      if (lost.get(name) === mostLosses) givenUp.set(name, error)
      throw error
    }
    if ("error" in answer) throw new Error(answer.error)
    return answer.value
  }

  try {
    return await use(ask)
  } finally {
    if (!keep) for (const child of running.values()) child.then(({ end }) => end()).catch(() => {})
  }
}
