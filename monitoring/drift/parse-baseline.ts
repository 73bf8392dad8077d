import { parseDuration } from '../../kernel/values/duration.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { DriftBaseline } from './drift-types.ts'

/**
 * Parses `training`, `previous:7d`, `same-hour-yesterday`, `same-hour-last-week` or `dataset:3f0c2a`.
 *
 * @throws LockstepError `INVALID_REQUEST`
 */
export function parseBaseline(text: string): DriftBaseline {
  const [kind = '', ...rest] = text.split(':')
  const value = rest.join(':').trim()
  if (text === 'training' || text === 'same-hour-yesterday' || text === 'same-hour-last-week') return { kind: text }
  if (kind === 'previous' && value !== '') return { kind, micros: durationOf(value, text) }
  if (kind === 'dataset' && value !== '') return { kind, id: value }
  throw new LockstepError(
    'INVALID_REQUEST',
    `The baseline "${text}" is unknown; give training, previous:7d, same-hour-yesterday, same-hour-last-week or dataset:ID.`,
    { details: { baseline: text } },
  )
}

function durationOf(value: string, text: string): number {
  try {
    return parseDuration(value, `The baseline "${text}"`)
  } catch (cause) {
    throw new LockstepError('INVALID_REQUEST', messageOf(cause), { cause, details: { baseline: text } })
  }
}
