/** What becomes of a turn in which a tool goes wrong: what the model gets, when, and at what price. */
import { type Ask, withChildren } from "./lib/child.ts"
import { inRounds, someAtOnce } from "./lib/rounds.ts"
import { median, summary } from "./lib/stats.ts"
import { type BadCall, badCalls, type Isolation, type Recovery } from "./work/faults.ts"
import { agents, libraries } from "./work/peers.ts"
import type { Request } from "./work/serve.ts"

const peers = { ...agents, ...libraries }

const ask = (request: Request) => request

const recoveryOf = async (asked: Ask, names: ReadonlyArray<string>, rounds: number, warmUp: number) => {
  const cells = names.map((peer) => ({ peer, request: ask({ ask: "recovery" }) }))
  const measured = await inRounds(asked, cells, { rounds, warmUp })
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
  withChildren(peers, async (asked) => {
    const names = Object.keys(peers)
    const recovery = smoke
      ? (await someAtOnce(names, (name) => recoveryOf(asked, [name], 1, 0))).flat()
      : await recoveryOf(asked, names, Math.min(rounds, 5), 1)
    const isolations = await someAtOnce(names, (name) => isolationOf(asked, name))
    return {
      "One tool throws and one hangs, each the first time": recovery,
      "One bad call beside four good ones: how the model is told": isolations.map(isolationRow),
      "What the model reads of it from Salvo": isolations.filter(({ peer }) => peer === "Salvo Agent").flatMap(wordsOf),
      details: isolations.map(({ answers, peer }) => ({ peer, answers: Object.fromEntries(answers) }))
    }
  })
