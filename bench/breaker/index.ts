/** Circuit breakers: what one adds to a call, in process and where many processes share it through Redis. */
import { inProcess } from "./in-process.ts"
import { throughRedis } from "./redis/index.ts"

export const run = async ({
  rounds,
  smoke
}: {
  readonly rounds: number
  readonly smoke: boolean
}): Promise<unknown> => {
  const local = await inProcess(rounds, smoke)
  const shared = await throughRedis(rounds, smoke)
  const errors = [...local.errors, ...shared.errors]
  return {
    "in process, microseconds per call": local.rows,
    "through Redis": shared.rows,
    ...(errors.length === 0 ? {} : { errors })
  }
}
