/** cockatiel's `circuitBreaker`. */
import { circuitBreaker, ConsecutiveBreaker, CountBreaker, handleAll } from "cockatiel"
import { answer, fail, openMillis, promised, serveLoops } from "../timed.ts"

const closed = circuitBreaker(handleAll, { halfOpenAfter: openMillis, breaker: new ConsecutiveBreaker(5) })
const rate = circuitBreaker(handleAll, {
  halfOpenAfter: openMillis,
  breaker: new CountBreaker({ threshold: 0.5, size: 100 })
})
const open = circuitBreaker(handleAll, { halfOpenAfter: openMillis, breaker: new ConsecutiveBreaker(5) })
for (let i = 0; i < 5; i++) await open.execute(fail).catch(() => {})

serveLoops({
  bare: promised(answer),
  closed: promised(() => closed.execute(answer)),
  rate: promised(() => rate.execute(answer)),
  open: promised(() => open.execute(answer))
})
