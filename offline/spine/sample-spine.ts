import { LockstepError } from '../../kernel/errors.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import { ordinalColumn } from './spine.ts'

/** A share of a spine's rows, chosen by a hash of their values: in any order, on any machine, it has the same rows. */
export interface SpineSample {
  /** More than 0, at most 1. */
  readonly fraction: number
  /** Another seed chooses other rows. */
  readonly seed: number
}

/** Deletes the rows of a spine's table that are not in the sample, and renumbers the others in their order. */
export async function sampleSpine(
  db: Database,
  table: string,
  columns: readonly { readonly name: string }[],
  { fraction, seed }: SpineSample,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (!(fraction > 0 && fraction <= 1))
    throw new LockstepError('USAGE', `The sample "${fraction}" is not a share; give a number above 0 and at most 1.`)
  if (!Number.isSafeInteger(seed)) throw new LockstepError('USAGE', `The seed "${seed}" is not a whole number; give one.`)
  if (fraction === 1) return
  const ordinal = sqlIdentifier(ordinalColumn)
  const hash = (text: string): string => `sha256(convert_to('${seed}:' || ${text}, 'UTF8'))`
  const row = `ROW(${columns.map(({ name }) => `t.${sqlIdentifier(name)}`).join(', ')})::text`
  // equal rows differ by the number of equal rows before them; otherwise all of them would be in the sample, or none
  const hashed = `
    SELECT r.n, CASE WHEN r.again = 1 THEN r.h ELSE ${hash(`encode(r.h, 'hex') || r.again`)} END AS h FROM (
      SELECT d.n, d.h, row_number() OVER (PARTITION BY d.h) AS again FROM (SELECT t.${ordinal} AS n, ${hash(row)} AS h FROM ${table} t) d
    ) r`
  // the first 52 bits decide
  const bound = Math.round(fraction * 2 ** 52)
  const left = `DELETE FROM ${table} s USING (${hashed}) c WHERE c.n = s.${ordinal} AND c.h >= '\\x${bound.toString(16).padStart(13, '0')}0'::bytea`
  await db.query(left, [], { signal })
  await db.query(
    `UPDATE ${table} s SET ${ordinal} = n.number FROM (SELECT t.${ordinal} AS was, row_number() OVER (ORDER BY t.${ordinal}) AS number FROM ${table} t) n WHERE s.${ordinal} = n.was`,
    [],
    { signal },
  )
}
