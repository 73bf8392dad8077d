import { LockstepError } from '../../kernel/errors.ts'
import type { Spine } from '../spine/spine.ts'

/**
 * Which of the spine's columns a training set carries over, by index.
 *
 * @param names null: all
 * @throws LockstepError `SPINE_INVALID` naming a column that is not there or is named twice
 */
export function carriedColumns(spine: Pick<Spine, 'columns'>, names: readonly string[] | null): number[] {
  if (names === null) return spine.columns.map((_, slot) => slot)
  const repeated = names.find((name, i) => names.indexOf(name) !== i)
  if (repeated !== undefined)
    throw new LockstepError('SPINE_INVALID', `The column "${repeated}" is named twice among the columns to copy; name it once.`)
  return names.map((name) => {
    const slot = spine.columns.findIndex((column) => column.name === name)
    if (slot >= 0) return slot
    throw new LockstepError(
      'SPINE_INVALID',
      `The spine has no column "${name}" to copy; it has ${spine.columns.map((column) => `"${column.name}"`).join(', ')}.`,
    )
  })
}
