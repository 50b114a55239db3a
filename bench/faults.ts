/** What becomes of a turn in which a tool goes wrong: what the model gets, when, and at what price. */
import { type Ask, withChildren } from "./lib/child.ts"
import { inRounds, someAtOnce } from "./lib/rounds.ts"
import { median, summary } from "./lib/stats.ts"
import { type BadCall, badCalls, deadlineMillis, type Isolation, type Recovery } from "./work/faults.ts"
import { agents, libraries } from "./work/peers.ts"
import type { Request } from "./work/serve.ts"

const peers = { ...agents, ...libraries }

const ask = (request: Request) => request

/** In a smoke run all peers are cold and run at once, and none fails for being slow. */
const patientMillis = 3000

interface Options {
  readonly rounds: number
  readonly warmUp: number
  readonly deadlineMillis: number
}

const recoveryOf = async (asked: Ask, names: ReadonlyArray<string>, { deadlineMillis, rounds, warmUp }: Options) => {
  const cells = names.map((peer) => ({ peer, request: ask({ ask: "recovery", deadlineMillis }) }))
  const measured = await inRounds(asked, cells, { rounds, warmUp, most: 2 })
  return measured.map(({ answers, cell, error }) => {
    const all = answers as ReadonlyArray<Recovery>
    const of = (field: keyof Recovery) => median(all.map((one) => one[field]))
    return {
      peer: cell.peer,
      "ms until the model has all": summary(all.map(({ millis }) => Math.round(millis))),
      "model turns": of("rounds"),
      executions: of("executions"),
      "results lost": of("lost"),
      error
    }
  })
}

/** In a few words what became of the turn. */
const verdict = ({ kept, told, turn }: Isolation): string => {
  if (turn !== undefined) return "turn lost"
  const siblings = kept === 4 ? [] : [`${4 - kept} lost`]
  const words = { marked: "error", "in words": "error in words", "as success": "as success", "not at all": "no answer" }
  return [...siblings, words[told]].join(", ")
}

const isolationOf = async (asked: Ask, peer: string) => {
  const answers = new Map<BadCall, Isolation>()
  try {
    for (const kind of badCalls) answers.set(kind, (await asked(peer, ask({ ask: "bad call", kind }))) as Isolation)
    return { peer, answers, error: undefined }
  } catch (error) {
    return { peer, answers, error: String(error) }
  }
}

type Isolations = Awaited<ReturnType<typeof isolationOf>>

const isolationRow = ({ answers, error, peer }: Isolations) =>
  Object.assign({ peer }, Object.fromEntries(Array.from(answers, ([kind, one]) => [kind, verdict(one)])) as object, {
    "secret shown": answers.get("throws a secret")?.showsSecret === true ? "yes" : "no",
    error
  })

const wordsOf = ({ answers }: Isolations) =>
  Array.from(answers, ([kind, { reads }]) => ({ "a call that": kind, "the model reads": reads }))

export const run = ({ rounds, smoke }: { readonly rounds: number; readonly smoke: boolean }) =>
  withChildren(
    peers,
    async (asked) => {
      const names = Object.keys(peers)
      const patiently = { rounds: 1, warmUp: 0, deadlineMillis: patientMillis }
      // They do little but wait.
      const most = smoke ? names.length : undefined
      const recovery = smoke
        ? (await someAtOnce(names, (name) => recoveryOf(asked, [name], patiently), most)).flat()
        : await recoveryOf(asked, names, { rounds: Math.min(rounds, 5), warmUp: 1, deadlineMillis })
      const isolations = await someAtOnce(names, (name) => isolationOf(asked, name), most)
      return {
        "One tool throws and one hangs, each the first time": recovery,
        "One bad call beside four good ones: how the model is told": isolations.map(isolationRow),
        "What the model reads of it from Salvo": isolations
          .filter(({ peer }) => peer === "Salvo Agent")
          .flatMap(wordsOf),
        details: isolations.map(({ answers, peer }) => ({ peer, answers: Object.fromEntries(answers) }))
      }
    },
    { keep: smoke }
  )
