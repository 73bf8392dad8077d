import { LockstepError } from '../errors.ts'
import { maxMicros } from './value-type.ts'

/** Microseconds between 1970-01-01 and 2000-01-01 UTC, the epoch of PostgreSQL. */
export const postgresEpochMicros = 946_684_800_000_000

export const minuteMicros = 60_000_000
export const hourMicros = 3_600_000_000
export const dayMicros = 86_400_000_000

const pattern = /^(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*([Zz]|[+-]\d\d(?::?\d\d)?)?)?$/
const daysInMonth = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/**
 * Parses an ISO 8601 / RFC 3339 time into epoch microseconds. Without a zone it is UTC. Digits after the sixth decimal
 * are cut, not rounded, because PostgreSQL's binary format has no place for them.
 *
 * @throws LockstepError `INVALID_TIME` naming the text
 */
export function parseTimestamp(text: string): number {
  const parts = pattern.exec(text.trim())
  if (parts === null) throw invalid(text)
  const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', zone = 'Z'] = parts
  const [y, mo, d, h, mi, s] = [Number(year), Number(month), Number(day), Number(hour), Number(minute), Number(second)]
  const leap = (y % 4 === 0 && y % 100 !== 0) || y % 400 === 0
  const days = mo === 2 && leap ? 29 : daysInMonth[mo - 1]
  if (days === undefined || d < 1 || d > days || h > 23 || mi > 59 || s > 59) throw invalid(text)
  const offset = zoneMinutes(zone)
  if (offset === null) throw invalid(text)
  const base = new Date(0)
  base.setUTCFullYear(y, mo - 1, d)
  const millis = base.getTime() + ((h * 60 + mi) * 60 + s) * 1000 - offset * 60_000
  return checkMicros(millis * 1000 + Number(fraction.padEnd(6, '0').slice(0, 6)), text)
}

/**
 * Refuses a number that is hardly meant in microseconds: seconds and milliseconds of 1973 to 5138 would be times of the
 * early 1970s.
 *
 * @throws LockstepError `INVALID_TIME`; `what` names the place
 */
export function requireMicros(time: number, what: string): void {
  if (time < 1e8 || time >= 1e14) return
  throw new LockstepError(
    'INVALID_TIME',
    `${what} is ${time}, which in microseconds is a time in the early 1970s. Convert seconds or milliseconds to microseconds, or write the time as 2001-07-01T00:00:00Z.`,
  )
}

/** The days formatted last, by their last six bits: requests and rows mostly have times of a few days. */
const cachedDays = new Array<number>(64).fill(Number.NaN)
const dayTexts = new Array<string>(64).fill('')
/** By minute of the day, as in `23:59:`. */
const minuteTexts = Array.from({ length: 1440 }, (_, i) => `${padded(Math.floor(i / 60), 2)}:${padded(i % 60, 2)}:`)
const secondTexts = Array.from({ length: 60 }, (_, i) => padded(i, 2))
const thousandths = Array.from({ length: 1000 }, (_, i) => padded(i, 3))

/**
 * RFC 3339 in UTC with as many decimals as needed, six at most: `2001-07-01T00:00:00Z`, `2001-07-01T00:00:00.000001Z`.
 */
export function formatTimestamp(micros: number): string {
  const second = Math.floor(micros / 1_000_000)
  const fraction = micros - second * 1_000_000
  if (fraction === 0) return `${secondText(second)}Z`
  const digits = fractionDigits(fraction)
  let end = digits.length
  while (digits.charCodeAt(end - 1) === 0x30) end--
  return `${secondText(second)}.${digits.slice(0, end)}Z`
}

/** The same with six decimals or none, because some parsers accept no other number of them. */
export function formatTimestampFully(micros: number): string {
  const second = Math.floor(micros / 1_000_000)
  const fraction = micros - second * 1_000_000
  return fraction === 0 ? `${secondText(second)}Z` : `${secondText(second)}.${fractionDigits(fraction)}Z`
}

/** @param second seconds since 1970 */
function secondText(second: number): string {
  const day = Math.floor(second / 86_400)
  const slot = day & 63
  if (cachedDays[slot] !== day) {
    dayTexts[slot] = new Date(day * 86_400_000).toISOString().slice(0, 11) // always as in 2001-07-01T
    cachedDays[slot] = day
  }
  const ofDay = second - day * 86_400
  const minute = Math.floor(ofDay / 60)
  return `${dayTexts[slot]}${minuteTexts[minute]}${secondTexts[ofDay - minute * 60]}`
}

/** Six digits. */
function fractionDigits(fraction: number): string {
  const millis = Math.floor(fraction / 1000)
  return `${thousandths[millis]}${thousandths[fraction - millis * 1000]}`
}

function padded(number: number, digits: number): string {
  return String(number).padStart(digits, '0')
}

/** Refuses a time that a number of microseconds cannot hold exactly. The error names its origin. */
export function checkMicros(micros: number, what: string): number {
  if (!Number.isSafeInteger(micros)) {
    throw new LockstepError(
      'INVALID_TIME',
      `The time "${what}" is outside +-2^53 microseconds from 1970 (about the years 1684 to 2255); correct it.`,
    )
  }
  return micros
}

/** The greatest multiple of `step` at or below `micros` (mathematical floor, also before 1970). */
export function floorTo(micros: number, step: number): number {
  return Math.floor(micros / step) * step
}

export const endOfTime = maxMicros

/** null: there is none such. */
function zoneMinutes(zone: string): number | null {
  if (zone === 'Z' || zone === 'z') return 0
  const [hours, rest] = [Number(zone.slice(1, 3)), Number(zone.slice(3).replace(':', '') || '0')]
  if (hours > 23 || rest > 59) return null
  const minutes = hours * 60 + rest
  return zone.startsWith('-') ? -minutes : minutes
}

function invalid(text: string): LockstepError {
  return new LockstepError('INVALID_TIME', `"${text}" is not a time; write it as 2001-07-01T00:00:00Z (a time without a zone is UTC).`)
}
