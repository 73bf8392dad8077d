/** The rules of time in DuckDB's SQL, over its own copy of the flights. All times are epoch microseconds. */

const minute = 60_000_000
const hour = 60 * minute
const day = 24 * hour

export interface StatedWindow {
  readonly name: string
  readonly micros: number
  readonly hopMicros: number
}

export const statedWindows: readonly StatedWindow[] = [
  { name: '1h', micros: hour, hopMicros: 5 * minute },
  { name: '6h', micros: 6 * hour, hopMicros: 5 * minute },
  { name: '24h', micros: day, hopMicros: hour },
  { name: '7d', micros: 7 * day, hopMicros: hour },
]

/** The tail of a sawtooth window. */
export function sawtoothTail({ micros, hopMicros }: StatedWindow): string {
  return `floor_to(moment - ${micros}, ${hopMicros})`
}

/** The flights as the file has them. `reading` is a whole number, null, or NaN. */
export function copyOfFlights(file: string): readonly string[] {
  return [
    `create macro floor_to(x, hop) as x - ((x % hop) + hop) % hop`,
    `create table flights as
      select file_row_number + 1 as flight, epoch_us(date) as date, origin, destination, distance,
        case when delay > 400 then 'NaN'::double when distance % 50 <> 0 then delay::double end as reading,
        case when distance % 70 <> 0 then epoch_us(date) + 1_000_000 * (delay * 60 + distance * 36 // 5) end as landed_at
      from read_parquet('${file}', file_row_number = true)`,
  ]
}

/**
 * The rows of the sources: `departed` are known when they happen, `arrived` when they land, and in `refreshed` they are
 * seen after a refresh. `place` is where a row stands in the one order of rows: by event time, known time and row. No
 * two rows have one place.
 */
export const rowsOfSources: readonly string[] = [
  rows('departed', 'origin', 'date'),
  rows('arrived', 'destination', 'coalesce(landed_at, date)'),
  `create table refreshes as
    select epoch_us(i) as instant from generate_series(timestamp '2000-12-31', timestamp '2001-07-05', interval '20 minutes') s (i)
    where hour(i) between 5 and 22`,
  `create table refreshed as
    select * exclude (instant) replace (instant + 90_000_000 as visible) from arrived asof join refreshes on visible <= instant`,
]

function rows(source: string, key: string, known: string): string {
  return `
    create table ${source} as
      select flight, ${key} as key, date as event, ${known} as known, greatest(event, known) as visible,
        (event::hugeint * 1125899906842624 + known) * 4194304 + flight as place,
        reading, isnan(reading)::int as odd, case when not isnan(reading) then reading::bigint end as number, distance,
        floor_to(event, ${hour}) as hour, floor_to(event, ${day}) as day
      from flights`
}

/**
 * For each key and moment at which rows became visible, the greatest of all that were visible then: one row for equal
 * moments.
 */
export function greatestRows(source: string): string {
  return `
    create table greatest_${source} as
      select key, visible, (max(place) % 4194304)::bigint as flight
      from (select key, visible, max(place) over (partition by key order by visible) as place from ${source})
      group by all`
}

/**
 * The latest values for each row of a spine. `bound` is `>=`, or `>` where a row counts only after the moment at which
 * it became visible.
 */
export function latestOf(source: string, spine: string, key: string, bound: '>=' | '>'): string {
  return `
    select s.ordinal, r.reading, case when s.moment - r.event <= ${6 * hour} then r.reading end as recent, r.distance
    from ${spine} s asof left join greatest_${source} g on s.${key} = g.key and s.moment ${bound} g.visible
    left join ${source} r on r.flight = g.flight`
}

const sumsOfRows = `count(*) as n, count(number) as numbers, sum(odd) as odd, sum(number) as total, sum(number * number) as squares,
  min(number) as least, max(number) as greatest, sum(distance) as miles`
const sumsOfParts = `sum(n) as n, sum(numbers) as numbers, sum(odd) as odd, sum(total) as total, sum(squares) as squares,
  min(least) as least, max(greatest) as greatest, sum(miles) as miles`
const part = `n, numbers, odd, total, squares, least, greatest, miles`

/** The rows of each whole hour and day, summed up; `complete` is when the last of them became visible. */
export function sumsOf(source: string): readonly string[] {
  return [
    `create table hours_${source} as select key, day, hour, max(visible) as complete, ${sumsOfRows} from ${source} group by key, day, hour`,
    `create table days_${source} as select key, day, max(complete) as complete, ${sumsOfParts} from hours_${source} group by key, day`,
  ]
}

/**
 * The rows in [tail, t] that are visible at t, for each row of a spine. Days after the tail that are complete at t are
 * read as sums, and so are hours of the other days. The rest is read row by row. No row is visible before its event
 * time, so the head of the window needs no condition of its own. The readings are whole numbers and their sums small,
 * so a double holds each sum, and a quotient is rounded once.
 */
export function windowOf(source: string, spine: string, key: string, tail: string): string {
  return `
    with asked as (
      select *, unnest(range(floor_to(tail, ${day}), moment + 1, ${day})) as day
      from (select ordinal, ${key} as key, moment, ${tail} as tail from ${spine})
    ), in_days as materialized (
      select ordinal, moment, tail, d.*, day >= tail and complete <= moment as whole
      from asked join days_${source} d using (key, day)
    ), in_hours as materialized (
      select d.ordinal, d.moment, d.tail, h.*, h.hour >= d.tail and h.complete <= d.moment as whole
      from in_days d join hours_${source} h using (key, day)
      where not d.whole and h.hour > d.tail - ${hour} and h.hour <= d.moment
    ), parts as (
      select ordinal, ${part} from in_days where whole
      union all
      select ordinal, ${part} from in_hours where whole
      union all
      select h.ordinal, 1, (r.number is not null)::int, r.odd, r.number, r.number * r.number, r.number, r.number, r.distance
      from in_hours h join ${source} r using (key, hour)
      where not h.whole and r.event >= h.tail and r.visible <= h.moment
    ), found as (
      select ordinal, ${sumsOfParts} from parts group by ordinal
    )
    select ordinal,
      coalesce(n, 0)::int as rows,
      (coalesce(numbers, 0) + coalesce(odd, 0))::int as values,
      miles::bigint as miles,
      case when odd > 0 then 'NaN' else total::double end as total,
      case when odd > 0 then 'NaN' else total::double / numbers end as mean,
      case when odd > 0 then 'NaN' else least::double end as least,
      case when odd > 0 then 'NaN' else greatest::double end as greatest,
      case when odd > 0 then 'NaN' else spread / nullif(numbers * numbers, 0)::double end as variance,
      case when values < 2 then null when odd > 0 then 'NaN' else spread / (numbers * (numbers - 1))::double end as sample,
      sqrt(variance) as deviation
    from ${spine} left join (select *, (numbers * squares - total * total)::double as spread from found) using (ordinal)`
}

/**
 * Whether an exported value differs from the expected one. A root of a quotient is rounded twice here and once
 * there, so they may be neighbours.
 */
export function differs(feature: string, exported: string, expected: string): string {
  const distinct = `${exported} is distinct from ${expected}`
  if (feature !== 'deviation') return distinct
  return `${distinct} and not coalesce(${exported} between nextafter(${expected}, '-infinity'::double) and nextafter(${expected}, 'infinity'::double), false)`
}
