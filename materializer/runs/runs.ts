import { sql } from 'kysely'
import type { Database } from '../../runtime/postgres/database.ts'
import { forgetBackfills } from '../backfills/read-backfills.ts'

/** One run of one view into one store, as `lockstep.materialization_runs` keeps it. */
export interface Run {
  readonly id: string
  readonly startedAt: Date
}

export interface RunOutcome {
  /** The run that began the view in the store. */
  readonly begun: Run
  /** The run read all rows, whatever was read before. */
  readonly readAll: boolean
  /** Where the checkpoint stands now. */
  readonly to: number
  readonly rows: number
  readonly entities: number
  /** How far it came by its source's cursor; absent where it has none. */
  readonly cursor?: { readonly column: string; readonly to: number | null; readonly readAll: boolean }
}

export interface RunStart {
  readonly view: string
  readonly fingerprint: string
  readonly store: string
  readonly moment: number
  readonly startedAt: Date
  /** The table that it reads, as it stands in SQL; absent or null: a query. */
  readonly table?: string | null
}

export async function startRun(db: Database, run: RunStart): Promise<Run> {
  const { id } = await db.kysely
    .insertInto('lockstep.materialization_runs')
    .values({
      view: run.view,
      fingerprint: run.fingerprint,
      store: run.store,
      from_xid: '0',
      to_xid: '0',
      moment: String(run.moment),
      rows: '0',
      entities: '0',
      started_at: run.startedAt,
      finished_at: null,
      source_oid: sql<string | null>`to_regclass(${run.table ?? null})::oid::bigint`,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return { id, startedAt: run.startedAt }
}

/**
 * Records the interval of arrivals that the run has folded. It begins where the last recorded run ended, so intervals
 * touch and never overlap, however many runs end at once. If a run was killed before it was recorded, the interval of
 * the next one includes its own.
 *
 * @returns the interval, [from, to)
 */
export async function finishRun(db: Database, run: Run, outcome: RunOutcome, finishedAt: Date): Promise<{ from: number; to: number }> {
  return await db.kysely.transaction().execute(async (transaction) => {
    const runs = 'lockstep.materialization_runs'
    // one at a time
    await transaction.selectFrom(runs).select('id').where('id', '=', outcome.begun.id).forUpdate().execute()
    const own = await transaction.selectFrom(runs).select(['from_xid', 'to_xid', 'finished_at']).where('id', '=', run.id).executeTakeFirst()
    // recorded already, by a process that was killed after it
    if (own !== undefined && own.finished_at !== null) return { from: Number(own.from_xid), to: Number(own.to_xid) }
    const last = await transaction
      .selectFrom(runs)
      .innerJoin(`${runs} as mine`, (join) => join.onRef('mine.view', '=', `${runs}.view`).onRef('mine.store', '=', `${runs}.store`))
      .select(`${runs}.to_xid`)
      .where('mine.id', '=', run.id)
      .where(`${runs}.id`, '>=', outcome.begun.id)
      .where(`${runs}.finished_at`, 'is not', null)
      .orderBy(`${runs}.to_xid`, 'desc')
      .limit(1)
      .executeTakeFirst()
    const from = outcome.readAll ? 0 : Number(last?.to_xid ?? 0)
    const to = Math.max(from, outcome.to)
    await transaction
      .updateTable(runs)
      .set({
        from_xid: String(from),
        to_xid: String(to),
        rows: String(outcome.rows),
        entities: String(outcome.entities),
        finished_at: finishedAt,
        ...(outcome.cursor === undefined ? {} : cursorColumns(outcome.cursor)),
      })
      .where('id', '=', run.id)
      .execute()
    return { from, to }
  })
}

function cursorColumns({ column, to, readAll }: NonNullable<RunOutcome['cursor']>) {
  return { cursor_column: column, cursor_to: to === null ? null : String(to), read_all: readAll }
}

/**
 * Whether the two runs read different tables: a table that was dropped and recreated is another one. False where it is
 * unknown.
 */
export async function readOtherTables(db: Pick<Database, 'kysely'>, a: Run, b: Run): Promise<boolean> {
  const found = await db.kysely
    .selectFrom('lockstep.materialization_runs')
    .select('source_oid')
    .distinct()
    .where('id', 'in', [a.id, b.id])
    .where('source_oid', 'is not', null)
    .execute()
  return found.length > 1
}

/** Forgets the backfills of the view too: one that runs has lost the view. */
export async function forgetRuns(db: Pick<Database, 'kysely'>, view: string, store: string): Promise<void> {
  await db.kysely.deleteFrom('lockstep.materialization_runs').where('view', '=', view).where('store', '=', store).execute()
  await forgetBackfills(db, view, store)
  await db.kysely.deleteFrom('lockstep.set_aside').where('view', '=', view).where('store', '=', store).execute()
}

/** The greatest transaction that a finished run since `begun` has brought the view up to; 0: none has finished. */
export async function reachedByRuns(db: Pick<Database, 'kysely'>, view: string, store: string, begun: Run): Promise<number> {
  const found = await db.kysely
    .selectFrom('lockstep.materialization_runs')
    .select(({ fn }) => fn.max<string | null>('to_xid').as('reached'))
    .where('view', '=', view)
    .where('store', '=', store)
    .where('id', '>=', begun.id)
    .where('finished_at', 'is not', null)
    .executeTakeFirst()
  return Number(found?.reached ?? 0)
}
