import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { qualifiedTable } from '../../offline/ingest/ingest-once.ts'
import { noBytes } from '../../online/store.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit, unknownActor } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { waitForEarlierTransactions } from '../../runtime/postgres/earlier-transactions.ts'
import { faultPoint } from '../../runtime/fault-point.ts'
import type { Logger } from '../../runtime/log.ts'
import { tableColumns } from '../../runtime/postgres/relation.ts'
import { sqlText } from '../../runtime/postgres/sql.ts'
import { deleteWhere, findWhere } from '../erase/delete-rows.ts'
import { rebuildStates } from '../erase/rebuild-states.ts'
import { isOurs } from '../forget-view.ts'
import { materializeView } from '../runs/materialize.ts'

export interface UndoneIngest {
  readonly id: string
  readonly source: string
  /** Rows that were deleted: fewer than were loaded where some have been deleted since. */
  readonly rows: number
  /**
   * Entities whose states were rebuilt, by view; null where an earlier undo had not come so far, and the view was
   * rebuilt.
   */
  readonly entities: Readonly<Record<string, number | null>>
}

export interface UndoOptions {
  /** The source of the load, where the caller names it: a load of another one is unknown. */
  readonly source?: string
  /** Who takes it back. */
  readonly by?: Actor
  /** Epoch microseconds. */
  readonly moment: number
  /**
   * How long to wait for transactions that were open before, milliseconds. If one is still open then, empty states
   * stay in the store.
   */
  readonly waitMs: number
  readonly signal?: AbortSignal
  readonly log?: Logger | undefined
}

/**
 * Takes back a load of a file: deletes its rows, which are those of its transaction, and rebuilds the states of their
 * entities from the rows that are left.
 *
 *     delete the rows, note that states are to follow     one transaction
 *     rebuild the states that held them                   compare and set
 *     note that it is done                                after a crash, the next call rebuilds the views
 *
 * @throws LockstepError `UNKNOWN_DEFINITION` where there is no such load, `USAGE` where it is undone already,
 *   `NOT_REPRODUCIBLE` if the table does not record which load wrote a row, and what `materializeView` throws: the rows
 *   are gone then, and it is called again
 */
export async function undoIngest(
  db: Database,
  store: OnlineStore,
  catalog: Pick<Catalog, 'views' | 'online'>,
  id: string,
  options: UndoOptions,
): Promise<UndoneIngest> {
  const load = await findIngest(db, id, options.source)
  const readers = await viewsReading(db, store, catalog, load.relation)
  const { rows, touched } = await db.kysely.transaction().execute(async (transaction) => {
    await transaction.updateTable('lockstep.ingests').set({ undoing_at: new Date() }).where('id', '=', id).execute()
    const deleted = await deleteWhere({ kysely: transaction }, load.relation, `"_xid" = '${load.xid}'::xid8`, readers)
    if (deleted.rows > Number(load.rows)) throw numberedTwice(id, load.relation, deleted.rows - Number(load.rows))
    await transaction.deleteFrom('lockstep.source_files').where('load', '=', id).execute()
    const before = { load: Number(id), rows: deleted.rows }
    await recordAudit({ kysely: transaction }, options.by ?? unknownActor, { action: 'ingest.undo', subject: load.source, before })
    return deleted
  })
  faultPoint('ingest undone: committed')
  const entities: Record<string, number | null> = {}
  for (const plan of readers) {
    const keys = [...(touched.get(plan) ?? [])]
    entities[plan.id] = load.resumed ? null : keys.length
    const { moment, signal, log } = options
    if (load.resumed) await materializeView(db, store, plan, { rebuild: true, moment, signal, log })
    else await renew(db, store, plan, keys, options)
  }
  await db.kysely.updateTable('lockstep.ingests').set({ undone_at: new Date() }).where('id', '=', id).execute()
  return { id, source: load.source, rows, entities }
}

/** A load whose rows are replaced by those of another one, in the transaction of that one. */
export interface Replacement {
  /** Deletes the rows and notes that states are to follow. For the transaction that loads the others. */
  readonly statements: readonly string[]
  /** Rebuilds the states of the entities that had a row. Call it when the transaction has committed. */
  finish(): Promise<void>
}

/**
 * Prepares to replace the rows of a load. A process that dies between the transaction and `finish` is followed by
 * `undoIngest`, which rebuilds the views.
 *
 * @returns null: the rows of the load are deleted already
 * @throws LockstepError as `undoIngest`
 */
export async function replaceIngest(
  db: Database,
  store: OnlineStore,
  catalog: Pick<Catalog, 'views' | 'online'>,
  id: string,
  options: UndoOptions & { readonly by: Actor },
): Promise<Replacement | null> {
  const load = await findIngest(db, id, options.source)
  if (load.resumed) return null
  const readers = await viewsReading(db, store, catalog, load.relation)
  const isOfLoad = `"_xid" = '${load.xid}'::xid8`
  // the rows of a load only become fewer
  const { rows, touched } = await findWhere(db, load.relation, isOfLoad, readers)
  if (rows > Number(load.rows)) throw numberedTwice(id, load.relation, rows - Number(load.rows))
  const [actor, subject] = [options.by.actor, load.source].map(sqlText)
  return {
    statements: [
      `UPDATE lockstep.ingests SET undoing_at = now() WHERE id = ${id}`,
      `WITH gone AS (DELETE FROM ${load.relation} WHERE ${isOfLoad} RETURNING 1)
       INSERT INTO lockstep.audit_log (actor, actor_name, action, subject, before)
       SELECT ${actor}, (SELECT name FROM lockstep.api_keys WHERE id = ${actor}), 'ingest.undo', ${subject},
         json_build_object('load', ${id}, 'rows', count(*)) FROM gone`,
      `DELETE FROM lockstep.source_files WHERE load = ${id}`,
    ],
    async finish() {
      for (const plan of readers) await renew(db, store, plan, [...(touched.get(plan) ?? [])], options)
      await db.kysely.updateTable('lockstep.ingests').set({ undone_at: new Date() }).where('id', '=', id).execute()
    },
  }
}

/** The views of this store that read a table. */
export async function viewsReading(
  db: Database,
  store: OnlineStore,
  catalog: Pick<Catalog, 'views' | 'online'>,
  relation: string,
): Promise<ViewPlan[]> {
  const readers: ViewPlan[] = []
  for (const view of catalog.online) {
    const plan = catalog.views.get(view)
    if (plan !== undefined && (await qualifiedTable(db, plan.spec.source)) === relation && (await isOurs(db, store, view)))
      readers.push(plan)
  }
  return readers
}

/** An entity without rows gets an empty state, which is deleted once no transaction can still read its old rows. */
async function renew(db: Database, store: OnlineStore, plan: ViewPlan, keys: readonly EntityKey[], options: UndoOptions): Promise<void> {
  const empty = await rebuildStates(db, store, plan, keys, options.moment)
  if (empty.size === 0 || !(await waitForEarlierTransactions(db, options.waitMs, options.signal))) return
  const entity = plan.spec.entity.name
  await store.write([...empty].map(([key, expected]) => ({ view: plan.id, entity, key, expected, bytes: noBytes })))
}

/** A database that was restored from a dump numbers its transactions from the start. */
function numberedTwice(id: string, relation: string, others: number): LockstepError {
  return new LockstepError(
    'NOT_REPRODUCIBLE',
    `${others} other rows of ${relation} have the transaction number of the load "${id}", as happens after a restore or move of the database. So its rows cannot be identified; delete them yourself.`,
    { details: { id, table: relation } },
  )
}

/** @throws LockstepError `UNKNOWN_DEFINITION` where there is no such load, `USAGE` where it is undone already */
export async function findIngest(db: Database, id: string, source?: string) {
  const query = db.kysely.selectFrom('lockstep.ingests').select(['source', 'relation', 'rows', 'xid', 'undoing_at', 'undone_at'])
  const load = /^\d{1,18}$/.test(id) ? await query.where('id', '=', id).executeTakeFirst() : undefined
  if (load === undefined || (source !== undefined && load.source !== source)) {
    throw unknownLoad(id, source)
  }
  if (load.undone_at !== null) {
    throw new LockstepError('USAGE', `The load "${id}" was already undone on ${load.undone_at.toISOString()}.`)
  }
  const columns = await tableColumns(db, load.relation)
  if (columns?.some(({ name, type }) => name === '_xid' && type === 'xid8') !== true) {
    throw new LockstepError(
      'NOT_REPRODUCIBLE',
      `The table ${load.relation} has no column "_xid", so the rows of the load "${id}" cannot be identified; delete them yourself.`,
      { details: { id, table: load.relation } },
    )
  }
  return { ...load, resumed: load.undoing_at !== null }
}

export function unknownLoad(id: string, source?: string): LockstepError {
  const ofSource = source === undefined ? '' : ` of the source "${source}"`
  return new LockstepError('UNKNOWN_DEFINITION', `There is no load "${id}"${ofSource}; "lockstep ingest list" lists the loads.`, {
    details: { id },
  })
}
