import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { allBelow, upperBound, frontierOf, noTransactions } from '../../kernel/states/frontier.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import { keysWithin } from '../../offline/key-ranges.ts'
import type { KeyRange } from '../../offline/rows/stream-sql.ts'
import type { Checkpoint } from '../../online/checkpoint.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database, Snapshot } from '../../runtime/postgres/database.ts'
import type { RegressionGuard } from '../regression-guard.ts'
import { createRegressionGuard } from '../regression-guard.ts'
import { createArrivals } from '../arrivals.ts'
import type { FoldTarget } from '../fold-stream.ts'
import { foldStream } from '../fold-stream.ts'
import { createStateReader } from '../state-reader.ts'
import type { NotKeptListener } from '../state-writer.ts'
import { createStateWriter, reportNotKept } from '../state-writer.ts'
import { noteSetAside } from '../set-aside.ts'

/** The keys of one statement. */
const keysPerStatement = 20_000

export interface RebuildOptions {
  readonly checkpoint: Checkpoint
  readonly range: KeyRange
  /** Only entities with an event in [from, to), epoch microseconds; null: all. */
  readonly events: { readonly from: number; readonly to: number } | null
  /** The moment of the rebuild, epoch microseconds. */
  readonly moment: number
  readonly signal?: AbortSignal
  readonly onTooLarge?: NotKeptListener | undefined
}

export interface RebuiltRange {
  /** All rows of transactions below it are in the states. */
  readonly below: number
  readonly rows: number
  readonly entities: number
}

/**
 * Rebuilds the states of a range of keys, each from all its rows. If another writer has changed a state meanwhile, or
 * the state holds rows that this snapshot lacks, the entity is read again later. So no state loses rows, and the
 * rebuild can be repeated.
 *
 * @throws LockstepError `STORE_MISMATCH` where the view was restarted, or the store knows of transactions that this
 *   database has not come to
 */
export async function rebuildRange(db: Database, store: OnlineStore, plan: ViewPlan, options: RebuildOptions): Promise<RebuiltRange> {
  const done = { below: Number.POSITIVE_INFINITY, rows: 0, entities: 0 }
  const guard = createRegressionGuard(db, store, plan)
  let again: (readonly EntityKey[] | undefined)[] = [undefined]
  while (again.length > 0) {
    const refused: EntityKey[] = []
    for (const keys of again) {
      const pass = await db.snapshot((snapshot) => rebuildOnce(snapshot, store, plan, options, guard, keys))
      await guard.check(pass.xmax)
      refused.push(...pass.refused)
      done.below = Math.min(done.below, pass.below)
      done.rows += pass.stored.rows
      done.entities += pass.stored.entities
      await noteSetAside(db, store, plan, pass.stored.setAside)
      reportNotKept(plan.id, pass.stored, options.onTooLarge)
    }
    again = []
    for (let i = 0; i < refused.length; i += keysPerStatement) again.push(refused.slice(i, i + keysPerStatement))
  }
  return done
}

/** @param keys undefined: all keys of the range */
async function rebuildOnce(
  snapshot: Snapshot,
  store: OnlineStore,
  plan: ViewPlan,
  { checkpoint, range, events, moment, signal }: RebuildOptions,
  guard: RegressionGuard,
  keys: readonly EntityKey[] | undefined,
) {
  signal?.throwIfAborted()
  const { bounds } = snapshot
  const { incremental } = checkpoint
  await guard.refuse(upperBound(checkpoint.frontier), bounds.xmax)
  const writer = createStateWriter(store, plan)
  const seen = frontierOf(bounds)
  const keysIn = events === null || keys !== undefined ? {} : { keysIn: await keysWithin(snapshot, plan, events.from, events.to) }
  const only = keys === undefined ? { keyRange: range, ...keysIn } : {}
  const arrivals = createArrivals({ snapshot, plan, seen: incremental ? seen : null, xmax: bounds.xmax, signal, only })
  const target: FoldTarget = {
    plan,
    read: createStateReader(store, plan, checkpoint),
    writer,
    moment,
    rows: incremental ? seen : allBelow(bounds.ended),
    maxRanges: Number.POSITIVE_INFINITY,
    start: 'renew',
    onStored: guard.note,
    onNewer: (key) => writer.refuse(key),
  }
  await foldStream(target, arrivals(noTransactions, keys))
  return { refused: await writer.drain(), stored: writer.stored, below: bounds.xmin, xmax: bounds.xmax }
}
