/** Salvo, handlers that are async functions, as those of all other peers are. */
import * as Effect from "effect/Effect"
import { serveSalvo } from "../salvo.ts"

serveSalvo((work) => Effect.promise(work))
