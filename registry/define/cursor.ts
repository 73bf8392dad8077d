import { parseDuration } from '../../kernel/values/duration.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { CursorSpec, SourceRelation } from '../../kernel/specs/view-spec.ts'
import { checkColumnName } from './names.ts'

/** How Lockstep finds new rows in your table or query if it does not record arrivals. */
export interface StatedCursor {
  /** A time that is set on every write of a row, and never decreases. */
  readonly column: string
  /**
   * How far a run reads back from the greatest time that the previous run saw, to find rows that were committed late,
   * as in `'10m'`.
   */
  readonly overlap: string
  /** The interval between full reads, which find what the overlap has missed. Default: `'1d'`. */
  readonly reconcile?: string
}

/** @throws LockstepError `DEFINITIONS_INVALID`, `INVALID_NAME`, `INVALID_DURATION` */
export function cursorSpec(stated: StatedCursor | undefined, relation: SourceRelation, push: boolean, name: string): CursorSpec | null {
  if (stated === undefined) return null
  const what = `The cursor of source "${name}"`
  if (relation.kind === 'owned' || push) {
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `${what} is not needed, because Lockstep finds new rows by the arrival columns of its table. Remove the cursor.`,
    )
  }
  const wrong = typeof stated !== 'object' || stated === null || stated.overlap === undefined
  const unknown = wrong ? [] : Object.keys(stated).filter((field) => !['column', 'overlap', 'reconcile'].includes(field))
  if (wrong || unknown.length > 0) {
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `${what} ${unknown.length > 0 ? `has a field "${unknown[0]}", which does not exist` : 'has no overlap'}; write it as in { column: 'updated_at', overlap: '10m', reconcile: '1d' }.`,
    )
  }
  return Object.freeze({
    column: checkColumnName(stated.column, what),
    overlapMicros: parseDuration(stated.overlap, `The overlap of source "${name}"`),
    reconcileMicros: parseDuration(stated.reconcile ?? '1d', `The reconcile of source "${name}"`),
  })
}
