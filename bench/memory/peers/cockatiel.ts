/** cockatiel: retry around a circuit breaker around a deadline. */
import {
  circuitBreaker,
  ConsecutiveBreaker,
  ExponentialBackoff,
  handleAll,
  retry,
  timeout,
  TimeoutStrategy,
  wrap
} from "cockatiel"
import { serveBatches } from "../held.ts"
import { settled } from "./settled.ts"

const policy = wrap(
  retry(handleAll, { maxAttempts: 2, backoff: new ExponentialBackoff() }),
  circuitBreaker(handleAll, { halfOpenAfter: 10_000, breaker: new ConsecutiveBreaker(5) }),
  timeout(30_000, TimeoutStrategy.Aggressive)
)

serveBatches(async ({ run }) => settled((input) => policy.execute(({ signal }) => run(input, signal))))
