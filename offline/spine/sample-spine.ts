import { LockstepError } from '../../kernel/errors.ts'
import type { Database } from '../../runtime/database.ts'
import { sqlIdentifier } from '../../runtime/sql.ts'
import { ordinalColumn } from './spine.ts'

/** A share of a spine's rows, chosen by a hash of the row's number: the same rows of the same spine, whenever and wherever. */
export interface SpineSample {
  /** More than 0, at most 1. */
  readonly fraction: number
  /** Another seed chooses other rows. */
  readonly seed: number
}

/** Removes the rows of a spine's table that are not in the sample, and numbers the others anew, in their order. */
export async function sampleSpine(
  db: Database,
  table: string,
  { fraction, seed }: SpineSample,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (!(fraction > 0 && fraction <= 1))
    throw new LockstepError('USAGE', `A sample of "${fraction}" of the rows is no share; give a number above 0, 1 at most.`)
  if (!Number.isSafeInteger(seed)) throw new LockstepError('USAGE', `The seed "${seed}" is not a whole number; give one.`)
  const ordinal = sqlIdentifier(ordinalColumn)
  const hash = `('x' || substr(encode(sha256(convert_to('${seed}:' || s.${ordinal}, 'UTF8')), 'hex'), 1, 13))::bit(52)::int8`
  await db.query(`DELETE FROM ${table} s WHERE ${hash} >= ${Math.round(fraction * 2 ** 52)}`, [], { signal })
  await db.query(
    `UPDATE ${table} s SET ${ordinal} = n.number FROM (SELECT t.${ordinal} AS was, row_number() OVER (ORDER BY t.${ordinal}) AS number FROM ${table} t) n WHERE s.${ordinal} = n.was`,
    [],
    { signal },
  )
}
