/**
 * The recent outcomes of a breaker: the last so many calls, or those of the last so many milliseconds in ten buckets
 * that are rotated when they are looked at, however long nobody looked. Pure, and plain data.
 */
import { buckets, type Settings } from "./settings.ts"

export interface Counts {
  readonly calls: number
  readonly failures: number
  readonly slow: number
}

/** One call: `s` or `f` for success or failure, `S` or `F` where it was slow. */
export type Code = "s" | "f" | "S" | "F"

export const codeOf = (failed: boolean, slow: boolean): Code => (failed ? (slow ? "F" : "f") : slow ? "S" : "s")

export interface Bucket extends Counts {
  /** The bucket's number since the beginning of the clock. */
  readonly id: number
}

/** `ring` for a window of calls, oldest first; `buckets` for a window of time, oldest first. */
export interface Window extends Counts {
  readonly ring: string
  readonly buckets: ReadonlyArray<Bucket>
}

export const empty: Window = { calls: 0, failures: 0, slow: 0, ring: "", buckets: [] }

const isFailure = (code: string) => code === "f" || code === "F"
const isSlow = (code: string) => code === "S" || code === "F"

const plus = (counts: Counts, code: string, by: 1 | -1): Counts => ({
  calls: counts.calls + by,
  failures: counts.failures + (isFailure(code) ? by : 0),
  slow: counts.slow + (isSlow(code) ? by : 0)
})

const bucketId = (millis: number, now: number) => Math.floor((now * buckets) / millis)

const sum = (all: ReadonlyArray<Bucket>): Counts => {
  let [calls, failures, slow] = [0, 0, 0]
  for (const bucket of all) {
    calls += bucket.calls
    failures += bucket.failures
    slow += bucket.slow
  }
  return { calls, failures, slow }
}

/** Without what is too old by now. */
export const current = (window: Window, settings: Settings, now: number): Window => {
  if (settings.window.kind === "calls") return window
  const oldest = bucketId(settings.window.millis, now) - buckets + 1
  if (window.buckets.length === 0 || (window.buckets[0]?.id ?? 0) >= oldest) return window
  const kept = window.buckets.filter((bucket) => bucket.id >= oldest)
  return { ring: "", buckets: kept, ...sum(kept) }
}

export const add = (window: Window, settings: Settings, code: Code, now: number): Window => {
  if (settings.window.kind === "calls") {
    const added = plus(window, code, 1)
    const ring = window.ring + code
    return added.calls > settings.window.size
      ? { ...plus(added, ring[0] ?? "", -1), ring: ring.slice(1), buckets: [] }
      : { ...added, ring, buckets: [] }
  }
  const kept = current(window, settings, now)
  const last = kept.buckets.at(-1)
  // A clock that steps back counts into the newest bucket.
  const id = Math.max(bucketId(settings.window.millis, now), last?.id ?? 0)
  const grown =
    last?.id === id
      ? [...kept.buckets.slice(0, -1), { id, ...plus(last, code, 1) }]
      : [...kept.buckets, { id, ...plus(empty, code, 1) }]
  return { ring: "", buckets: grown, ...plus(kept, code, 1) }
}

/** The buckets numbered by how many buckets ago they were. */
export const aged = (window: Window, settings: Settings, now: number): ReadonlyArray<Bucket> => {
  const { window: kind } = settings
  return kind.kind === "calls"
    ? []
    : window.buckets.map((bucket) => ({ ...bucket, id: bucketId(kind.millis, now) - bucket.id }))
}

/** A window from what was stored of it. */
export const restored = (
  stored: { readonly ring: string; readonly buckets: ReadonlyArray<Bucket> },
  settings: Settings,
  now: number
): Window => {
  const { window: kind } = settings
  if (kind.kind === "time") {
    const kept = stored.buckets.map((bucket) => ({ ...bucket, id: bucketId(kind.millis, now) - bucket.id }))
    return current({ ring: "", buckets: kept, ...sum(kept) }, settings, now)
  }
  const ring = stored.ring.slice(-kind.size)
  return { ring, buckets: [], ...[...ring].reduce<Counts>((counts, code) => plus(counts, code, 1), sum([])) }
}
