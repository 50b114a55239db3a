/** What a peer's process is asked, and how it finds out. */
import { serve } from "../lib/child.ts"
import { criticalPath, type Durations, durationsOf, lostWith, type Plan, planOf, type Shape } from "./plan.ts"
import type { Runner } from "./runner.ts"
import { inVirtualTime } from "./virtual.ts"

export type Request =
  | { readonly ask: "cost"; readonly shape: Shape; readonly size: number; readonly atLeastMillis: number }
  | { readonly ask: "makespan"; readonly shape: Shape; readonly size: number; readonly durations: Durations }
  | { readonly ask: "failure"; readonly shape: Shape; readonly size: number }

export interface Failure {
  /** Results that do not hang on the node that failed. */
  readonly possible: number
  readonly kept: number
  /** Nodes without a result, and of how many of them the answer says why. */
  readonly lost: number
  readonly explained: number
}

const output = async (n: number) => ({ n })

const check = (results: ReadonlyMap<string, unknown>, size: number): void => {
  if (results.size !== size) throw new Error(`${results.size} results of ${size} nodes`)
}

/** Microseconds per node of handlers that do nothing, over as many runs as take that long. */
const cost = async ({ run }: Runner, shape: Shape, size: number, atLeastMillis: number): Promise<number> => {
  const { nodes } = planOf(shape, size)
  const started = performance.now()
  let runs = 0
  let millis = 0
  do {
    check((await run(nodes, output)).results, size)
    runs += 1
    millis = performance.now() - started
  } while (millis < atLeastMillis)
  return (millis * 1000) / (runs * size)
}

/** By the critical path. */
const makespan = async ({ run }: Runner, shape: Shape, size: number, durations: Durations) => {
  const plan = planOf(shape, size)
  const takes = durationsOf(durations, size)
  const { millis, value } = await inVirtualTime((sleep) =>
    run(plan.nodes, (n) => sleep(takes[n] ?? 0).then(() => ({ n })))
  )
  check(value.results, size)
  return millis / criticalPath(plan, takes)
}

/** The node on which about half of all hang. */
const failing = (plan: Plan): number => {
  const half = plan.nodes.length / 2
  const far = plan.nodes.map(({ n }) => Math.abs(lostWith(plan, n).size - half))
  return far.indexOf(Math.min(...far))
}

const failure = async ({ run }: Runner, shape: Shape, size: number): Promise<Failure> => {
  const plan = planOf(shape, size)
  const takes = durationsOf("uniform", size)
  const bad = failing(plan)
  const lost = lostWith(plan, bad)
  const work = async (sleep: (millis: number) => Promise<void>, n: number) => {
    await sleep(takes[n] ?? 0)
    if (n === bad) throw new Error("it fails")
    return { n }
  }
  const { value } = await inVirtualTime((sleep) => run(plan.nodes, (n) => work(sleep, n)))
  const isLost = ({ id, n }: { readonly id: string; readonly n: number }) => lost.has(n) && value.explained.has(id)
  return {
    possible: size - lost.size,
    kept: value.results.size,
    lost: lost.size,
    explained: plan.nodes.filter(isLost).length
  }
}

const answer = (runner: Runner, request: Request): Promise<unknown> => {
  switch (request.ask) {
    case "cost":
      return cost(runner, request.shape, request.size, request.atLeastMillis)
    case "makespan":
      return makespan(runner, request.shape, request.size, request.durations)
    case "failure":
      return failure(runner, request.shape, request.size)
  }
}

/** Answers as that peer. */
export const serveRunner = (runner: Runner): void => serve((request) => answer(runner, request as Request))
