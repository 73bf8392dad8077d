import type { Database } from '../../runtime/postgres/database.ts'

/** Runs `fn` in a transaction that no other process is in for the same output. */
export async function lockOutput<T>(
  { kysely }: Pick<Database, 'kysely'>,
  out: string,
  fn: (transaction: Database['kysely']) => Promise<T>,
): Promise<T> {
  return await kysely.transaction().execute(async (transaction) => {
    await lockOutputWithin(transaction, out)
    return await fn(transaction)
  })
}

/** If two transactions change one output, the second waits, and sees the changes of the first. */
export async function lockOutputWithin(transaction: Database['kysely'], out: string): Promise<void> {
  await transaction
    .selectNoFrom(({ fn, val }) => fn('pg_advisory_xact_lock', [fn('hashtextextended', [val(`batch ${out}`), val(0)])]).as('locked'))
    .execute()
}
