import { asRecord } from '../../../kernel/is-record.ts'

const dayMicros = 86_400_000_000
/** Silences of this many days are remembered, so that a week has its weekend. */
const days = 8
/** Before it has watched for so long, nothing is usual. */
const minWatchedMicros = dayMicros
/** A source that is busy at all hours needs no week to be known. */
const busyMicros = 3_600_000_000

/** What is remembered of a source. Epoch microseconds and microseconds. */
export interface Silences {
  readonly watchedSince: number
  /** The newest event so far; null: there was none. */
  readonly newest: number | null
  /** How long the source has been silent since. */
  readonly silent: number
  /** By day, the longest silence that ended on it. */
  readonly longest: Readonly<Record<string, number>>
}

export interface SilenceVerdict {
  readonly silences: Silences
  /** The longest silence of the last days that has ended; null: too little is known yet. */
  readonly usual: number | null
}

/** Takes in what the newest event is now. @param before null: it was not watched before */
export function followSilence(before: Silences | null, newestNow: number | null, now: number): SilenceVerdict {
  const watchedSince = before?.watchedSince ?? now
  const known = before?.newest ?? null
  const newest = newestNow === null ? known : Math.max(newestNow, known ?? newestNow)
  const silent = newest === null ? 0 : Math.max(0, now - newest)
  const today = Math.floor(now / dayMicros)
  const longest = Object.fromEntries(Object.entries(before?.longest ?? {}).filter(([day]) => Number(day) > today - days))
  // the event that ended a silence may be older than the moment at which it is seen
  if (before !== null && newest !== known) longest[today] = Math.max(longest[today] ?? 0, before.silent, silent)
  const usual = Math.max(0, ...Object.values(longest))
  const watched = now - watchedSince
  const isKnown = usual > 0 && watched >= minWatchedMicros && (usual < busyMicros || watched >= (days - 1) * dayMicros)
  return { silences: { watchedSince, newest, silent, longest }, usual: isKnown ? usual : null }
}

/** What an evaluation has stored; null: it is something else. */
export function silencesOf(stored: unknown): Silences | null {
  const { watchedSince, newest, silent, longest } = asRecord(stored)
  if (typeof watchedSince !== 'number' || typeof silent !== 'number' || (newest !== null && typeof newest !== 'number')) return null
  const byDay = Object.entries(asRecord(longest)).flatMap(([day, of]) => (typeof of === 'number' ? [[day, of] as const] : []))
  return { watchedSince, newest, silent, longest: Object.fromEntries(byDay) }
}
