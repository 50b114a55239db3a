/** The calls of a batch and who waits for whom: edges from `dependsOn`, `after`, references and shared resources. */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Reference from "../Reference.ts"
import * as ToolError from "../ToolError.ts"
import * as Failed from "./failed.ts"
import * as Graph from "./graph.ts"
import * as Names from "./names.ts"
import * as Node from "./node.ts"

export interface Roster {
  readonly nodes: ReadonlyArray<Node.Node>
  /** Adds a call. Whoever waits for one of that name now waits for this one. */
  readonly add: (own: Node.Own, label: string | undefined, resource: string | undefined) => Node.Node
  /** The position of the call that a reference names. */
  readonly find: (name: string) => number | undefined
  /** Whoever waited for this call does so no longer. */
  readonly landed: (node: Node.Node) => void
  /**
   * No call comes any more: whoever waits for one that is not there, or for itself, is refused, and whoever waited for
   * this moment goes on.
   */
  readonly seal: () => void
}

const none: ReadonlyArray<number> = []

/** Nothing, or too much, has the name that a call needs. */
const unresolved = ({ kind, name, raw = name }: Node.Target, nodes: ReadonlyArray<Node.Node>): Failed.Failed => {
  const calls = Reference.calls(nodes.map(({ call, parsed }) => ({ id: call.id, label: parsed?.label })))
  const found = calls.byId.get(name)?.length ?? 0
  const byId = found === 0 ? "no call of this turn has that id" : `${found} calls of this turn have that id`
  const error = kind === "any" ? Either.getLeft(Reference.lookUp({ raw, target: name }, calls)) : Option.none()
  return Failed.of(Option.getOrElse(error, () => new ToolError.UnresolvedReference({ reference: raw, reason: byId })))
}

/** What a longer cycle is told by; the model reads no more of it. */
const shownOfCycle = 64

const idsOf = (cycle: ReadonlyArray<number>, nodes: ReadonlyArray<Node.Node>): ReadonlyArray<string> => {
  const ids = cycle.slice(0, shownOfCycle).map((member) => nodes[member]?.call.id ?? "")
  return cycle.length > shownOfCycle ? [...ids, `(${cycle.length - shownOfCycle} more)`] : ids
}

const toolsBefore = (node: Node.Node): ReadonlyArray<string> =>
  Either.isRight(node.looked) ? node.looked.right.tool.definition.after : []

/** `enqueue` is told of every call that waits for nothing any more. */
export const make = (enqueue: (node: Node.Node) => void): Roster => {
  const nodes: Array<Node.Node> = []
  const names = Names.make()
  const lastOf = new Map<string, Node.Node>()

  const isPending = (node: Node.Node) => node.result === undefined && node.job === undefined && !node.queued

  const wait = (node: Node.Node, other: Node.Node): void => {
    if (other.result !== undefined) return
    other.awaitedBy = Node.push(other.awaitedBy, node)
    node.unmet++
  }

  const need = (node: Node.Node, { isReference }: Pick<Node.Target, "isReference">, other: Node.Node): void => {
    if (isReference) node.references = Node.push(node.references, other.index)
    if (node.needs.includes(other.index)) return
    node.needs = Node.push(node.needs, other.index)
    wait(node, other)
  }

  const release = (node: Node.Node): void => {
    // A call that was refused is in the queue already.
    if (--node.unmet === 0 && node.refused === undefined) enqueue(node)
  }

  const refuse = (node: Node.Node, failed: Failed.Failed): void => {
    node.refused ??= failed
    enqueue(node)
  }

  /** Those who asked for a name that was not there yet wait for its call instead. */
  const answer = (asked: ReadonlyArray<Names.Expecting>, node: Node.Node): void => {
    for (const { by, name } of asked) {
      const waiting = nodes[by]
      if (waiting === undefined) continue
      for (const target of waiting.targets) if (target.name === name) need(waiting, target, node)
      waiting.expected--
      release(waiting)
    }
  }

  const needTargets = (node: Node.Node): void => {
    let expected: Set<string> | undefined
    for (const target of node.targets) {
      const { kind, name } = target
      const [found] = names.find(name, kind)
      const other = found === undefined ? undefined : nodes[found]
      if (other !== undefined) need(node, target, other)
      else if (expected?.has(`${kind} ${name}`) !== true) {
        expected = (expected ?? new Set()).add(`${kind} ${name}`)
        names.expect(name, kind, node.index)
        node.expected++
        node.unmet++
      }
    }
  }

  const add: Roster["add"] = (own, label, resource) => {
    const { id } = own.call
    const node = new Node.Node(own, nodes.length, names.find(id, "id").length)
    nodes.push(node)
    const asked = names.add(node.index, id, label)
    answer(asked, node)
    // What is wrong with a call itself is told at once, whatever it would have waited for.
    if (node.refused !== undefined) {
      enqueue(node)
      return node
    }
    if (own.targets.length > 0) needTargets(node)
    if (resource !== undefined) {
      const before = lastOf.get(resource)
      if (before !== undefined && before.result === undefined) {
        node.after = before.index
        wait(node, before)
      }
      lastOf.set(resource, node)
    }
    if (node.unmet === 0) enqueue(node)
    return node
  }

  const refuseUnresolved = (node: Node.Node): void => {
    for (const target of node.targets) {
      const found = names.find(target.name, target.kind)
      if (found.length !== 1) return refuse(node, unresolved(target, nodes))
    }
  }

  const needTools = (node: Node.Node): void => {
    const before = toolsBefore(node)
    if (before.length === 0) return
    for (const other of nodes)
      if (other !== node && before.includes(other.call.name)) need(node, { isReference: false }, other)
  }

  const refuseCycles = (): void => {
    const needs = nodes.map((node) => (isPending(node) ? node.needs : none))
    for (const [i, cycle] of Graph.cycles(needs)) {
      const node = nodes[i]
      if (node !== undefined) refuse(node, Failed.of(new ToolError.DependencyCycle({ cycle: idsOf(cycle, nodes) })))
    }
  }

  const untangle = (): void => {
    if (lastOf.size === 0) return
    const pending = nodes.map((node) => isPending(node))
    const after = new Map(
      nodes.flatMap((node, i) => (pending[i] && node.after !== undefined ? [[i, node.after] as const] : []))
    )
    const needs = nodes.map((node, i) => (pending[i] ? node.needs : none))
    for (const i of Graph.tangled(needs, after)) {
      const node = nodes[i]
      const before = nodes[node?.after ?? -1]
      if (node === undefined || before === undefined) continue
      const place = before.awaitedBy.indexOf(node)
      before.awaitedBy = before.awaitedBy.toSpliced(place, 1)
      node.after = undefined
      release(node)
    }
  }

  const seal = (): void => {
    if (!names.isClear()) for (const node of nodes) if (isPending(node)) refuseUnresolved(node)
    for (const node of nodes) if (isPending(node)) needTools(node)
    refuseCycles()
    untangle()
    for (const node of nodes) if (node.waitsForSeal) release(node)
  }

  const landed = (node: Node.Node): void => {
    for (const waiting of node.awaitedBy) release(waiting)
  }

  return {
    nodes,
    add,
    find: (name) => names.find(name, "any")[0],
    landed,
    seal
  }
}
