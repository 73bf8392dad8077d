import { upperBound } from '../kernel/states/frontier.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import type { Database } from '../runtime/postgres/database.ts'
import type { Checkpoint } from './checkpoint.ts'
import { areKnown, witnessColumns } from './witness.ts'

/**
 * Finds out whether this database wrote what a store holds of a view: it knows the run that began the view, knows the
 * witness, and has reached the frontier.
 */
export interface CheckpointOwner {
  /**
   * @param again whether to ask again about runs that are known; if the database does not answer, the known ones count
   * @returns by index: why the view does not belong to this database; null where it does
   * @throws what the database throws, if it must be asked about a run
   */
  foreign(views: readonly CheckpointedView[], again?: boolean): Promise<(Foreign | null)[]>
}

export interface Foreign {
  /** The message, with what to do. */
  readonly problem: string
  /** Only the transactions of the frontier show it, until the database has given their numbers out again. */
  readonly passes: boolean
}

export interface CheckpointedView {
  readonly view: DefinitionId
  readonly checkpoint: Checkpoint
}

type Handle = Pick<Database, 'query'>

/**
 * - `other`: another database began the view
 * - `lost`: this one did, and has lost rows since
 * - `ahead`: as `lost`, shown by the frontier alone
 */
type Verdict = 'own' | 'other' | 'lost' | 'ahead'

/** @param database throws where it is down */
export function createCheckpointOwner(database: () => Handle): CheckpointOwner {
  /**
   * By run: one that is not known is not asked about in every request, as it is recorded before a checkpoint names it.
   */
  let verdicts: ReadonlyMap<string, Verdict> = new Map()

  return {
    async foreign(views, again = false) {
      const asked = again ? views : views.filter(({ checkpoint }) => !verdicts.has(nameOf(checkpoint.origin)))
      if (asked.length > 0) {
        try {
          const found = await judge(database(), asked)
          verdicts = again ? found : new Map([...verdicts, ...found])
        } catch (error) {
          if (asked.some(({ checkpoint }) => verdicts.get(nameOf(checkpoint.origin)) !== 'own')) throw error
        }
      }
      return views.map(({ view, checkpoint }) => foreignBy(view, verdicts.get(nameOf(checkpoint.origin)) ?? 'other'))
    },
  }
}

function foreignBy(view: DefinitionId, verdict: Verdict): Foreign | null {
  if (verdict === 'own') return null
  return { problem: verdict === 'other' ? otherDatabase(view) : lostRows(view), passes: verdict === 'ahead' }
}

/** Asks all in one statement, as each check of all views does so. */
async function judge(db: Handle, views: readonly CheckpointedView[]): Promise<ReadonlyMap<string, Verdict>> {
  const ids = views.flatMap(({ checkpoint: { origin } }) => (/^\d{1,18}$/.test(origin.id) ? [origin.id] : []))
  const rows = await db.query<{ id: string | null; startedAt: Date; known: boolean[]; xmax: string }>(
    `select r.id::text as id, r.started_at as "startedAt", history.known, history.xmax
     from (select ${areKnown} as known, ${shownXmax} as xmax) history
     left join lockstep.materialization_runs r on r.id = any ($3::text[]::bigint[])`,
    [...witnessColumns(views.map(({ checkpoint }) => checkpoint.witness)), ids],
  )
  const begun = new Set(rows.flatMap(({ id, startedAt }) => (id === null ? [] : [nameOf({ id, startedAt })])))
  const xmax = Number(rows[0]?.xmax)
  return new Map(
    views.map(({ checkpoint }, i) => {
      const name = nameOf(checkpoint.origin)
      if (!begun.has(name)) return [name, 'other']
      if (rows[0]?.known[i] !== true) return [name, 'lost']
      return [name, upperBound(checkpoint.frontier) <= xmax ? 'own' : 'ahead']
    }),
  )
}

/** Whether this database knows the run: one with this id that began at this very millisecond. */
export async function knowsRun(db: Pick<Database, 'kysely'>, run: Checkpoint['origin']): Promise<boolean> {
  const found = await db.kysely
    .selectFrom('lockstep.materialization_runs')
    .select('id')
    .where('id', '=', run.id)
    .where('started_at', '=', run.startedAt)
    .executeTakeFirst()
  return found !== undefined
}

/** One past the last transaction that has ended. Open transactions may be beyond it. */
export async function currentXmax(db: Pick<Database, 'query'>): Promise<number> {
  const [row] = await db.query<{ xmax: string }>(`SELECT ${shownXmax} AS xmax`)
  return Number(row?.xmax)
}

const shownXmax = 'pg_snapshot_xmax(pg_current_snapshot())::text'

const storeSettings = 'LOCKSTEP_REDIS_URL, LOCKSTEP_REDIS_PREFIX, LOCKSTEP_DIR'
/** What to do where two installations share a store. */
export const ownStore = `Give each installation its own store (${storeSettings})`

function nameOf({ id, startedAt }: Checkpoint['origin']): string {
  return `${id} ${startedAt.getTime()}`
}

function otherDatabase(view: DefinitionId): string {
  return `The view "${view}" in this online store belongs to another database, or to this one before it was restored. ${ownStore}, or run "lockstep materialize ${view} --rebuild" to replace it.`
}

/** What to do where the database was set back under a store, or was copied. */
export function lostRows(view: DefinitionId): string {
  return `The online store holds rows of "${view}" that this database does not have: it was restored from a backup, or a replica without them was promoted. Run "lockstep materialize --rebuild" to rebuild all views from this database. If it is a copy, and the store belongs to the original, give the copy its own store instead (${storeSettings}).`
}
