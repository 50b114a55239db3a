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

/** `past` and `recent` for a window of calls, oldest first; `buckets` for a window of time, oldest first. */
export interface Window extends Counts {
  /**
   * The window is the last `size` outcomes of these two. `recent` grows by one with every call and becomes `past` when it
   * is full itself, so that no call copies the window.
   */
  readonly past: string
  readonly recent: string
  readonly buckets: ReadonlyArray<Bucket>
}

export const empty: Window = { calls: 0, failures: 0, slow: 0, past: "", recent: "", buckets: [] }

const isFailure = (code: string) => code === "f" || code === "F"
const isSlow = (code: string) => code === "S" || code === "F"

const failuresOf = (code: string) => (isFailure(code) ? 1 : 0)
const slowOf = (code: string) => (isSlow(code) ? 1 : 0)

/** The outcomes of a window of calls, oldest first. */
export const ring = ({ past, recent }: Window): string => past.slice(recent.length) + recent

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

const ofBuckets = (all: ReadonlyArray<Bucket>): Window => ({ ...sum(all), past: "", recent: "", buckets: all })

/** Without what is too old by now. */
export const current = (window: Window, settings: Settings, now: number): Window => {
  if (settings.window.kind === "calls") return window
  const oldest = bucketId(settings.window.millis, now) - buckets + 1
  if (window.buckets.length === 0 || (window.buckets[0]?.id ?? 0) >= oldest) return window
  return ofBuckets(window.buckets.filter((bucket) => bucket.id >= oldest))
}

const addCall = (window: Window, size: number, code: Code): Window => {
  const isFull = window.recent.length >= size
  const past = isFull ? window.recent : window.past
  const recent = isFull ? code : window.recent + code
  // "" while the window is not full yet.
  const leaves = past.charAt(recent.length - 1)
  return {
    calls: window.calls + (leaves === "" ? 1 : 0),
    failures: window.failures + failuresOf(code) - failuresOf(leaves),
    slow: window.slow + slowOf(code) - slowOf(leaves),
    past,
    recent,
    buckets: window.buckets
  }
}

export const add = (window: Window, settings: Settings, code: Code, now: number): Window => {
  if (settings.window.kind === "calls") return addCall(window, settings.window.size, code)
  const kept = current(window, settings, now)
  const last = kept.buckets.at(-1)
  // A clock that steps back counts into the newest bucket.
  const id = Math.max(bucketId(settings.window.millis, now), last?.id ?? 0)
  const [failures, slow] = [failuresOf(code), slowOf(code)]
  const isIn = last?.id === id
  const grown = kept.buckets.slice(0, isIn ? -1 : undefined)
  grown.push({
    id,
    calls: (isIn ? last.calls : 0) + 1,
    failures: (isIn ? last.failures : 0) + failures,
    slow: (isIn ? last.slow : 0) + slow
  })
  return {
    calls: kept.calls + 1,
    failures: kept.failures + failures,
    slow: kept.slow + slow,
    past: "",
    recent: "",
    buckets: grown
  }
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
    return current(ofBuckets(kept), settings, now)
  }
  const recent = stored.ring.slice(-kind.size)
  const codes = [...recent]
  return {
    calls: codes.length,
    failures: codes.filter(isFailure).length,
    slow: codes.filter(isSlow).length,
    past: "",
    recent,
    buckets: []
  }
}
