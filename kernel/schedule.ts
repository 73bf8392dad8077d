import { LockstepError } from './errors.ts'
import { dayMicros, minuteMicros } from './values/time.ts'

/** The rarest cron schedule, 29 February on one weekday, recurs within 40 years. */
const searchDays = 366 * 40

/** A parsed cron schedule in UTC. */
export interface Schedule {
  readonly text: string
  /** The first scheduled instant at or after `micros`, in epoch microseconds. */
  at(micros: number): number
}

/**
 * Parses a five-field cron expression in UTC: minute, hour, day of month, month, day of week. Lists, ranges, steps and
 * names are allowed; 0 and 7 are Sunday. If both day fields are restricted, a day that matches either one counts, as in
 * POSIX cron.
 *
 * @throws LockstepError `INVALID_SCHEDULE` naming the text
 */
export function parseSchedule(text: string): Schedule {
  const fields = text.trim().split(/\s+/)
  if (fields.length !== 5) throw invalid(text, `it has ${fields.length} fields, but needs five (minute hour day month weekday)`)
  const field = (i: number): Field => parseField(fields[i] as string, fieldRanges[i] as FieldRange, text)
  const [minutes, hours, days, months, weekdays] = [field(0), field(1), field(2), field(3), field(4)]
  const weekday = new Set([...weekdays.values].map((d) => d % 7))
  const instants: number[] = []
  for (const hour of sorted(hours)) for (const minute of sorted(minutes)) instants.push((hour * 60 + minute) * minuteMicros)
  const matchesDay = (day: number): boolean => {
    const date = new Date(day * (dayMicros / 1000))
    if (!months.values.has(date.getUTCMonth() + 1)) return false
    const byDate = days.values.has(date.getUTCDate())
    const byWeekday = weekday.has(date.getUTCDay())
    return days.any || weekdays.any ? byDate && byWeekday : byDate || byWeekday
  }

  const search = (micros: number): number => {
    let day = Math.floor(micros / dayMicros)
    let rest = micros - day * dayMicros
    for (let i = 0; i < searchDays; i++, day++, rest = 0) {
      if (!matchesDay(day)) continue
      const instant = firstAtOrAfter(instants, rest)
      if (instant !== undefined) return day * dayMicros + instant
    }
    return Number.POSITIVE_INFINITY
  }
  if (search(0) === Number.POSITIVE_INFINITY) throw invalid(text, 'no day ever matches it')

  // Rows arrive nearly in order, so the answer for (previous instant, instant] is cached.
  let above = Number.POSITIVE_INFINITY
  let answer = Number.NEGATIVE_INFINITY
  return {
    text,
    at(micros) {
      if (micros > above && micros <= answer) return answer
      answer = search(micros)
      above = micros - 1
      return answer
    },
  }
}

interface Field {
  readonly values: ReadonlySet<number>
  readonly any: boolean
}
interface FieldRange {
  readonly name: string
  readonly min: number
  readonly max: number
  readonly names: readonly string[]
}
const fieldRanges: readonly FieldRange[] = [
  { name: 'minute', min: 0, max: 59, names: [] },
  { name: 'hour', min: 0, max: 23, names: [] },
  { name: 'day of month', min: 1, max: 31, names: [] },
  { name: 'month', min: 1, max: 12, names: ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'] },
  { name: 'weekday', min: 0, max: 7, names: ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] },
]

function parseField(field: string, range: FieldRange, text: string): Field {
  const values = new Set<number>()
  for (const part of field.split(',')) {
    const match = /^(?:(\*)|(\w+)(?:-(\w+))?)(?:\/(\d+))?$/.exec(part)
    if (match === null) throw invalid(text, `"${part}" is no ${range.name}`)
    const [, star, from, to, step] = match
    const first = star === undefined ? numberOf(from as string, range, text) : range.min
    const open = star !== undefined || (to === undefined && step !== undefined)
    const last = to !== undefined ? numberOf(to, range, text) : open ? (range.name === 'weekday' ? 6 : range.max) : first
    const stride = step === undefined ? 1 : Number(step)
    if (stride < 1 || first > last) throw invalid(text, `"${part}" is not a range of ${range.name}s`)
    for (let value = first; value <= last; value += stride) values.add(value)
  }
  return { values, any: field.startsWith('*') }
}

function numberOf(word: string, range: FieldRange, text: string): number {
  const named = range.names.indexOf(word.toLowerCase())
  const value = named >= 0 ? named + (range.name === 'month' ? 1 : 0) : /^\d+$/.test(word) ? Number(word) : Number.NaN
  if (!(value >= range.min && value <= range.max)) throw invalid(text, `"${word}" is not a ${range.name} (${range.min} to ${range.max})`)
  return value
}

function firstAtOrAfter(ascending: readonly number[], value: number): number | undefined {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((ascending[middle] as number) >= value) high = middle
    else low = middle + 1
  }
  return ascending[low]
}

function sorted(field: Field): number[] {
  return [...field.values].sort((a, b) => a - b)
}

function invalid(text: string, why: string): LockstepError {
  return new LockstepError(
    'INVALID_SCHEDULE',
    `The schedule "${text}" cannot be read: ${why}. Write five cron fields in UTC, such as "*/5 * * * *".`,
  )
}
