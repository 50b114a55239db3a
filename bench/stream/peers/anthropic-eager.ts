import { serveTurn } from "../turn.ts"
import { anthropic } from "./anthropic.ts"

serveTurn(anthropic(true))
