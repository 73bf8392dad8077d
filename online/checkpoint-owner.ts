import { endOf } from '../kernel/frontier.ts'
import type { DefinitionId } from '../kernel/view-spec.ts'
import type { Database } from '../runtime/database.ts'
import type { Checkpoint } from './checkpoint.ts'

/**
 * Finds out whether this database wrote what a store holds of a view: only it knows the run that the checkpoint names.
 */
export interface CheckpointOwner {
  /**
   * @param again whether to ask again about runs that are known; if the database does not answer, the known ones count
   * @returns by index: why the view does not belong to this database, with what to do; null where it does
   * @throws what the database throws, if it must be asked about a run
   */
  foreign(views: readonly CheckpointedView[], again?: boolean): Promise<(string | null)[]>
}

export interface CheckpointedView {
  readonly view: DefinitionId
  readonly checkpoint: Checkpoint
}

type Handle = Pick<Database, 'kysely' | 'query'>

/** @param database throws where it is down */
export function createCheckpointOwner(database: () => Handle): CheckpointOwner {
  let known: ReadonlySet<string> = new Set()
  /** A run is recorded before a checkpoint names it. So an unknown run stays unknown, and not every request asks. */
  let unknown: ReadonlySet<string> = new Set()

  return {
    async foreign(views, again = false) {
      const asked = again ? views : views.filter(({ checkpoint }) => isNew(nameOf(checkpoint.origin)))
      if (asked.length > 0) {
        try {
          const found = await knownAmong(database(), asked)
          const others = asked.map(({ checkpoint }) => nameOf(checkpoint.origin)).filter((run) => !found.has(run))
          known = again ? found : new Set([...known, ...found])
          unknown = new Set(again ? others : [...unknown, ...others])
        } catch (error) {
          if (asked.some(({ checkpoint }) => !known.has(nameOf(checkpoint.origin)))) throw error
        }
      }
      return views.map(({ view, checkpoint }) => (known.has(nameOf(checkpoint.origin)) ? null : foreignTo(view)))
    },
  }

  function isNew(run: string): boolean {
    return !known.has(run) && !unknown.has(run)
  }
}

/**
 * The runs that the database knows and whose frontiers it has reached. A database that was restored from a backup has
 * not.
 */
async function knownAmong(db: Handle, views: readonly CheckpointedView[]): Promise<Set<string>> {
  const ids = views.flatMap(({ checkpoint: { origin } }) => (/^\d{1,18}$/.test(origin.id) ? [origin.id] : []))
  if (ids.length === 0) return new Set()
  const runs = await db.kysely.selectFrom('lockstep.materialization_runs').select(['id', 'started_at']).where('id', 'in', ids).execute()
  const known = new Set(runs.map(({ id, started_at: startedAt }) => nameOf({ id, startedAt })))
  const xmax = await currentXmax(db)
  return new Set(
    views.flatMap(({ checkpoint }) => {
      const name = nameOf(checkpoint.origin)
      return known.has(name) && endOf(checkpoint.frontier) <= xmax ? [name] : []
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
  const [row] = await db.query<{ xmax: string }>('SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS xmax')
  return Number(row?.xmax)
}

/** What to do where two installations share a store. */
export const ownStore = 'Give each installation its own store (LOCKSTEP_REDIS_URL, LOCKSTEP_REDIS_PREFIX, LOCKSTEP_DIR)'

function nameOf({ id, startedAt }: Checkpoint['origin']): string {
  return `${id} ${startedAt.getTime()}`
}

function foreignTo(view: DefinitionId): string {
  return `The view "${view}" in this online store belongs to another database, or to this one before it was restored. ${ownStore}, or run "lockstep materialize ${view} --rebuild" to replace it.`
}
