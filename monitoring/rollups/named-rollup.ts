import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { sqlText } from '../../runtime/postgres/sql.ts'
import type { StoredRollup } from './merged-rollups.ts'
import type { RollupKey } from './rollup-writer.ts'

/** Which row of `lockstep.rollups` or `lockstep.merged_rollups` it is. */
export interface RollupName extends RollupKey {
  /** When it begins, as PostgreSQL reads it. */
  readonly moment: string
  readonly step: StoredRollup['step']
  /** The process that wrote a minute. */
  readonly process?: string
}

/** Decodes a row. @throws LockstepError `ROLLUP_DAMAGED` naming the row, with the statement that deletes it */
export function decodeNamed<Decoded>(row: StoredRollup, decode: (row: StoredRollup) => Decoded): Decoded {
  return decodeRollup(
    () => ({ ...row, moment: formatTimestamp(row.at) }),
    () => decode(row),
  )
}

/** @throws LockstepError `ROLLUP_DAMAGED`, as `decodeNamed` does */
export function decodeRollup<Decoded>(name: () => RollupName, decode: () => Decoded): Decoded {
  try {
    return decode()
  } catch (cause) {
    if (!(cause instanceof LockstepError) || cause.code !== 'STATE_CORRUPT') throw cause
    throw damaged(name(), cause)
  }
}

function damaged({ model, version, role, step, moment, process }: RollupName, cause: LockstepError): LockstepError {
  const of = model === '' ? 'server processes' : `the model "${model}", version ${version}, role "${role}"`
  const [table, part] =
    step === 'minute'
      ? ['rollups', process === undefined ? '' : ` and process = ${sqlText(process)}`]
      : ['merged_rollups', ` and step = ${sqlText(step)}`]
  const remedy = `delete from lockstep.${table} where at = ${sqlText(moment)}${part} and model = ${sqlText(model)} and version = ${version} and role = ${sqlText(role)}`
  const then =
    step === 'minute'
      ? 'Then the figures lack this minute.'
      : `Within an hour, a worker makes it again from the ${step === 'hour' ? 'minutes' : 'hours'} that are still kept.`
  return new LockstepError(
    'ROLLUP_DAMAGED',
    `The ${step} ${moment} of the statistics of ${of} cannot be read: its stored bytes are damaged. Delete it in the database: ${remedy}. ${then}`,
    { cause, details: { model, version, role, step, moment } },
  )
}
