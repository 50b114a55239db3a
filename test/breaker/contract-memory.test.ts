import * as Effect from "effect/Effect"
import * as Memory from "../../src/internal/breaker/memory.ts"
import { contract, process } from "./contract.ts"

contract({
  name: "memory",
  processes: (count) => Effect.map(process(Memory.make), (only) => Array.from({ length: count }, () => only))
})
