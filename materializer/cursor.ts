import type { CursorSpec } from '../kernel/specs/view-spec.ts'
import { sql } from 'kysely'
import { LockstepError } from '../kernel/errors.ts'
import { maxMicros } from '../kernel/values/value-type.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import { sourceKey } from '../offline/rows/source-stream.ts'
import type { SourceTable } from '../offline/rows/source-table.ts'
import { keysWithinSelect } from '../offline/rows/stream-sql.ts'
import type { Checkpoint } from '../online/checkpoint.ts'
import type { Database, Snapshot } from '../runtime/postgres/database.ts'
import { timeTypes } from '../runtime/postgres/relation.ts'
import { sqlIdentifier } from '../runtime/postgres/sql.ts'
import type { RunOutcome } from './runs/runs.ts'

const epochNow = sql<string>`(extract(epoch FROM now()) * 1000000)::int8`

/** The rows that a run over a source with a cursor reads. */
export interface CursorRun {
  readonly cursor: CursorSpec
  /** Entities with a row whose cursor has this time or a later one, epoch microseconds; null: all entities. */
  readonly since: number | null
}

/**
 * Whether the next run may go by the cursor: from the overlap before the greatest time that the view's runs have seen,
 * unless all is to be read again. An entity that has such a row is rebuilt from all its rows, so that none counts
 * twice; what was committed later than the overlap allows, and what was deleted, is found when all is read.
 */
export async function planCursorRun(
  db: Database,
  plan: ViewPlan,
  checkpoint: Checkpoint,
  store: string,
  startedAt: Date,
): Promise<CursorRun | null> {
  const { cursor } = plan.upkeep
  if (cursor === null) return null
  const runs = await db.kysely
    .selectFrom('lockstep.materialization_runs')
    .select((eb) => [
      eb.fn.max<string | null>('cursor_to').filterWhere('cursor_to', '<=', epochNow).as('seen'),
      eb.fn.max<string | null>('to_xid').as('reached'),
      eb.fn.max<Date | null>('started_at').filterWhere('read_all', '=', true).as('last_full'),
    ])
    .where('view', '=', plan.id)
    .where('store', '=', store)
    .where('id', '>=', checkpoint.origin.id)
    .where('cursor_column', '=', cursor.column)
    .where('finished_at', 'is not', null)
    .executeTakeFirst()
  const [seen, lastFull] = [runs?.seen ?? null, runs?.last_full ?? null]
  // A store that has failed over has its checkpoints set back: what it lost is met when all is read.
  const setBack = checkpoint.frontier.below < Number(runs?.reached ?? 0)
  const due = setBack || lastFull === null || startedAt.getTime() - lastFull.getTime() >= cursor.reconcileMicros / 1000
  return { cursor, since: due || seen === null ? null : Number(seen) - cursor.overlapMicros }
}

export interface CursorRead {
  readonly outcome: NonNullable<RunOutcome['cursor']>
  /** The keys of the entities to rebuild; absent: all. */
  readonly keysIn?: string
}

/**
 * The newest time of the cursor, and which entities the run reads. Times in the future are ignored: rows that are
 * written until then have earlier ones.
 *
 * @throws LockstepError `SOURCE_MISSING` where the table lacks the cursor, or it is no time
 */
export async function readCursor(
  snapshot: Snapshot,
  table: SourceTable,
  plan: ViewPlan,
  { cursor, since }: CursorRun,
): Promise<CursorRead> {
  const { column } = cursor
  const type = table.types.get(column)
  if (table.types.size > 0 && (type === undefined || !timeTypes.includes(type))) {
    const found = type === undefined ? 'does not have' : `has as ${type}, not as a time`
    throw new LockstepError(
      'SOURCE_MISSING',
      `The source "${plan.spec.source.name}" has the cursor "${column}", a column that the table ${table.relation} ${found}. Correct the cursor, or remove it.`,
    )
  }
  const time = `s.${sqlIdentifier(column)}::timestamptz`
  const [row] = await snapshot.query<{ micros: string | null }>(
    `SELECT (extract(epoch FROM max(${time})) * 1000000)::int8::text AS micros FROM ${table.relation} s WHERE isfinite(${time}) AND ${time} <= now()`,
  )
  const to = row?.micros === undefined || row.micros === null ? null : Number(row.micros)
  const outcome = { column, to, readAll: since === null }
  if (since === null) return { outcome }
  return { outcome, keysIn: keysWithinSelect({ table, key: sourceKey(plan), eventTime: column, known: null }, since, maxMicros) }
}
