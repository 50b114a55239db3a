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

const start = async (module: URL, execArgv: ReadonlyArray<string>) => {
  const child = fork(fileURLToPath(module), {
    execArgv: ["--import", import.meta.resolve("tsx"), ...execArgv],
    // What undefined, NaN and bytes are, they stay.
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"]
  })
  const words = lastWords(child)
  try {
    await next(child, words, startMillis)
  } catch (error) {
    child.kill("SIGKILL")
    throw error
  }
  return { child, words }
}

/** Starts a child for each module when it is first asked, lets `use` ask them, and ends them all. */
export const withChildren = async <A>(
  modules: Readonly<Record<string, URL>>,
  use: (ask: Ask) => Promise<A>,
  { execArgv = [], timeoutMillis = 60_000 }: Options = {}
): Promise<A> => {
  const running = new Map<string, Awaited<ReturnType<typeof start>>>()
  /** Those that are not asked any more: they cannot start, or have been lost too often. */
  const givenUp = new Map<string, unknown>()
  const lost = new Map<string, number>()
  let id = 0

  const started = async (name: string) => {
    const already = running.get(name)
    if (already !== undefined) return already
    const module = modules[name]
    if (module === undefined) throw new Error(`no such peer: ${name}`)
    if (givenUp.has(name)) throw givenUp.get(name)
    try {
      const fresh = await start(module, execArgv)
      running.set(name, fresh)
      return fresh
    } catch (error) {
      givenUp.set(name, error)
      throw error
    }
  }

  const ask: Ask = async (name, request) => {
    const { child, words } = await started(name)
    id += 1
    let answer: Answer
    try {
      child.send({ id, request } satisfies Question)
      answer = (await next(child, words, timeoutMillis)) as Answer
    } catch (error) {
      running.delete(name)
      child.kill("SIGKILL")
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
    for (const { child } of running.values()) child.kill("SIGKILL")
  }
}
