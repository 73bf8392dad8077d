import { asRecord } from '../../../kernel/is-record.ts'
import { dayMicros } from '../../../kernel/values/time.ts'

/** Silences of this many days are remembered, so that a week has its weekend. */
const days = 8
/** Before it has watched for so long, nothing is usual. */
const minWatchedMicros = dayMicros
/** A source that is busy at all hours needs no week to be known. */
const busyMicros = 3_600_000_000
/** Silences that were too long are usual once they ended on this many of those days: the source has another rhythm. */
const minOutageDays = 3

/** The longest silence that ended on a day, by day since 1970. */
type ByDay = Readonly<Record<string, number>>

/** The silences of a source that the check stores. Epoch microseconds and microseconds. */
export interface Silences {
  readonly watchedSince: number
  /** The newest event so far; null: there was none. */
  readonly newest: number | null
  /** How long the source has been silent since. */
  readonly silent: number
  readonly longest: ByDay
  /** Silences that were too long when they ended. One outage must not hide the next. */
  readonly outages: ByDay
}

export interface SilenceLimits {
  /** Longer than this many times the usual silence is too long, */
  readonly factor: number
  /** if it is longer than this, too. */
  readonly minMicros: number
}

export interface SilenceVerdict {
  readonly silences: Silences
  /** The longest silence of the last days that has ended; null: too little is known yet. */
  readonly usual: number | null
  /** A longer silence is too long; null: too little is known yet. */
  readonly threshold: number | null
}

/**
 * Takes in what the newest event is now.
 *
 * @param before null: it was not watched before
 * @param newestNow not later than now
 */
export function followSilence(before: Silences | null, newestNow: number | null, now: number, limits: SilenceLimits): SilenceVerdict {
  const watchedSince = before?.watchedSince ?? now
  const known = before?.newest ?? null
  const newest = newestNow === null ? known : Math.max(newestNow, known ?? newestNow)
  const silent = newest === null ? 0 : Math.max(0, now - newest)
  const today = Math.floor(now / dayMicros)
  const recent = (byDay: ByDay = {}) => Object.fromEntries(Object.entries(byDay).filter(([day]) => Number(day) > today - days))
  const longest = recent(before?.longest)
  const outages = recent(before?.outages)
  if (before !== null && newest !== known) {
    // the event that ended a silence may be older than the moment at which it is seen
    const ended = Math.max(before.silent, silent)
    const { threshold } = limitOf(longest, outages, now - watchedSince, limits)
    const ofDay = threshold !== null && ended > threshold ? outages : longest
    ofDay[today] = Math.max(ofDay[today] ?? 0, ended)
  }
  return { silences: { watchedSince, newest, silent, longest, outages }, ...limitOf(longest, outages, now - watchedSince, limits) }
}

function limitOf(longest: ByDay, outages: ByDay, watched: number, { factor, minMicros }: SilenceLimits) {
  const isRhythm = Object.keys(outages).length >= minOutageDays
  const usual = Math.max(0, ...Object.values(longest), ...(isRhythm ? Object.values(outages) : []))
  const isKnown = usual > 0 && watched >= minWatchedMicros && (usual < busyMicros || watched >= (days - 1) * dayMicros)
  return isKnown ? { usual, threshold: Math.max(factor * usual, minMicros) } : { usual: null, threshold: null }
}

/** Silences as an evaluation stored them; null: the value is something else. */
export function silencesOf(stored: unknown): Silences | null {
  const { watchedSince, newest, silent, longest, outages } = asRecord(stored)
  if (typeof watchedSince !== 'number' || typeof silent !== 'number' || (newest !== null && typeof newest !== 'number')) return null
  return { watchedSince, newest, silent, longest: byDayOf(longest), outages: byDayOf(outages) }
}

function byDayOf(stored: unknown): ByDay {
  return Object.fromEntries(Object.entries(asRecord(stored)).flatMap(([day, of]) => (typeof of === 'number' ? [[day, of] as const] : [])))
}
