import type { EntityKey } from '../kernel/entity-key.ts'
import { LockstepError } from '../kernel/errors.ts'
import { readHeader } from '../kernel/stored-state.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { SourceRow } from '../offline/row-decoder.ts'
import type { SourceStreamOptions } from '../offline/source-stream.ts'
import { sourceRows } from '../offline/source-stream.ts'
import { readSourceTable } from '../offline/source-table.ts'
import type { Marker } from '../online/marker.ts'
import { advanceMarker, readMarker, writeMarker } from '../online/marker.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Database, Snapshot } from '../runtime/database.ts'
import type { FoldTarget } from './fold-stream.ts'
import { foldStream } from './fold-stream.ts'
import type { Run } from './runs.ts'
import { finishRun, knowsRun, startRun } from './runs.ts'
import { createStateWriter } from './state-writer.ts'

const keysPerRetry = 500

export interface MaterializeOptions {
  /** What the run counts as now, epoch microseconds: rows that become visible later wait in their states. Default: `now()`. */
  readonly moment?: number
  /** The clock, epoch microseconds. Default: this machine's. */
  readonly now?: () => number
  /** Removes what the store holds of the view first, whoever wrote it. */
  readonly rebuild?: boolean
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
}

/**
 * Brings the view's states in the online store up to all rows that are committed for good, once. Each row counts once and the newest wins, however many
 * runs work at once and wherever one is killed: a state carries the arrival frontier that it covers, takes only rows beyond it, and is stored only
 * over the very frontier that it was folded from.
 *
 *     read the marker -> freeze the database -> stream [marker, xmin) by entity -> fold, compare and set -> retry what was refused -> move the marker
 *
 * @throws LockstepError `STORE_MISMATCH` where the store holds this view of another database or definition; `SOURCE_MISSING`, `TRANSFORM_FAILED`,
 *   `PENDING_OVERFLOW`, `REDIS_UNAVAILABLE`, `POSTGRES_UNAVAILABLE`
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
  if (options.rebuild === true) await store.removeView(plan.id)
  const marker = await beginView(db, store, plan, run, incremental)
  const result = await db.snapshot((snapshot) => foldSnapshot(snapshot, store, plan, { ...options, moment, marker }))
  await finishRun(
    db,
    run,
    { fromXid: result.from, toXid: result.to, rows: result.rows, entities: result.entities },
    new Date(Math.floor(now() / 1000)),
  )
  if (!(await advanceMarker(store, plan.id, marker, result.to))) await abandon(store, plan, result)
  return result
}

/**
 * The view was removed or begun anew while this run wrote. A state that it wrote for a key which it found absent lacks the rows below `from`, and nothing
 * in the bytes would tell; so all goes, and the next run begins at zero.
 */
async function abandon(store: OnlineStore, plan: ViewPlan, { from }: MaterializeResult): Promise<never> {
  if (from > 0) await store.removeView(plan.id)
  throw new LockstepError(
    'STORE_MISMATCH',
    `The online store lost "${plan.id}" while it was materialized: it was emptied, or another run rebuilt the view. Materialize it again.`,
  )
}

/** The marker to start from: the store's own, or a first one that names this run. */
async function beginView(db: Database, store: OnlineStore, plan: ViewPlan, run: Run, incremental: boolean): Promise<Marker> {
  for (;;) {
    const present = await readMarker(store, plan.id)
    if (present === null) {
      const first: Marker = { frontier: 0, fingerprint: plan.fingerprint, incremental, origin: run }
      if (await writeMarker(store, plan.id, first, null)) return first
      continue // another run was first
    }
    if (present.fingerprint !== plan.fingerprint) throw mismatch(plan, 'from another definition')
    if (!(await knowsRun(db, present.origin))) throw mismatch(plan, 'from another database')
    // The rows that were there got their arrival when the columns were added, and would be counted once more.
    if (incremental && !present.incremental) throw mismatch(plan, 'from before its table had the columns "_row" and "_xid"')
    return { ...present, incremental }
  }
}

async function foldSnapshot(
  snapshot: Snapshot,
  store: OnlineStore,
  plan: ViewPlan,
  options: MaterializeOptions & { readonly moment: number; readonly marker: Marker },
): Promise<MaterializeResult> {
  const { moment, marker, signal } = options
  const to = snapshot.xmin
  if (to < marker.frontier) {
    throw mismatch(plan, `up to transaction ${marker.frontier}, and this database has only come to ${to} (it was restored or moved)`)
  }
  const { incremental } = marker
  const from = incremental ? marker.frontier : 0
  const writer = createStateWriter(store, plan)
  const target: FoldTarget = { store, plan, writer, to, moment, start: incremental ? 'resume' : 'renew' }
  let read = 0

  async function* rows(bounds: SourceStreamOptions): AsyncGenerator<readonly SourceRow[]> {
    for await (const batch of sourceRows(snapshot, [plan], bounds)) {
      signal?.throwIfAborted()
      yield batch
      read += batch.length
      options.onProgress?.({ rows: read, entities: writer.stored.entities })
    }
  }
  const bounds = (lowest: number): SourceStreamOptions => (incremental ? { arrival: { from: lowest, to }, withXid: true } : {})

  signal?.throwIfAborted()
  if (from < to) await foldStream(target, rows(bounds(from)))
  for (let refused = await writer.drain(); refused.length > 0; refused = await writer.drain()) {
    for (let i = 0; i < refused.length; i += keysPerRetry) {
      const keys = refused.slice(i, i + keysPerRetry)
      const lowest = await lowestFrontier(store, plan, keys)
      if (lowest < to || !incremental) await foldStream(target, rows({ ...bounds(lowest), keys }))
    }
  }
  return { mode: incremental ? 'incremental' : 'full', from, to, moment, ...writer.stored }
}

/** From which arrival on the rows of these keys have to be read again, now that another run has written some of them. */
async function lowestFrontier(store: OnlineStore, plan: ViewPlan, keys: readonly EntityKey[]): Promise<number> {
  const stored = await store.read(keys.map((key) => ({ view: plan.id, entity: plan.spec.entity.name, key })))
  return Math.min(...stored.map((bytes) => (bytes === null ? 0 : readHeader(bytes, plan.id).frontier)))
}

function mismatch(plan: ViewPlan, how: string): LockstepError {
  return new LockstepError(
    'STORE_MISMATCH',
    `The online store holds "${plan.id}" ${how}. Give each installation its own store (LOCKSTEP_REDIS_URL, LOCKSTEP_REDIS_PREFIX, LOCKSTEP_DIR), or rebuild the view to replace what is there.`,
  )
}
