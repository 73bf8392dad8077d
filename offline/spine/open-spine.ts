import type { ServicePlan } from '../../kernel/service-plan.ts'
import { servedTime } from '../../kernel/view-plan.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import { castTo, sqlTypeName } from '../rows/sql-type.ts'
import type { Seen } from '../rows/stream-bounds.ts'
import type { SpineFacts, StoredRows } from './check-spine.ts'
import { checkSpine } from './check-spine.ts'
import { loadSpineFile } from './load-file.ts'
import { loadSpineQuery } from './load-query.ts'
import { loadViewRows } from './load-view-rows.ts'
import type { SpineOrder } from './query-order.ts'
import { ordersItself } from './query-order.ts'
import type { SpineSample } from './sample-spine.ts'
import { sampleSpine } from './sample-spine.ts'
import { dropLeftovers, takeSpinePlace } from './spine-table.ts'
import type { Spine, SpineColumn, SpineInput, SpineTarget } from './spine.ts'

export interface SpineOptions {
  /**
   * The name of the time column. Absent: the only column of times, else the one named `event_timestamp` or `timestamp`.
   */
  readonly time?: string | null | undefined
  /** The columns to copy. The others may have the names of features or outputs. Absent: all. */
  readonly carried?: readonly string[] | null
  /** Absent: all rows. */
  readonly sample?: SpineSample | null | undefined
  /** Absent: `naturalOrder`. */
  readonly order?: SpineOrder | undefined
  /** For a spine of a view's rows: which rows are read. Absent: all settled rows, by the rule of time. */
  readonly seen?: Omit<Seen, 'arrivedBefore'> & { readonly arrivedBefore: number | null }
  readonly signal?: AbortSignal | undefined
  /** Whether the query joins large tables, so that PostgreSQL must not look up row by row. */
  readonly largeJoin?: boolean
}

/**
 * Loads a spine into the database and checks it against the service: its keys, its time, its request values. Order,
 * duplicates and NULL keys are kept. Always call `drop` when done with it, also after an error.
 *
 * @throws LockstepError `SPINE_INVALID`, `MISSING_REQUEST_VALUE`, `FEATURE_NAME_CLASH`, `INVALID_ROW`,
 * `FILE_UNREADABLE`
 */
export async function openSpine(db: Database, service: ServicePlan, input: SpineInput, options: SpineOptions = {}): Promise<Spine> {
  await dropLeftovers(db)
  const { id, table, drop } = await takeSpinePlace(db)
  try {
    const loaded = await load({ db, service, table, signal: options.signal }, input, options)
    const { time, roles, types } = loaded
    const columns = roles.map((role): SpineColumn => {
      const type = role.type ?? { kind: 'string' }
      return { name: role.name, type, sql: castTo(type, `s.${sqlIdentifier(role.name)}`, types.get(role.name)) }
    })
    options.signal?.throwIfAborted()
    const check = (): Promise<SpineFacts> => checkSpine(db, { table, ...loaded }, options.signal)
    let facts = await check() // before sampling, so that a message names the row number of the file
    const sample = options.sample ?? null
    if (sample !== null) {
      await sampleSpine(db, table, roles, sample, options.signal)
      facts = await check()
    }
    return { id, table, columns, time, ...facts, drop }
  } catch (error) {
    await drop()
    throw error
  }
}

async function load(target: SpineTarget, input: SpineInput, options: SpineOptions): Promise<Omit<StoredRows, 'table'>> {
  const named = { time: options.time ?? undefined, carried: options.carried ?? null }
  if ('sql' in input) {
    const { order = naturalOrder(input), largeJoin = false } = options
    return loadSpineQuery(target, input.sql, { order, ...named, largeJoin })
  }
  const everything = { rule: servedTime, knownBefore: null, arrivedBefore: null }
  const loaded =
    'rowsOf' in input ? await loadViewRows(target, input, options.seen ?? everything) : await loadSpineFile(target, input.file, named)
  return { ...loaded, types: new Map(loaded.roles.map(({ name, type }) => [name, type === null ? 'text' : sqlTypeName(type)])) }
}

/** A query without ORDER BY has no order of its own. */
export function naturalOrder(input: SpineInput): SpineOrder {
  return 'sql' in input && !ordersItself(input.sql) ? 'values' : 'given'
}
