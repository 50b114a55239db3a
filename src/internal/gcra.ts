/**
 * Rate limiting by the generic cell rate algorithm (ITU-T I.371, virtual scheduling): all that is remembered of the past
 * is the theoretical arrival time (TAT), the moment at which everything granted so far has been paid for at the even
 * rate. Times are milliseconds from some moment not too far away: of today's epoch time a double knows only quarters of a
 * microsecond, and their rounding errors add up. In any span of `t` milliseconds no more than `burst + t * limit / perMillis` are granted.
 */

/** Plain data, read by the stores' scripts too. */
export interface Settings {
  readonly limit: number
  readonly perMillis: number
  readonly burst: number
}

export interface Verdict {
  readonly granted: boolean
  /** From now to the moment it falls due; 0 when that is now. */
  readonly waitMillis: number
  /** The TAT from now on; unchanged where nothing was granted. */
  readonly tat: number
}

/** A microsecond: what falls due now may seem to fall due a moment later, for thirds cannot be added up exactly. */
const slackMillis = 1e-3

/** The time `cost` takes at the even rate. */
export const span = ({ limit, perMillis }: Settings, cost: number): number => (perMillis * cost) / limit

/** Whether a wait is at most `maxMillis`. */
export const fits = (millis: number, maxMillis: number): boolean => millis <= maxMillis + slackMillis

/** Grants `cost` for the first moment at which it is allowed, if that is at most `maxWaitMillis` away. */
export const take = (tat: number, now: number, settings: Settings, cost: number, maxWaitMillis = 0): Verdict => {
  const paid = Math.max(tat, now) + span(settings, cost)
  const early = paid - span(settings, settings.burst) - now
  const waitMillis = early <= slackMillis ? 0 : early
  const granted = fits(waitMillis, maxWaitMillis)
  return { granted, waitMillis, tat: granted ? paid : tat }
}

/**
 * Undoes a grant that left the TAT at `granted`. Where something was granted after it, the TAT stays: the later ones have
 * got their moments already, and a newcomer would be sent into the same.
 */
export const giveBack = (tat: number, granted: number, settings: Settings, cost: number): number =>
  tat === granted ? tat - span(settings, cost) : tat

/** For timers and `Retry-After`: whole milliseconds, never too early. */
export const wholeMillis = (millis: number): number => Math.max(0, Math.ceil(millis - slackMillis))
