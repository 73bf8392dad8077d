import { CompiledQuery } from 'kysely'
import type { Database } from '../runtime/postgres/database.ts'

type Handle = Pick<Database, 'kysely' | 'query'>

/** The rows and index entries of Lockstep's tables that PostgreSQL takes in a read. */
export async function rowsTaken({ kysely }: Pick<Database, 'kysely'>, read: (handle: Handle) => Promise<unknown>): Promise<number> {
  return await kysely.transaction().execute(async (transaction) => {
    const query: Database['query'] = async <Row>(text: string, parameters: readonly unknown[] = []) =>
      (await transaction.executeQuery<Row>(CompiledQuery.raw(text, [...parameters]))).rows
    const count = async (): Promise<number> => {
      const [row] = await query<{ taken: number }>(
        `select sum(pg_stat_get_xact_tuples_returned(c.oid))::int as taken
         from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'lockstep'`,
      )
      return row?.taken ?? Number.NaN
    }
    // a session counts on until its counts are sent
    const before = await count()
    await read({ kysely: transaction, query })
    return (await count()) - before
  })
}
