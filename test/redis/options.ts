import type { Options } from "../../src/redis/internal/store.ts"

/** Under a `TestClock`: the script's time is the clock's, and every step waits for its answer. */
export const clientClock: Options = {
  maxStaleness: 0,
  storeTimeout: 1_000_000_000,
  flush: 0,
  idleTimeToLive: 3_600_000,
  quorum: 1,
  quorumWindow: 60_000,
  maxPending: 1000,
  isolationLease: 1_000_000,
  retryBase: 100,
  retryCap: 10_000,
  clientClock: true
}
