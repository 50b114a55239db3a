/** Salvo, handlers as a user of Effect writes them. */
import * as Effect from "effect/Effect"
import { serveSalvo } from "../salvo.ts"

serveSalvo((_, n) => Effect.succeed({ n }))
