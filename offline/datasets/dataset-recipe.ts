import type { TimeRule } from '../../kernel/view-plan.ts'
import type { DatasetPart } from './dataset-parts.ts'
import type { DatasetFormat } from '../files/dataset-writer.ts'
import type { SpineOrder } from '../spine/query-order.ts'
import type { SpineSample } from '../spine/sample-spine.ts'
import type { SpineInput } from '../spine/spine.ts'

/** All that decides the bytes of a training set, beside the service and what is in the database. */
export interface DatasetRecipe {
  readonly spine: SpineInput
  /** The spine's time column; null: to be found. */
  readonly time: string | null
  /** How the spine's rows are ordered. */
  readonly order: SpineOrder
  /** null: all rows of the spine. */
  readonly sample: SpineSample | null
  readonly rule: TimeRule
  readonly asOf: 'at' | 'before'
  /**
   * Epoch microseconds: rows of sources that were known, else happened, at it or after it are not seen; null: no such
   * bound.
   */
  readonly knownBefore: number | null
  /** The `source.xmin` of an earlier manifest: what arrived since is not seen; null: all that is settled. */
  readonly arrivedBefore: number | null
  /** The spine's columns to carry over; null: all. */
  readonly columns: readonly string[] | null
  /** Whether rows without a required feature are left out. A server would refuse them. */
  readonly dropIncomplete: boolean
  /** By time, a file each. */
  readonly parts: readonly DatasetPart[]
  readonly format: DatasetFormat
}
