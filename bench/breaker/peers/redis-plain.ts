/** What one writes first: a `GET` of the count before every call, an `INCR` of it after a failure. It has no half-open. */
import { Redis } from "ioredis"
import { consecutive, dependency, failing, openMillis, serveProcess, type Timed } from "../redis/process.ts"

const timed = async (call: () => Promise<boolean>): Promise<Timed> => {
  const started = performance.now()
  const refused = await call()
  return { millis: performance.now() - started, refused }
}

serveProcess(["closed", "open"], async (port) => {
  const redis = new Redis(port, "127.0.0.1")
  await redis.ping()
  return {
    ping: () => redis.ping(),
    bare: () => timed(() => dependency().then(() => false)),
    call: (mode, key, fails) =>
      timed(async () => {
        if (Number(await redis.get(key)) >= consecutive) return true
        try {
          await (fails ? failing() : dependency())
        } catch {
          await redis.incr(key)
          await redis.pexpire(key, openMillis(mode))
        }
        return false
      })
  }
})
