/**
 * How many further executions a dependency can stand (retries, hedges): a part of the first attempts, with a floor for
 * quiet times and a cap on what can be saved up.
 *
 * Every first attempt puts something in the moment it begins, so that many at once do not find an empty bucket; every
 * further execution takes 1 out. Where there is less than 1, the floor grants a few per span of time anyway.
 */
import * as Effect from "effect/Effect"
import { now } from "../policies/Timeout.ts"

export interface Options {
  /** What a first attempt puts in. */
  readonly ratio: number
  /** So many per `floorMillis` are granted whatever the balance. */
  readonly floor: number
  readonly floorMillis: number
  /** The most that can be saved up. */
  readonly cap: number
}

export interface Budget {
  /** Takes no fiber's time: every call does it. */
  readonly deposit: () => void
  /** Takes 1 out; answers whether that was possible. */
  readonly withdraw: Effect.Effect<boolean>
  /** How many withdrawals are possible now. */
  readonly available: Effect.Effect<number>
}

/** Counted in millionths: ten times 0.1 is less than 1. */
const unit = 1_000_000

export interface State {
  readonly balance: number
  /** When the floor was last made use of, on the monotonic clock. */
  readonly granted: ReadonlyArray<number>
}

export const empty: State = { balance: 0, granted: [] }

export const deposited = (state: State, { cap, ratio }: Options): State => {
  const most = Math.round(cap * unit)
  return state.balance === most
    ? state
    : { ...state, balance: Math.min(most, state.balance + Math.round(ratio * unit)) }
}

const recent = ({ granted }: State, { floorMillis }: Options, time: number): ReadonlyArray<number> =>
  granted.filter((at) => time - at < floorMillis)

export const withdrawn = (state: State, options: Options, time: number): readonly [granted: boolean, State] => {
  if (state.balance >= unit) return [true, { ...state, balance: state.balance - unit }]
  const granted = recent(state, options, time)
  return granted.length < options.floor
    ? [true, { ...state, granted: [...granted, time] }]
    : [false, { ...state, granted }]
}

export const left = (state: State, options: Options, time: number): number =>
  Math.floor(state.balance / unit) + Math.max(0, options.floor - recent(state, options, time).length)

export const make = (options: Options): Budget => {
  let state = empty
  return {
    deposit: () => {
      state = deposited(state, options)
    },
    withdraw: Effect.map(now, (time) => {
      const [granted, next] = withdrawn(state, options, time)
      state = next
      return granted
    }),
    available: Effect.map(now, (time) => left(state, options, time))
  }
}
