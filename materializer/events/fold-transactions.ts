import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { covers, upperBound, frontierOf, maxRanges, noTransactions, oneTransaction, union } from '../../kernel/states/frontier.ts'
import type { Frontier } from '../../kernel/states/frontier.ts'
import { readOverCap } from '../../kernel/states/over-cap.ts'
import { isOfOneEntity } from '../../kernel/states/set-aside.ts'
import { soundHeader } from '../../kernel/states/stored-state.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import type { SourceRow } from '../../offline/rows/row-decoder.ts'
import { projection, streamColumns } from '../../offline/rows/source-stream.ts'
import { streamId } from '../../offline/rows/stream-groups.ts'
import { readArrived } from '../../offline/rows/read-arrived.ts'
import type { Checkpoint } from '../../online/checkpoint.ts'
import { tryCheckpoints } from '../../online/checkpoint.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { faultPoint } from '../../runtime/fault-point.ts'
import type { Logger } from '../../runtime/log.ts'
import { createRegressionGuard } from '../regression-guard.ts'
import { createArrivals } from '../arrivals.ts'
import type { RowDelays } from '../row-delays.ts'
import { createRowDelays, writeRowDelays } from '../row-delays.ts'
import { retryConflicts, pauseBeforeRetry } from '../retry-conflicts.ts'
import { foldStream } from '../fold-stream.ts'
import { createStateReader } from '../state-reader.ts'
import type { NotKeptListener } from '../state-writer.ts'
import { noteSetAside } from '../set-aside.ts'
import { mayFold } from '../witness-folds.ts'
import { createStateWriter, reportNotKept } from '../state-writer.ts'

/** Rows are held in memory. A transaction with more rows is a bulk load, which the next run folds. */
const maxRows = 100_000
/** If repeated events are from more transactions than this, the next run of each view folds them. */
export const maxFoldedAgain = 16

export interface FoldTransactionsOptions {
  /** Rows that become visible later wait in their states. Epoch microseconds; default: now. */
  readonly moment?: number
  readonly signal?: AbortSignal | undefined
  readonly onTooLarge?: NotKeptListener
  readonly log?: Logger | undefined
}

export interface FoldedTransactions {
  /** Rows that were folded, counted for each view, and states that were written. */
  readonly rows: number
  readonly entities: number
  /**
   * Continuous views whose next run folds the rows instead: the store has not begun them, holds them from another
   * database or definition, lost them meanwhile, or has set one of their entities aside.
   */
  readonly left: readonly DefinitionId[]
}

/**
 * Folds the rows of committed transactions into the states of the views at once, without waiting for their next run;
 * scheduled views are left out. A state skips rows that it includes already, so anybody may repeat it, beside any run.
 * If another process writes a state at the same moment, the state is read and folded again. An entity without a state
 * is read from its first row on. If the process dies, the next run does the rest.
 *
 * @param plans online views that read the source of the table that the transactions wrote to
 * @throws LockstepError as `materializeView`
 */
export async function foldTransactions(
  db: Database,
  store: OnlineStore,
  plans: readonly ViewPlan[],
  xids: readonly number[],
  options: FoldTransactionsOptions = {},
): Promise<FoldedTransactions> {
  const moment = options.moment ?? Date.now() * 1000
  const continuous = plans.filter(({ spec }) => spec.availability.kind === 'continuous')
  const groups = Map.groupBy(continuous, streamId)
  const wanted = xids.map(oneTransaction).reduce(union, noTransactions)
  const checkpointsRead = tryCheckpoints(
    store,
    continuous.map(({ id }) => id),
  )
  // Its failure is reported when the rows have been read.
  checkpointsRead.catch(() => undefined)
  // rows of a push are in their table a moment before it is folded
  const begunMs = performance.now()
  const now = (): number => moment + (performance.now() - begunMs) * 1000
  const folded = await Promise.all(
    [...groups.values()].map(async (group) => {
      const rows = await readArrived(db, group, wanted, maxRows)
      faultPoint('push: rows read')
      const checkpoints = await checkpointsRead
      // A transaction's rows are all read, or none where it has not been committed.
      const written =
        rows === null ? noTransactions : [...new Set(rows.map(({ xid }) => xid))].map(oneTransaction).reduce(union, noTransactions)
      const columns = streamColumns(group)
      return await Promise.all(
        group.map(async (plan) => {
          const checkpoint = checkpoints[continuous.indexOf(plan)] ?? null
          // the view's next run reports a checkpoint that cannot be read
          if (rows === null || checkpoint === null || checkpoint instanceof LockstepError || !(await mayFold(db, plan, checkpoint)))
            return leave(plan)
          const project = projection(columns, plan)
          const own = group.length === 1 ? rows : rows.map((row) => ({ ...row, values: project(row.values) }))
          const delays = createRowDelays(db, plan.id, now)
          const folded = await foldInto({ db, store, plan, checkpoint, written, moment, delays, options }, own)
          delays.count(() => moment)
          return folded
        }),
      )
    }),
  )
  await writeRowDelays(db, false, options.log)
  const each = folded.flat()
  return {
    rows: each.reduce((sum, { rows }) => sum + rows, 0),
    entities: each.reduce((sum, { entities }) => sum + entities, 0),
    left: each.flatMap(({ left }) => left),
  }
}

function leave(plan: ViewPlan): FoldedTransactions {
  return { rows: 0, entities: 0, left: [plan.id] }
}

interface FoldingInto {
  readonly db: Database
  readonly store: OnlineStore
  readonly plan: ViewPlan
  readonly checkpoint: Checkpoint
  readonly written: Frontier
  readonly moment: number
  readonly delays: RowDelays
  readonly options: FoldTransactionsOptions
}

async function foldInto(
  { db, store, plan, checkpoint, written, moment, delays, options }: FoldingInto,
  rows: readonly SourceRow[],
): Promise<FoldedTransactions> {
  const { signal, onTooLarge } = options
  const read = createStateReader(store, plan, checkpoint)
  const writer = createStateWriter(store, plan)
  const guard = createRegressionGuard(db, store, plan)
  let isLeft = false
  const onLeft = (): void => void (isLeft = true)
  // a state that lacked more than these rows is rebuilt from all rows of its entity
  const onFolded = (row: SourceRow): void => void (covers(written, row.xid) && delays.note(row))
  const target = { plan, read, writer, moment, onStored: guard.note, onLeft, onFolded, start: 'resume' } as const

  /** The entities that need more than the rows of the transaction. */
  async function lacking(keys: readonly EntityKey[]): Promise<EntityKey[]> {
    const stored = await read(keys)
    return keys.filter((_, i) => {
      const bytes = stored[i] ?? null
      if (bytes === null) return true
      const header = soundHeader(bytes, plan.id)
      return header === null || readOverCap(bytes, header) !== null || union(header.frontier, written).beyond.length > maxRanges
    })
  }

  try {
    let part = rows
    for (let attempt = 0; part.length > 0; attempt++) {
      signal?.throwIfAborted()
      await pauseBeforeRetry(attempt)
      await foldStream({ ...target, rows: written, maxRanges }, inOneBatch(part))
      const refused = await writer.drain()
      if (refused.length === 0) break
      const incomplete = await lacking(refused)
      if (incomplete.length > 0) {
        await db.snapshot(async (snapshot) => {
          const bounds = snapshot.bounds
          const seen = frontierOf(bounds)
          const arrivals = createArrivals({ snapshot, plan, seen, xmax: bounds.xmax, signal })
          await retryConflicts(target, arrivals, seen, incomplete)
        })
      }
      const again = new Set(refused)
      for (const key of incomplete) again.delete(key)
      part = part.filter(({ key }) => again.has(key))
    }
    // after a restore of the database, a state would take these rows for ones that it includes
    await guard.check(upperBound(written))
  } catch (error) {
    // too many entities of this view: its next run reports it, and other views go on
    if (!isOfOneEntity(error) && !(error instanceof LockstepError && error.code === 'STORE_MISMATCH')) throw error
    isLeft = true
  } finally {
    reportNotKept(plan.id, writer.stored, onTooLarge)
  }
  const { setAside } = writer.stored
  await noteSetAside(db, store, plan, setAside)
  const left = isLeft || setAside.length > 0 ? [plan.id] : []
  return { rows: writer.stored.rows, entities: writer.stored.entities, left }
}

async function* inOneBatch(rows: readonly SourceRow[]): AsyncGenerator<readonly SourceRow[]> {
  if (rows.length > 0) yield rows
}
