import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Column } from '../../kernel/values/value-type.ts'
import type { Database } from '../../runtime/postgres/database.ts'

/**
 * The rows for which a training set is made: entity keys and moments, with labels and any other columns to carry along.
 */
export type SpineInput = { readonly file: string } | { readonly sql: string } | ViewRowsInput

/** A spine without labels: the rows of a view's own source that become visible in [from, to), at these moments. */
export interface ViewRowsInput {
  /** The id or name of a view that the service reads. */
  readonly rowsOf: string
  /** Epoch microseconds. */
  readonly from: number
  readonly to: number
}

/** Where a spine is loaded, and the service whose columns it has. */
export interface SpineTarget {
  readonly db: Database
  readonly service: ServicePlan
  /** A new table, quoted; not yet created. */
  readonly table: string
  readonly signal: AbortSignal | undefined
}

/** A spine in the database, in its own order, with typed columns. Plain data. */
export interface StoredSpine {
  /** A unique number while the spine exists. */
  readonly id: number
  /** Its table, quoted. */
  readonly table: string
  /** The columns that pass through, in order: keys, time, request values and others. */
  readonly columns: readonly SpineColumn[]
  /** Name of the time column. */
  readonly time: string
  readonly rows: number
  /** Epoch microseconds; null where there are no rows. */
  readonly firstTime: number | null
  readonly lastTime: number | null
  /** Rows with a NULL in any of the service's keys. They stay in the spine, and find no features under that key. */
  readonly nullKeyRows: number
}

export interface Spine extends StoredSpine {
  /** Drops the table. */
  drop(): Promise<void>
}

export interface SpineColumn extends Column {
  /** The SQL of its typed value, over the table as `s`. */
  readonly sql: string
}

/** The hidden column that numbers the rows, from 1. */
export const ordinalColumn = '_lockstep_ordinal'
