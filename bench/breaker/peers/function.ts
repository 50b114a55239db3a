/** No breaker: a function around the function, which is the least that any can cost. */
import { answer, promised, serveLoops } from "../timed.ts"

const around = async () => await answer()

serveLoops({ bare: promised(answer), closed: promised(around) })
