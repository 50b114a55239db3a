/** Logs in memory, for as long as the process lives. */
import * as Effect from "effect/Effect"
import { now } from "../../policies/Timeout.ts"
import { JournalError, type JournalStore } from "../../services/JournalStore.ts"
import type { Limits } from "./options.ts"

interface Kept {
  readonly records: Array<string>
  users: number
  usedAt: number
}

export const make = ({ maxAgeMillis, maxLogs }: Limits): JournalStore["Type"] => {
  /** The one that was not used for longest first. */
  const logs = new Map<string, Kept>()

  const use = (name: string, log: Kept, time: number) => {
    log.usedAt = time
    logs.delete(name)
    logs.set(name, log)
  }

  const trim = (time: number) => {
    for (const [name, { usedAt, users }] of logs) {
      if (logs.size <= maxLogs && time - usedAt <= maxAgeMillis) return
      if (users === 0) logs.delete(name)
    }
  }

  return {
    open: (name) =>
      Effect.gen(function* () {
        const time = yield* now
        trim(time)
        const log = logs.get(name) ?? { records: [], users: 0, usedAt: time }
        log.users++
        use(name, log, time)
        trim(time)
        yield* Effect.addFinalizer(() => Effect.sync(() => log.users--))
        return {
          records: [...log.records],
          append: (records) =>
            Effect.flatMap(now, (time) => {
              if (logs.get(name) !== log) return Effect.fail(new JournalError({ log: name, reason: "it was removed" }))
              log.records.push(...records)
              use(name, log, time)
              return Effect.void
            })
        }
      }),
    remove: (name) => Effect.sync(() => void logs.delete(name))
  }
}
