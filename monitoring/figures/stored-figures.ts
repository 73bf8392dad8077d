import type { Window } from '../window.ts'
import { sql } from 'kysely'
import type { Database } from '../../runtime/postgres/database.ts'
import type { DriftJson } from '../drift/drift-json.ts'
import type { QualityReport } from '../quality/quality-report.ts'

type Handle = Pick<Database, 'kysely'>

/** The stored reports, by kind. */
interface Reports {
  readonly quality: QualityReport
  readonly drift: DriftJson
}

export interface StoredFigures<Kind extends keyof Reports> {
  readonly version: number
  readonly asOf: Date
  readonly report: Reports[Kind]
}

/** How long figures are kept. */
const keptDays = 90

export async function storeFigures<Kind extends keyof Reports>(
  { kysely }: Handle,
  kind: Kind,
  { model, version, asOf, report }: { readonly model: string } & StoredFigures<Kind>,
): Promise<void> {
  const values = { report: JSON.stringify(report), figures: 'total' in report ? JSON.stringify(report.total.figures) : null }
  await kysely
    .insertInto('lockstep.model_figures')
    .values({ model, kind, version, as_of: asOf, ...values })
    .onConflict((conflict) => conflict.columns(['model', 'kind', 'version', 'as_of']).doUpdateSet(values))
    .execute()
  await kysely
    .deleteFrom('lockstep.model_figures')
    .where('model', '=', model)
    .where('as_of', '<', sql<Date>`now() - make_interval(days => ${keptDays}::int)`)
    .execute()
}

/** The newest figures of a model, of each version, the newest version first. @param asOf epoch microseconds */
export async function newestFigures<Kind extends keyof Reports>(
  { kysely }: Handle,
  model: string,
  kind: Kind,
  asOf: number,
): Promise<StoredFigures<Kind>[]> {
  const rows = await kysely
    .selectFrom('lockstep.model_figures')
    .distinctOn('version')
    .select(['version', 'as_of', 'report'])
    .where('model', '=', model)
    .where('kind', '=', kind)
    .where('as_of', '<=', new Date(asOf / 1000))
    .orderBy('version', 'desc')
    .orderBy('as_of', 'desc')
    .execute()
  // json that `storeFigures` alone writes
  return rows.map(({ version, as_of, report }) => ({ version, asOf: as_of, report: report as Reports[Kind] }))
}

/** A figure of quality at one time. */
export interface FigurePoint {
  readonly asOf: Date
  readonly version: number
  readonly figure: string
  readonly value: number | null
  readonly low: number | null
  readonly high: number | null
  readonly n: number
}

/** The maximum number of points of a line that a screen shows apart. */
const maxPoints = 120

/**
 * The figures of quality in a window, oldest first: only the figures, as reports are long. A version that has more than
 * 120 measurements has every second, third, … of them, and the newest.
 */
export async function figuresOverTime(db: Pick<Database, 'query'>, model: string, window: Window): Promise<FigurePoint[]> {
  const measured = await db.query<{ asOf: Date; version: number; figures: QualityReport['total']['figures'] }>(
    // reports of before the column have their figures inside
    `select as_of as "asOf", version, coalesce(figures, report->'total'->'figures') as figures
     from (
       select as_of, version, figures, report, row_number() over (partition by version order by as_of desc) - 1 as newer,
         count(*) over (partition by version) as measured
       from lockstep.model_figures where model = $1 and kind = 'quality' and as_of >= $2 and as_of <= $3
     ) f
     where newer % ((measured + ${maxPoints - 1}) / ${maxPoints}) = 0 order by as_of, version`,
    [model, new Date(window.from / 1000), new Date(window.to / 1000)],
  )
  return measured.flatMap(({ figures, ...of }) =>
    Object.entries(figures)
      .map(([figure, { value, low, high, n }]): FigurePoint => ({ ...of, figure, value, low, high, n }))
      .sort((a, b) => (a.figure < b.figure ? -1 : 1)),
  )
}

/** Since when a column has drifted, as the last check of each day found it. */
export interface DriftedSince {
  /** The first of the checks without a break up to the newest one. */
  readonly at: Date
  /** Whether no earlier check of these days says otherwise, so that it may have drifted before. */
  readonly orEarlier: boolean
}

/** How many days `driftedSince` looks back. */
const driftedDays = 30

/** The columns that the newest stored drift of a version found drifted. @param asOf epoch microseconds */
export async function driftedSince(
  db: Pick<Database, 'query'>,
  model: string,
  version: number,
  asOf: number,
): Promise<ReadonlyMap<string, DriftedSince>> {
  const checks = await db.query<{ asOf: Date; drifted: readonly string[] }>(
    `select as_of as "asOf", array(select c->>'column' from json_array_elements(report->'columns') c where (c->>'drifted')::boolean) as drifted
     from (
       select distinct on ((as_of at time zone 'UTC')::date) as_of, report from lockstep.model_figures
       where model = $1 and kind = 'drift' and version = $2 and as_of <= $3 and as_of > $3::timestamptz - make_interval(days => ${driftedDays})
       order by (as_of at time zone 'UTC')::date desc, as_of desc
     ) of_day
     order by as_of desc`,
    [model, version, new Date(asOf / 1000)],
  )
  const since = new Map<string, DriftedSince>()
  for (const column of checks[0]?.drifted ?? []) {
    const end = checks.findIndex(({ drifted }) => !drifted.includes(column))
    const first = end < 0 ? checks.at(-1) : checks[end - 1]
    if (first !== undefined) since.set(column, { at: first.asOf, orEarlier: end < 0 })
  }
  return since
}
