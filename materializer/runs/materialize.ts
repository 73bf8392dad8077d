import type { EntityKey } from '../../kernel/values/entity-key.ts'
import type { LockstepError } from '../../kernel/errors.ts'
import type { Frontier } from '../../kernel/states/frontier.ts'
import { allBelow, covers, upperBound, frontierOf, noTransactions, without } from '../../kernel/states/frontier.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { SourceRow } from '../../offline/rows/row-decoder.ts'
import type { SourceTable } from '../../offline/rows/source-table.ts'
import { readSourceTable } from '../../offline/rows/source-table.ts'
import type { Checkpoint } from '../../online/checkpoint.ts'
import { advanceCheckpoint } from '../../online/checkpoint.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database, Snapshot } from '../../runtime/postgres/database.ts'
import { sharedClock } from '../../runtime/postgres/database-clock.ts'
import { faultPoint } from '../../runtime/fault-point.ts'
import type { Logger } from '../../runtime/log.ts'
import type { RegressionGuard } from '../regression-guard.ts'
import { createRegressionGuard } from '../regression-guard.ts'
import { beginRebuild, beginView, lost, witnessOf } from './begin-view.ts'
import { createArrivals } from '../arrivals.ts'
import type { RowDelays } from '../row-delays.ts'
import { createRowDelays, recordRunDelays } from '../row-delays.ts'
import { retryConflicts } from '../retry-conflicts.ts'
import { fewRanges, foldStream } from '../fold-stream.ts'
import { detectFailover } from './detect-failover.ts'
import { sourceTableName } from '../../runtime/postgres/relation.ts'
import type { RunOutcome } from './runs.ts'
import { finishRun, startRun } from './runs.ts'
import { maxSetAside, noteSetAside, setAsideKeys, settleSetAside } from '../set-aside.ts'
import type { NotKept, Stored } from '../state-writer.ts'
import type { CursorRun } from '../cursor.ts'
import { planCursorRun, readCursor } from '../cursor.ts'
import { createStateReader } from '../state-reader.ts'
import { createStateWriter, notKept } from '../state-writer.ts'

export interface MaterializeOptions {
  /** What counts as now, epoch microseconds: rows that become visible later wait in their states. Default: `now()`. */
  readonly moment?: number | undefined
  /** The clock, epoch microseconds. Default: this machine's. */
  readonly now?: () => number
  /** Removes the view's states first, from all writers. */
  readonly rebuild?: boolean
  /** `FailoverOptions.replayMs` */
  readonly replayMs?: number | undefined
  readonly onProgress?: (progress: MaterializeProgress) => void
  readonly signal?: AbortSignal | undefined
  readonly log?: Logger | undefined
}

export interface MaterializeProgress {
  /** Rows read so far, and entities written. */
  readonly rows: number
  readonly entities: number
}

export interface MaterializeResult {
  /**
   * - `incremental`: rows that arrived since the last run were folded into the stored states
   * - `full`: the table has no arrival columns, so all of it was read
   * - `cursor`: the table has a cursor column, so entities with rows since the last run were read
   */
  readonly mode: 'incremental' | 'cursor' | 'full'
  /**
   * The arrivals by which this run advanced the checkpoint, [from, to). The ranges of other runs touch it and do not
   * overlap.
   */
  readonly from: number
  readonly to: number
  readonly moment: number
  /** Rows that were folded, and entities that were written. Rows that a state already included do not count. */
  readonly rows: number
  readonly entities: number
  /**
   * Entities whose state was not stored, because it is over the view's `maxStateBytes`, and the errors of the first
   * five.
   */
  readonly tooLarge: NotKept
  /**
   * Entities that are set aside, because one of their rows cannot be folded or too many rows wait; and rows whose key
   * cannot be read, which are skipped.
   */
  readonly setAside: NotKept
}

/**
 * Brings the view's states in the online store up to date with all committed rows, once. Each row counts once, and the
 * newest wins, no matter how many runs work at once, what is pushed meanwhile, or where a run is killed. A state
 * carries its frontier (the transactions whose rows it includes), takes only rows of other transactions, and is stored
 * only over the frontier that it was folded from. An open transaction delays no others: only its own rows wait for a
 * later run.
 *
 *     read the checkpoint -> take a snapshot -> stream the missing rows by entity
 *       -> fold, compare and set -> retry conflicts -> advance the checkpoint
 *
 * @throws LockstepError `STORE_MISMATCH` where the store holds this view of another database or definition, or loses it
 *   meanwhile; `INVALID_ROW` for rows that this database did not write; `SOURCE_MISSING`, `REDIS_UNAVAILABLE`,
 *   `POSTGRES_UNAVAILABLE`; if over 1,000 entities have rows that cannot be folded, the error of one of them
 */
export async function materializeView(
  db: Database,
  store: OnlineStore,
  plan: ViewPlan,
  options: MaterializeOptions = {},
): Promise<MaterializeResult> {
  // a run that seems to have begun later than it has would stand for later instants of its schedule, too
  const now = await sharedClock(db, options.now ?? (() => Date.now() * 1000))
  const begunAt = Math.floor(now())
  const moment = options.moment ?? begunAt
  const identity = await store.identity()
  const startedAt = new Date(Math.floor(begunAt / 1000))
  await detectFailover(db, store, { replayMs: options.replayMs, nowMs: startedAt.getTime() })
  const run = await startRun(db, {
    view: plan.id,
    fingerprint: plan.fingerprint,
    store: identity,
    moment,
    startedAt,
    table: sourceTableName(plan.spec.source),
  })
  faultPoint('run: recorded')
  // after this, a failure leaves an unfinished run: this shows that runs of a view fail
  const table = await readSourceTable(db, plan.spec.source)
  const incremental = table.hasRow && table.hasXid
  const checkpoint =
    options.rebuild === true ? await beginRebuild(db, store, plan, run, incremental) : await beginView(db, store, plan, run, incremental)
  faultPoint('run: begun')
  const cursorRun = incremental ? null : await planCursorRun(db, plan, checkpoint, identity, startedAt)
  const delays = incremental && checkpoint.frontier.below > 0 ? createRowDelays(db, plan.id, now) : null
  const guard = createRegressionGuard(db, store, plan)
  const unkeyed: LockstepError[] = []
  const onUnkeyed = (error: LockstepError): void => void (unkeyed.length < maxSetAside && unkeyed.push(error))
  const again = await setAsideKeys(db, plan.id, identity)
  const { seen, states, xmax, rows, entities, tooLarge, setAside, cursor } = await db.snapshot((snapshot) =>
    foldSnapshot(snapshot, store, plan, {
      ...options,
      moment,
      checkpoint,
      table,
      cursorRun,
      again,
      onUnkeyed,
      guard,
      delays,
    }),
  )
  await guard.check(xmax)
  await noteSetAside(db, store, plan, setAside)
  await settleSetAside(db, store, plan, { keys: again, failed: setAside, seen: states })
  faultPoint('run: folded')
  const moved = await advanceCheckpoint(store, plan.id, checkpoint, { folded: seen, begunAt, witness: witnessOf(db, store, plan) })
  if (moved === null) throw lost(plan)
  faultPoint('run: checkpoint moved')
  const outcome = {
    begun: checkpoint.origin,
    readAll: !incremental,
    to: moved.is.below,
    rows,
    entities,
    ...(cursor === null ? {} : { cursor }),
  }
  const { from, to } = await finishRun(db, run, outcome, new Date(Math.floor(now() / 1000)))
  await recordRunDelays(db, delays, plan.spec.source.name, options.log)
  const mode = incremental ? 'incremental' : cursor?.readAll === false ? 'cursor' : 'full'
  return { mode, from, to, moment, rows, entities, tooLarge, setAside: notKept([...setAside.map(({ error }) => error), ...unkeyed]) }
}

/** Folds the rows of the snapshot that the checkpoint lacks. */
async function foldSnapshot(
  snapshot: Snapshot,
  store: OnlineStore,
  plan: ViewPlan,
  options: MaterializeOptions & {
    readonly moment: number
    readonly checkpoint: Checkpoint
    readonly table: SourceTable
    readonly cursorRun: CursorRun | null
    /** Entities that are set aside: all their rows are read again. */
    readonly again: readonly EntityKey[]
    readonly onUnkeyed: (error: LockstepError) => void
    readonly guard: RegressionGuard
    readonly delays: RowDelays | null
  },
): Promise<{ seen: Frontier; states: Frontier; xmax: number; cursor: NonNullable<RunOutcome['cursor']> | null } & Stored> {
  const { moment, checkpoint, signal, table, cursorRun, again, onUnkeyed, guard, delays } = options
  const { incremental } = checkpoint
  const bounds = snapshot.bounds
  await guard.refuse(checkpoint.frontier.below, bounds.xmin)
  await guard.refuse(upperBound(checkpoint.frontier), bounds.xmax)
  const seen = incremental ? frontierOf(bounds) : allBelow(bounds.xmin)
  const known = incremental ? checkpoint.frontier : noTransactions
  const writer = createStateWriter(store, plan)
  const read = createStateReader(store, plan, checkpoint)
  const cursor = cursorRun === null ? null : await readCursor(snapshot, table, plan, cursorRun)
  const only = cursor?.keysIn === undefined ? {} : { keysIn: cursor.keysIn }
  const onRead = (read: number): void => options.onProgress?.({ rows: read, entities: writer.stored.entities })
  const arrivals = createArrivals({
    snapshot,
    plan,
    seen: incremental ? seen : null,
    xmax: bounds.xmax,
    signal,
    only,
    onUnkeyed,
    onRead,
  })
  // States that are rebuilt are ordered by the snapshots that they come from.
  const states = incremental ? seen : allBelow(bounds.ended)
  const rows = without(states, known)
  const onFolded = delays === null ? {} : { onFolded: (row: SourceRow) => void (covers(known, row.xid) || delays.note(row)) }
  const target = { plan, read, writer, moment, onStored: guard.note, ...onFolded, start: incremental ? 'resume' : 'renew' } as const
  // states that are set aside without a note: the run that set them aside ended before it wrote the note
  const left: EntityKey[] = []

  signal?.throwIfAborted()
  const first = { ...target, rows, maxRanges: Math.max(fewRanges, seen.beyond.length), onLeft: (key: EntityKey) => void left.push(key) }
  await foldStream(first, arrivals(known))
  await retryConflicts(target, arrivals, states, [...new Set([...(await writer.drain()), ...again, ...left])])
  return { seen, states, xmax: bounds.xmax, cursor: cursor?.outcome ?? null, ...writer.stored }
}
