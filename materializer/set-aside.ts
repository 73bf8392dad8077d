import { sql } from 'kysely'
import type { EntityKey } from '../kernel/values/entity-key.ts'
import { cutText } from '../kernel/values/cut-text.ts'
import type { LockstepError } from '../kernel/errors.ts'
import type { Frontier } from '../kernel/states/frontier.ts'
import { includes } from '../kernel/states/frontier.ts'
import { readSetAside } from '../kernel/states/set-aside.ts'
import { stateHead, soundHeader } from '../kernel/states/stored-state.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { OnlineStore, OnlineWrite } from '../online/store.ts'
import { noBytes } from '../online/store.ts'
import type { Database } from '../runtime/postgres/database.ts'

/** A view of which more entities cannot be folded has a fault of its own, and its run fails. */
export const maxSetAside = 1_000
const table = 'lockstep.set_aside'
const keptMessage = 1_000
const shownEach = 5

export interface SetAsideEntity {
  readonly key: EntityKey
  readonly error: LockstepError
}

/** Writes down which entities have no state, so that runs try them again and `status` lists them. */
export async function noteSetAside(db: Database, store: OnlineStore, plan: ViewPlan, entities: readonly SetAsideEntity[]): Promise<void> {
  if (entities.length === 0) return
  const identity = await store.identity()
  await db.kysely
    .insertInto(table)
    .values(
      entities.map(({ key, error: { code, message } }) => ({
        view: plan.id,
        store: identity,
        entity: plan.spec.entity.name,
        key: Buffer.from(key, 'latin1'),
        code,
        message: cutText(message, keptMessage),
      })),
    )
    .onConflict((conflict) =>
      conflict
        .columns(['view', 'store', 'key'])
        .doUpdateSet(({ ref }) => ({ code: ref('excluded.code'), message: ref('excluded.message'), tried_at: sql<Date>`now()` })),
    )
    .execute()
}

/** The keys that were tried longest ago. @param longerAgoMs only those that were not tried within that time */
export async function setAsideKeys(db: Database, view: string, store: string, longerAgoMs = 0): Promise<EntityKey[]> {
  const rows = await db.kysely
    .selectFrom(table)
    .select(['key'])
    .where('view', '=', view)
    .where('store', '=', store)
    .where('tried_at', '<=', sql<Date>`now() - ${longerAgoMs} * interval '1 millisecond'`)
    .orderBy('tried_at')
    .orderBy('key')
    .limit(maxSetAside)
    .execute()
  return rows.map(({ key }) => key.toString('latin1'))
}

/**
 * Updates the list after a run has tried `keys` again: removes keys that have a state now, and deletes the placeholder
 * of keys that no longer have a row.
 *
 * @param failed those that could still not be folded
 * @param seen the transactions whose rows the run read
 */
export async function settleSetAside(
  db: Database,
  store: OnlineStore,
  plan: ViewPlan,
  tried: { readonly keys: readonly EntityKey[]; readonly failed: readonly SetAsideEntity[]; readonly seen: Frontier },
): Promise<void> {
  const failed = new Set(tried.failed.map(({ key }) => key))
  const online = tried.keys.filter((key) => !failed.has(key)).map((key) => ({ view: plan.id, entity: plan.spec.entity.name, key }))
  if (online.length === 0) return
  const stored = await store.read(online)
  const [settled, gone]: [EntityKey[], OnlineWrite[]] = [[], []]
  for (const [i, each] of online.entries()) {
    const bytes = stored[i] ?? null
    const header = bytes === null ? null : soundHeader(bytes, plan.id)
    if (bytes === null || header === null || readSetAside(bytes, header) === null) settled.push(each.key)
    else if (includes(tried.seen, header.frontier)) gone.push({ ...each, expected: stateHead(bytes, header), bytes: noBytes })
  }
  const removed = gone.length === 0 ? [] : await store.write(gone)
  settled.push(...gone.flatMap(({ key }, i) => (removed[i] === true ? [key] : [])))
  if (settled.length === 0) return
  await db.kysely
    .deleteFrom(table)
    .where('view', '=', plan.id)
    .where('store', '=', await store.identity())
    .where(
      'key',
      'in',
      settled.map((key) => Buffer.from(key, 'latin1')),
    )
    .execute()
}

export interface SetAsideOfView {
  readonly entities: number
  /** The messages of the first few of them. */
  readonly messages: readonly string[]
}

export const noneSetAside: SetAsideOfView = { entities: 0, messages: [] }

/** By view, as it is in one store. @param since only entities that were tried from then on */
export async function readSetAsides(db: Database, store: string, since = new Date(0)): Promise<ReadonlyMap<string, SetAsideOfView>> {
  const rows = await db.query<{ view: string; entities: string; messages: string[] }>(
    `SELECT view, count(*)::text AS entities, (array_agg(message ORDER BY since, key))[1:${shownEach}] AS messages
     FROM ${table} WHERE store = $1 AND tried_at >= $2 GROUP BY view`,
    [store, since],
  )
  return new Map(rows.map(({ view, entities, messages }) => [view, { entities: Number(entities), messages }]))
}
