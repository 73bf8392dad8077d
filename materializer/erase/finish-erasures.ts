import { sql } from 'kysely'
import type { EntityKey } from '../../kernel/values/entity-key.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import { dropBatch, readStoredBatch } from '../../online/batch-predictions.ts'
import type { OnlineStore } from '../../online/store.ts'
import { noBytes } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { notifyErased } from '../../registry/revision.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { faultPoint } from '../../runtime/fault-point.ts'
import { waitForEarlierTransactions } from '../../runtime/postgres/earlier-transactions.ts'
import { isOurs } from '../forget-view.ts'
import { defaultReplayMs } from '../runs/detect-failover.ts'
import type { KeyParts } from './containing-states.ts'
import { removeContaining, removeStates } from './containing-states.ts'
import { erasedEntities, forgetLogged } from './forget-logged.ts'
import { rebuildStates } from './rebuild-states.ts'

const statesAtOnce = 1_000

export interface FinishOptions {
  /**
   * How long to wait for transactions that were open before, milliseconds. While one is still open, empty states
   * replace the erased ones.
   */
  readonly waitMs: number
  /** Epoch microseconds. */
  readonly moment: number
  /** How long notes of completed work are kept, as a failover may undo it; `FailoverOptions.replayMs`. */
  readonly replayMs?: number | undefined
  readonly signal?: AbortSignal
}

interface State {
  readonly erasure: string
  readonly view: DefinitionId
  readonly entity: string
  readonly key: EntityKey
  /** The head of the empty state that replaces it. */
  readonly emptied: Buffer | null
  readonly reopened: number
  /** The store is to be searched for states whose keys contain these; then `key` is empty. */
  readonly parts: KeyParts | null
}

/** What a note asks for. */
type Work = 'rebuild' | 'search' | 'remove'

type Views = Pick<Catalog, 'views' | 'online'>

/**
 * Does the remaining work that erasures have noted (see `eraseEntity`), also for another process that died. Any number
 * of processes may call it at once.
 *
 * @returns how many erasures are left, which wait for an open transaction
 * @throws LockstepError `REDIS_UNAVAILABLE`: call it again
 */
export async function finishErasures(db: Database, store: OnlineStore, catalog: Views, options: FinishOptions): Promise<number> {
  faultPoint('erase: committed')
  // before notes are settled, which may delete the keys
  const erased = await erasedEntities(db)
  for (const view of await notedViews(db, 'rebuild'))
    await each(db, view, 'rebuild', (states) => renew(db, store, catalog, states, options))
  if (await waitForEarlierTransactions(db, options.waitMs, options.signal)) {
    faultPoint('erase: waited')
    // runs that had read the rows of users' tables before their deletion have ended
    for (const view of await notedViews(db, 'search')) await each(db, view, 'search', (states) => search(db, store, states, options))
    for (const view of await notedViews(db, 'remove'))
      await each(db, view, 'remove', (states) => remove(db, store, catalog, states, options))
  }
  await dropPredictions(db, store)
  await forgetLogged(db, erased)
  const finished = await db.query(
    `UPDATE lockstep.erasures e SET finished_at = now() WHERE finished_at IS NULL AND NOT EXISTS (SELECT FROM lockstep.erasure_states s WHERE s.erasure = e.id AND s.done_at IS NULL) RETURNING id`,
  )
  // again: states that were read between the first notice and their removal may be remembered since
  if (finished.length > 0) await notifyErased(db.kysely)
  return pendingErasures(db)
}

/** Predictions of batches that may be of erased entities: servers predict again, until the next batch. */
async function dropPredictions({ kysely }: Pick<Database, 'kysely'>, store: OnlineStore): Promise<void> {
  const open = await kysely.selectFrom('lockstep.erasures').select('entity').distinct().where('finished_at', 'is', null).execute()
  if (open.length === 0) return
  const models = await kysely.selectFrom('lockstep.model_versions').select('model').distinct().execute()
  for (const { model } of models) {
    const batch = await readStoredBatch(store, model)
    if (batch !== null && open.some(({ entity }) => batch.entities.includes(entity))) await dropBatch(store, model)
  }
}

export async function pendingErasures({ kysely }: Pick<Database, 'kysely'>): Promise<number> {
  const { n } = await kysely
    .selectFrom('lockstep.erasures')
    .select(({ fn }) => fn.countAll<string>().as('n'))
    .where('finished_at', 'is', null)
    .executeTakeFirstOrThrow()
  return Number(n)
}

/** Notes of states that came out empty are kept until these states are removed. */
async function renew(db: Database, store: OnlineStore, catalog: Views, states: readonly State[], options: FinishOptions): Promise<void> {
  const keep = isKept(store, options)
  const [first] = states
  const plan = first && catalog.online.has(first.view) ? catalog.views.get(first.view) : undefined
  const owned = plan?.spec.source.relation.kind === 'owned'
  if (plan === undefined || !owned) {
    if (first !== undefined && (await isOurs(db, store, first.view))) await removeStates(store, states)
    await settle(db, states, keep)
    return
  }
  if (!(await isOurs(db, store, plan.id))) return await settle(db, states, keep)
  const keys = states.map(({ key }) => key)
  const empty = await rebuildStates(db, store, plan, keys, options.moment)
  faultPoint('erase: rebuilt')
  await settle(
    db,
    states.filter(({ key }) => !empty.has(key)),
    keep,
  )
  for (const { erasure, view, key, reopened } of states) {
    const emptied = empty.get(key)
    if (emptied === undefined) continue
    await db.kysely
      .updateTable('lockstep.erasure_states')
      .set({ emptied })
      .where('erasure', '=', erasure)
      .where('view', '=', view)
      .where('key', '=', Buffer.from(key, 'latin1'))
      .where('reopened', '=', reopened)
      .execute()
  }
}

/**
 * If another state is stored there by now, there are two possible reasons: new rows came, or a writer with the old rows
 * began before the view was restarted. The state is rebuilt once more.
 */
async function remove(db: Database, store: OnlineStore, catalog: Views, states: readonly State[], options: FinishOptions): Promise<void> {
  const removed = await store.write(
    states.map(({ view, entity, key, emptied }) => ({ view, entity, key, expected: emptied, bytes: noBytes })),
  )
  faultPoint('erase: removed')
  const others = states.filter((_, i) => removed[i] !== true)
  const [first] = others
  const plan = first === undefined ? undefined : catalog.views.get(first.view)
  if (plan !== undefined) {
    const keys = others.map(({ key }) => key)
    const empty = await rebuildStates(db, store, plan, keys, options.moment)
    const gone = others.filter(({ key }) => empty.has(key))
    await store.write(gone.map(({ view, entity, key }) => ({ view, entity, key, expected: empty.get(key) ?? null, bytes: noBytes })))
  }
  await settle(db, states, isKept(store, options))
}

async function search(db: Database, store: OnlineStore, states: readonly State[], options: FinishOptions): Promise<void> {
  const [first] = states
  if (first !== undefined && (await isOurs(db, store, first.view))) {
    const erased = states.flatMap(({ parts }) => (parts === null ? [] : [parts]))
    await removeContaining(db, store, first, erased, options.signal)
  }
  await settle(db, states, isKept(store, options))
}

async function notedViews({ kysely }: Database, work: Work): Promise<string[]> {
  const rows = await kysely.selectFrom('lockstep.erasure_states').select('view').distinct().where(isNoted(work)).execute()
  return rows.map(({ view }) => view)
}

function isNoted(work: Work) {
  const condition = { rebuild: sql`parts is null and emptied is null`, remove: sql`emptied is not null`, search: sql`parts is not null` }
  return sql<boolean>`done_at is null and ${condition[work]}`
}

/** Runs `work` on the notes of a view, a batch at a time. `work` deletes or changes them. */
async function each(db: Database, view: string, kind: Work, work: (states: readonly State[]) => Promise<void>): Promise<void> {
  for (;;) {
    const rows = await db.kysely
      .selectFrom('lockstep.erasure_states')
      .select(['erasure', 'view', 'entity', 'key', 'emptied', 'reopened', 'parts'])
      .where('view', '=', view)
      .where(isNoted(kind))
      .limit(statesAtOnce)
      .execute()
    if (rows.length === 0) return
    await work(rows.map((row) => ({ ...row, view: row.view as DefinitionId, key: row.key.toString('latin1') })))
  }
}

/** Work is repeated only for a store that may lose writes in a failover. */
function isKept({ kind }: OnlineStore, { replayMs = defaultReplayMs }: FinishOptions): boolean {
  return kind !== 'embedded' && replayMs > 0
}

/**
 * All notes of an erasure are written at once. So work that was done after one of them was read was done after all of
 * them were written. Notes that a failover has reopened meanwhile are left as they are.
 */
async function settle({ kysely }: Database, states: readonly State[], keep: boolean): Promise<void> {
  for (const [reopened, some] of Map.groupBy(states, (state) => state.reopened)) {
    const [first] = some
    if (first === undefined) continue
    const erasures = [...new Set(some.map(({ erasure }) => erasure))]
    const keys = some.map(({ key }) => Buffer.from(key, 'latin1'))
    const table = 'lockstep.erasure_states'
    if (keep) {
      const done = kysely.updateTable(table).set({ done_at: new Date(), emptied: null }).where('view', '=', first.view)
      await done.where('erasure', 'in', erasures).where('key', 'in', keys).where('reopened', '=', reopened).execute()
    } else {
      const gone = kysely.deleteFrom(table).where('view', '=', first.view)
      await gone.where('erasure', 'in', erasures).where('key', 'in', keys).where('reopened', '=', reopened).execute()
    }
  }
}
