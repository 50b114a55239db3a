/** What a runner keeps from batch to batch. */
import * as Effect from "effect/Effect"
import type * as OutputStore from "../services/OutputStore.ts"
import type * as Tool from "../Tool.ts"
import type { Toolbox } from "../Toolbox.ts"
import * as Guards from "./guards.ts"
import { resolve, type Resolved } from "./resolve.ts"
import * as Resources from "./resources.ts"

/** A tool's policy with everything decided, and what its calls share. */
export interface Protection {
  readonly policy: Resolved
  readonly guards: Guards.Guards
}

/** What a batch uses of its runner. */
export interface Runner {
  /** The policy under the tools of a toolbox. */
  readonly under: (toolbox: Toolbox) => Resolved
  readonly protectionOf: (definition: Tool.Definition, under: Resolved) => Effect.Effect<Protection>
  readonly resources: Resources.Resources
  readonly outputStore: OutputStore.OutputStore["Type"] | undefined
}

export interface Services extends Guards.Services {
  readonly outputStore: OutputStore.OutputStore["Type"] | undefined
}

/** What is there under the key, made where it is not. */
const within = <Key extends WeakKey, A>(map: WeakMap<Key, A>, key: Key, make: () => A): A => {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}

/** Policies are resolved and guards made once: for every set of services, toolbox policy and tool. */
export const make = (defaults: Resolved): ((services: Services) => Runner) => {
  const guards = Guards.registry()
  const resources = Resources.make()
  const resolved = new WeakMap<Toolbox["policy"], Resolved>()
  const protections = new WeakMap<object, WeakMap<object, WeakMap<Resolved, Map<Tool.Definition, Protection>>>>()

  const under: Runner["under"] = ({ policy }) => {
    const known = resolved.get(policy) ?? resolve(policy, defaults)
    resolved.set(policy, known)
    return known
  }

  const knownTo = ({ breakers, limiter }: Services, under: Resolved): Map<Tool.Definition, Protection> => {
    const ofBreakers = within(protections, breakers, () => new WeakMap())
    const ofLimiter = within(ofBreakers, limiter, () => new WeakMap())
    return within(ofLimiter, under, () => new Map())
  }

  return (services) => ({
    under,
    protectionOf: (definition, under) => {
      const known = knownTo(services, under)
      const protection = known.get(definition)
      if (protection !== undefined) return Effect.succeed(protection)
      const policy = resolve(definition.policy, under)
      return Effect.map(guards.make(definition, policy, services), (guards) => {
        const made = { policy, guards }
        known.set(definition, made)
        return made
      })
    },
    resources,
    outputStore: services.outputStore
  })
}

/** The names of the tools whose circuit lets nothing through now. */
export const unavailable = (runner: Runner, toolbox: Toolbox): Effect.Effect<ReadonlySet<string>> =>
  Effect.gen(function* () {
    const names = new Set<string>()
    for (const { definition } of toolbox.tools) {
      const { guards } = yield* runner.protectionOf(definition, runner.under(toolbox))
      const mode = guards.breaker === undefined ? "Closed" : (yield* guards.breaker.state).mode
      if (mode === "Open" || mode === "Isolated") names.add(definition.name)
    }
    return names
  })
