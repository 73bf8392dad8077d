import type { Window } from '../window.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ParityReport } from './check-parity.ts'
import type { Verdict } from './classify.ts'
import { verdicts } from './classify.ts'

/** How long results are kept. */
const keptDays = 90

/**
 * Adds the results of a check to those of its hour.
 *
 * @param at when the checked vectors were logged, epoch microseconds
 */
export async function storeParity(db: Pick<Database, 'query'>, { features, examples }: ParityReport, at: number): Promise<void> {
  const rows = features.flatMap((feature) =>
    verdicts.flatMap((verdict) => {
      const count = feature[verdict]
      if (count === 0) return []
      const example = examples.find(
        (each) => each.verdict === verdict && each.feature === feature.feature && each.service === feature.service,
      )
      return [
        { service: feature.service, feature: feature.feature, view: feature.view, verdict, count, example: example?.requestId ?? null },
      ]
    }),
  )
  if (rows.length === 0) return
  const column = <T>(of: (row: (typeof rows)[number]) => T): T[] => rows.map(of)
  await db.query(
    `insert into lockstep.parity_hours as p (hour, service, feature, view, verdict, count, example)
     select date_trunc('hour', $1::timestamptz, 'UTC'), * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[])
     order by 2, 3, 5
     on conflict (hour, service, feature, verdict) do update set count = p.count + excluded.count, example = coalesce(excluded.example, p.example)`,
    [
      new Date(at / 1000),
      column(({ service }) => service),
      column(({ feature }) => feature),
      column(({ view }) => view),
      column(({ verdict }) => verdict),
      column(({ count }) => count),
      column(({ example }) => example),
    ],
  )
  await db.query(`delete from lockstep.parity_hours where hour < $1::timestamptz - make_interval(days => $2::int)`, [
    new Date(at / 1000),
    keptDays,
  ])
}

export interface ParityHour {
  readonly hour: Date
  readonly feature: string
  readonly view: string
  readonly verdict: Verdict
  readonly count: number
  readonly example: string | null
}

/** By hour, view and feature, in that order. @param window epoch microseconds */
export async function readParity(db: Pick<Database, 'query'>, { from, to }: Window): Promise<ParityHour[]> {
  return await db.query<ParityHour>(
    `select hour, feature, view, verdict, sum(count)::float8 as count, max(example) as example from lockstep.parity_hours
     where hour >= $1 and hour <= $2 group by hour, feature, view, verdict order by hour, view, feature, verdict`,
    [new Date(from / 1000), new Date(to / 1000)],
  )
}
