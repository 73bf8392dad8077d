import type { Database } from '../runtime/database.ts'

/** One run of one view into one store, as `lockstep.materialization_runs` keeps it. */
export interface Run {
  readonly id: string
  readonly startedAt: Date
}

export interface RunOutcome {
  /** Rows with an arrival in [fromXid, toXid) were read. */
  readonly fromXid: number
  readonly toXid: number
  readonly rows: number
  readonly entities: number
}

export async function startRun(
  db: Database,
  run: { view: string; fingerprint: string; store: string; moment: number; startedAt: Date },
): Promise<Run> {
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
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  return { id, startedAt: run.startedAt }
}

export async function finishRun(db: Database, run: Run, outcome: RunOutcome, finishedAt: Date): Promise<void> {
  await db.kysely
    .updateTable('lockstep.materialization_runs')
    .set({
      from_xid: String(outcome.fromXid),
      to_xid: String(outcome.toXid),
      rows: String(outcome.rows),
      entities: String(outcome.entities),
      finished_at: finishedAt,
    })
    .where('id', '=', run.id)
    .execute()
}

/** Whether this database knows the run: one with this id that began at this very millisecond. */
export async function knowsRun(db: Pick<Database, 'kysely'>, run: Run): Promise<boolean> {
  const found = await db.kysely
    .selectFrom('lockstep.materialization_runs')
    .select('id')
    .where('id', '=', run.id)
    .where('started_at', '=', run.startedAt)
    .executeTakeFirst()
  return found !== undefined
}

export async function forgetRuns(db: Pick<Database, 'kysely'>, view: string, store: string): Promise<void> {
  await db.kysely.deleteFrom('lockstep.materialization_runs').where('view', '=', view).where('store', '=', store).execute()
}
