import type { EntityKey } from '../kernel/entity-key.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import { readSourceTable } from '../offline/source-table.ts'
import type { Marker } from '../online/marker.ts'
import { advanceMarker, readUnderMarker } from '../online/marker.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Database, Snapshot } from '../runtime/database.ts'
import { awaitWriters, snapshotBounds } from '../runtime/writers.ts'
import { beginAnew, beginView, lost, mismatch } from './begin-view.ts'
import { createArrivals } from './arrivals.ts'
import type { FoldTarget } from './fold-stream.ts'
import { foldStream } from './fold-stream.ts'
import { regroup } from './regroup.ts'
import { finishRun, startRun } from './runs.ts'
import { createStateWriter } from './state-writer.ts'

/** The keys of one statement. Where the table has no index on the key, each reads the table once. */
const keysPerRetry = 20_000
const defaultWaitMs = 2_000

export interface MaterializeOptions {
  /** What the run counts as now, epoch microseconds: rows that become visible later wait in their states. Default: `now()`. */
  readonly moment?: number
  /** The clock, epoch microseconds. Default: this machine's. */
  readonly now?: () => number
  /** Removes what the store holds of the view first, whoever wrote it. */
  readonly rebuild?: boolean
  /**
   * How long to wait at first for transactions that write anywhere in the server, milliseconds. Rows that were committed while such a one goes on cannot be told from
   * those that it may still commit, and are left for a later run (`heldBack`). Default: 2,000.
   */
  readonly waitMs?: number
  readonly onProgress?: (progress: MaterializeProgress) => void
  readonly signal?: AbortSignal
}

export interface MaterializeProgress {
  /** Rows read so far, and entities written. */
  readonly rows: number
  readonly entities: number
}

export interface MaterializeResult {
  /** `incremental`: what arrived since the last run was folded into the stored states. `full`: the table tells no arrivals, so all of it was read. */
  readonly mode: 'incremental' | 'full'
  /** Rows with an arrival in [from, to) were read. */
  readonly from: number
  readonly to: number
  readonly moment: number
  /** Rows that were folded, and entities that were written; what was covered already is in neither. */
  readonly rows: number
  readonly entities: number
  /** Committed rows that are left for a later run, because a transaction that began before they were committed has not ended. */
  readonly heldBack: number
}

/**
 * Brings the view's states in the online store up to all rows that are committed for good, once. Each row counts once and the newest wins, however many
 * runs work at once and wherever one is killed: a state carries the arrival frontier that it covers, takes only rows beyond it, and is stored only
 * over the very frontier that it was folded from.
 *
 *     read the marker -> freeze the database -> stream [marker, xmin) by entity -> fold, compare and set -> retry what was refused -> move the marker
 *
 * @throws LockstepError `STORE_MISMATCH` where the store holds this view of another database or definition, or loses it meanwhile; `INVALID_ROW` for rows that this
 *   database did not write; `SOURCE_MISSING`, `TRANSFORM_FAILED`, `PENDING_OVERFLOW`, `REDIS_UNAVAILABLE`, `POSTGRES_UNAVAILABLE`
 */
export async function materializeView(
  db: Database,
  store: OnlineStore,
  plan: ViewPlan,
  options: MaterializeOptions = {},
): Promise<MaterializeResult> {
  const now = options.now ?? (() => Date.now() * 1000)
  const moment = options.moment ?? now()
  const table = await readSourceTable(db, plan.spec.source)
  const incremental = table.hasRow && table.hasXid
  const identity = await store.identity()
  const startedAt = new Date(Math.floor(now() / 1000))
  const run = await startRun(db, { view: plan.id, fingerprint: plan.fingerprint, store: identity, moment, startedAt })
  const marker =
    options.rebuild === true ? await beginAnew(store, plan, run, incremental) : await beginView(db, store, plan, run, incremental)
  if (incremental) await awaitWriters(db, options.waitMs ?? defaultWaitMs, options.signal)
  const result = await db.snapshot((snapshot) => foldSnapshot(snapshot, store, plan, { ...options, moment, marker }))
  if (!(await advanceMarker(store, plan.id, marker, result.to))) throw lost(plan)
  await finishRun(
    db,
    run,
    { fromXid: result.from, toXid: result.to, rows: result.rows, entities: result.entities },
    new Date(Math.floor(now() / 1000)),
  )
  return result
}

async function foldSnapshot(
  snapshot: Snapshot,
  store: OnlineStore,
  plan: ViewPlan,
  options: MaterializeOptions & { readonly moment: number; readonly marker: Marker },
): Promise<MaterializeResult> {
  const { moment, marker, signal } = options
  const { incremental } = marker
  const to = snapshot.xmin
  const { xmax, ended } = await snapshotBounds(snapshot)
  if (to < marker.frontier) {
    throw mismatch(plan, `up to transaction ${marker.frontier}, and this database has only come to ${to} (it was restored or moved)`)
  }
  const from = incremental ? Math.max(0, marker.frontier) : 0
  const writer = createStateWriter(store, plan)
  const read = async (keys: readonly EntityKey[]): Promise<(Buffer | null)[]> => {
    const online = keys.map((key) => ({ view: plan.id, entity: plan.spec.entity.name, key }))
    const stored = await readUnderMarker(store, plan.id, marker, online)
    if (stored === null) throw lost(plan)
    return stored
  }
  const target = (lowest: number): FoldTarget => ({
    plan,
    read,
    writer,
    from: lowest,
    to: incremental ? to : ended,
    moment,
    start: incremental ? 'resume' : 'renew',
  })
  const arrivals = createArrivals({ snapshot, plan, to: incremental ? to : null, xmax, signal }, (rows) =>
    options.onProgress?.({ rows, entities: writer.stored.entities }),
  )

  signal?.throwIfAborted()
  if (from < xmax) await foldStream(target(from), arrivals.since(from))
  for (let refused = await writer.drain(); refused.length > 0; refused = await writer.drain()) {
    for (let i = 0; i < refused.length; i += keysPerRetry) {
      const keys = refused.slice(i, i + keysPerRetry)
      const groups = incremental ? await regroup(plan, keys, read) : [{ from: 0, keys }]
      for (const group of groups) if (group.from < to) await foldStream(target(group.from), arrivals.since(group.from, group.keys))
    }
  }
  return { mode: incremental ? 'incremental' : 'full', from, to, moment, ...writer.stored, heldBack: arrivals.heldBack() }
}
