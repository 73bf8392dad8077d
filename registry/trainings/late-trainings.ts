import { sql } from 'kysely'
import { parseSchedule } from '../../kernel/schedule.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Catalog } from '../catalog.ts'
import { trainingKind } from './training-spec.ts'

/** How a scheduled training keeps to its schedule. Times are epoch microseconds. */
export interface Punctuality {
  readonly training: string
  readonly model: string
  /** When its newest run ended that registered a version; null: none has. */
  readonly succeeded: number | null
  /**
   * The second instant since then, or without a success since its first run; null: it has not come yet. Instants before
   * the training got its schedule do not count.
   */
  readonly lateSince: number | null
}

interface History {
  readonly training: string
  readonly first: number
  readonly succeeded: number | null
  /** When the training got the schedule that it has. */
  readonly since: number
}

/** The trainings with a schedule that have runs, by name. A training is late if two instants brought no version. */
export async function readPunctuality(
  { kysely }: Pick<Database, 'kysely'>,
  { trainings }: Pick<Catalog, 'trainings'>,
  now: number,
): Promise<Punctuality[]> {
  const scheduled = [...trainings.values()].flatMap(({ spec }) => (spec.schedule === null ? [] : [{ ...spec, schedule: spec.schedule }]))
  if (scheduled.length === 0) return []
  const { rows } = await sql<History>`
    select subject as training, extract(epoch from min(submitted_at))::float8 * 1e6 as first,
      extract(epoch from max(finished_at) filter (where state = 'done' and result ->> 'outcome' = 'registered'))::float8 * 1e6 as succeeded,
      (select coalesce(extract(epoch from min(s.at)), 0)::float8 * 1e6 from lockstep.definition_states s
       where s.kind = 'training' and s.name = subject and not exists (
         select from lockstep.definition_states later
         where later.kind = s.kind and later.name = s.name and (later.at, later.id) >= (s.at, s.id)
           and (later.retired or later.spec ->> 'schedule' is distinct from s.spec ->> 'schedule')
       )) as since
    from lockstep.jobs where kind = ${trainingKind} and subject in (${sql.join(scheduled.map(({ name }) => name))})
    group by subject order by subject`.execute(kysely)
  return rows.flatMap(({ training, first, succeeded, since }) => {
    const spec = scheduled.find(({ name }) => name === training)
    if (spec === undefined) return []
    const schedule = parseSchedule(spec.schedule)
    const second = schedule.at(schedule.at(Math.max(succeeded ?? first, since) + 1) + 1)
    return [{ training, model: spec.model, succeeded, lateSince: second <= now ? second : null }]
  })
}
