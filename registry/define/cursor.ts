import { parseDuration } from '../../kernel/duration.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { CursorSpec, SourceRelation } from '../../kernel/view-spec.ts'
import { checkColumnName } from './names.ts'

/** How what is new is found in a table or query of yours that does not tell arrivals. */
export interface StatedCursor {
  /** A time that is set whenever a row is written, and never goes back. */
  readonly column: string
  /**
   * How far a run goes back behind the greatest time that the last one saw, for rows that were committed late, as in
   * `'10m'`.
   */
  readonly overlap: string
  /** How often all is read all the same, for what the overlap has missed. Default: `'1d'`. */
  readonly reconcile?: string
}

/** @throws LockstepError `DEFINITIONS_INVALID`, `INVALID_NAME`, `INVALID_DURATION` */
export function cursorSpec(stated: StatedCursor | undefined, relation: SourceRelation, name: string): CursorSpec | null {
  if (stated === undefined) return null
  const what = `The cursor of source "${name}"`
  if (relation.kind === 'owned') {
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `${what} is not needed: Lockstep creates its table, which has arrival columns. Remove it.`,
    )
  }
  const wrong = typeof stated !== 'object' || stated === null || stated.overlap === undefined
  const unknown = wrong ? [] : Object.keys(stated).filter((field) => !['column', 'overlap', 'reconcile'].includes(field))
  if (wrong || unknown.length > 0) {
    throw new LockstepError(
      'DEFINITIONS_INVALID',
      `${what} ${unknown.length > 0 ? `has a field "${unknown[0]}", which does not exist` : 'cannot be read'}; write { column: 'updated_at', overlap: '10m' }, and how often all rows are read, such as reconcile: '1d'.`,
    )
  }
  return Object.freeze({
    column: checkColumnName(stated.column, what),
    overlapMicros: parseDuration(stated.overlap, `The overlap of source "${name}"`),
    reconcileMicros: parseDuration(stated.reconcile ?? '1d', `The reconcile of source "${name}"`),
  })
}
