import type { Column } from '../../kernel/value-type.ts'

/**
 * What a training set is drawn on: rows of entity keys and moments, with labels and whatever else is to be carried
 * along.
 */
export type SpineInput = { readonly file: string } | { readonly sql: string } | ViewRowsInput

/** No labels at all: the rows of a view's own source that become visible in [from, to), at these moments. */
export interface ViewRowsInput {
  /** The view, by its id or name: one that the service reads. */
  readonly rowsOf: string
  /** Epoch microseconds. */
  readonly from: number
  readonly to: number
}

/** A spine in the database, in its own order, with typed columns: plain data. */
export interface StoredSpine {
  /** Nobody else's, as long as it is there. */
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
  /** Rows with a NULL in any of the service's keys: they stay, and find nothing under that key. */
  readonly nullKeyRows: number
}

export interface Spine extends StoredSpine {
  /** Removes the table. */
  drop(): Promise<void>
}

export interface SpineColumn extends Column {
  /** Its value as SQL, typed, over the table as `s`. */
  readonly sql: string
}

/** The hidden column that numbers the rows, from 1. */
export const ordinalColumn = '_lockstep_ordinal'
