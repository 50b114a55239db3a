/** opossum without its time-out. It trips by the failure rate of the last ten seconds, and knows nothing else. */
import CircuitBreaker from "opossum"
import { answer, fail, openMillis, promised, serveLoops } from "../timed.ts"

const options = { timeout: false, resetTimeout: openMillis } as const

const closed = new CircuitBreaker(answer, options)
const open = new CircuitBreaker(fail, options)
await open.fire().catch(() => {})

serveLoops({ bare: promised(answer), closed: promised(() => closed.fire()), open: promised(() => open.fire()) })
