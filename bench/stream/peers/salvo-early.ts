import { serveTurn } from "../turn.ts"
import { salvo } from "./salvo.ts"

serveTurn(salvo(true))
